# SPDX-License-Identifier: Apache-2.0
"""acclimate run: builds the C, trains it on the example, and compares it with PyTorch."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli import options
from acclimate.cli.console import show, show_json, working
from acclimate.cli.user_file import Task
from acclimate.errors import BadOption

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.simulate import Device

# float32 sums in another order differ by less; more than this is a bug of acclimate.
_TOLERANCE = 1e-3
_SHOWN_STEPS = 20


@dataclass(frozen=True)
class Step:
    """One training step on the device."""

    loss: float
    time_ms: float


def run_verb(
    spec: options.Spec,
    on: Annotated[str, typer.Option("--on", help="Device that runs the C: host.")] = "host",
    steps: Annotated[int, typer.Option(min=1, help="Training steps on the example.")] = 10,
    target: options.Target = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    lr: options.Rate = None,
    name: options.Name = None,
    entries: options.Entries = None,
    budget: options.Budget = None,
    as_json: options.Json = False,
) -> None:
    """Trains the compiled C on the example: loss and time of every step, compared with PyTorch."""
    choices = options.Choices(target, loss, optimizer, lr, name, entries, budget)
    task = options.load_with(spec, choices)
    firmware = options.compile_task(task)
    _check_trains(firmware)
    with working("building the C"):
        device = firmware.run(on)
    expected = _torch_loss(task, firmware)
    done = _train(task, device, steps)
    _check_loss(done[0].loss, expected)
    if as_json:
        show_json(_document(firmware, on, done, expected))
    else:
        show("\n".join(_lines(firmware, on, done, expected)))


def _check_trains(firmware: Firmware) -> None:
    if "train" not in firmware.program.entries:
        raise BadOption(
            f"{firmware.program.name} has no entry point 'train' to run",
            found=", ".join(firmware.program.entries),
            hint="--entries predict,train",
        )


def _torch_loss(task: Task, firmware: Firmware) -> float | None:
    """The loss of the example in PyTorch; None where it depends on random numbers."""
    import torch

    from acclimate.capture import find_loss, split_example

    if "random_seed" in firmware.program.buffers:
        return None
    inputs, target = split_example(task.example)
    criterion = find_loss(task.options.get("loss", "cross_entropy"))
    with torch.no_grad():
        return float(criterion(copy.deepcopy(task.model)(*inputs), target))


def _train(task: Task, device: Device, steps: int) -> list[Step]:
    from acclimate.capture import split_example

    inputs, target = split_example(task.example)
    data = (*inputs, *(target if isinstance(target, tuple) else (target,)))
    done = []
    with working("training") as advance:
        for number in range(steps):
            start = time.perf_counter()
            loss = device.train(*data)
            done.append(Step(loss, 1e3 * (time.perf_counter() - start)))
            advance(number + 1, steps, f"training, loss {loss:.6g}")
    return done


def _difference(loss: float, expected: float) -> float:
    return abs(loss - expected) / max(abs(expected), 1e-6)


def _check_loss(loss: float, expected: float | None) -> None:
    if expected is not None and not _difference(loss, expected) <= _TOLERANCE:
        raise RuntimeError(f"the first loss of the C is {loss:.9g}, that of PyTorch {expected:.9g}")


def _lines(firmware: Firmware, on: str, done: list[Step], expected: float | None) -> list[str]:
    times = [step.time_ms for step in done]
    lines = [
        f"{firmware.program.name} on {on}: {firmware.title}",
        "",
        "step        loss          ms",
    ]
    shown = done if len(done) <= _SHOWN_STEPS else [*done[: _SHOWN_STEPS - 1], done[-1]]
    numbers = [*range(1, len(shown)), len(done)]
    lines += [
        f"{number:4}  {step.loss:10.6g}  {step.time_ms:10.3f}"
        for number, step in zip(numbers, shown, strict=True)
    ]
    lines += [
        "",
        f"time of a step: median {statistics.median(times):.3f} ms, least {min(times):.3f} ms",
    ]
    if expected is None:
        lines.append("first loss: not compared with PyTorch, the model draws random numbers")
    else:
        lines.append(
            f"first loss: {done[0].loss:.9g}, in PyTorch {expected:.9g},"
            f" relative difference {_difference(done[0].loss, expected):.1e}"
        )
    return lines


def _document(
    firmware: Firmware, on: str, done: list[Step], expected: float | None
) -> dict[str, Any]:
    times = [step.time_ms for step in done]
    return {
        "name": firmware.program.name,
        "title": firmware.title,
        "device": on,
        "steps": [{"loss": step.loss, "time_ms": step.time_ms} for step in done],
        "median_ms": statistics.median(times),
        "min_ms": min(times),
        "torch_loss": expected,
        "relative_difference": None if expected is None else _difference(done[0].loss, expected),
        "arena_bytes": firmware.plan.arena_bytes,
        "ram_bytes": firmware.plan.ram_bytes,
    }
