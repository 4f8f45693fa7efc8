# SPDX-License-Identifier: Apache-2.0
"""acclimate run: builds the C, trains it on the example, and compares it with PyTorch."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli import options
from acclimate.cli.console import Advance, say, show, show_json, working
from acclimate.cli.user_file import Task
from acclimate.errors import BadOption

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.report.steps import Run, Step
    from acclimate.simulate import Device
    from acclimate.targets import Target

# float32 sums in another order differ by less; more than this is a bug of acclimate.
_TOLERANCE = 1e-3
_HOST_STEPS, _SIMULATED_STEPS = 10, 2  # a cluster simulates about 100,000 cycles per second
_CLUSTER = "pulp-cluster"  # for whoever asks for a cluster and names none

On = Annotated[
    str | None,
    typer.Option(
        "--on", help="host, cluster, or a processor such as cortex-m4; by default the target's own."
    ),
]
Cores = Annotated[
    int | None, typer.Option(help="Cores that run a step together; by default all of the target.")
]


def run_verb(
    spec: options.Spec,
    on: On = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Training steps on the example: 10 on the host, 2 simulated."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the cycles of the last step went.")
    ] = False,
    target: options.Target = None,
    cores: Cores = None,
    loss: options.Loss = None,
    optimizer: options.Optimizer = None,
    lr: options.Rate = None,
    name: options.Name = None,
    entries: options.Entries = None,
    budget: options.Budget = None,
    recompute: options.Recompute = None,
    page: options.Page = None,
    point: options.Point = None,
    as_json: options.Json = False,
) -> None:
    """Trains the compiled C on the example: loss and cost of every step, compared with PyTorch."""
    from acclimate.report.simulated import step_cycles
    from acclimate.report.steps import Run, run_document, run_text

    choices = options.Choices(
        target, loss, optimizer, lr, name, entries, budget, recompute, point, page
    )
    task = for_device(options.load_with(spec, choices), on, cores)
    firmware = options.compile_task(task)
    own = own_device(firmware.target)
    on = on or own
    _check_trains(firmware)
    if profile and on == "host":
        raise BadOption("the host counts no cycles to profile", hint="--on cluster --profile")
    device = open_device(firmware, on)
    chip = firmware.target if on != "host" and on == own else None
    expected = _torch_loss(task, firmware)
    done = _train(task, device, steps or (_HOST_STEPS if on == "host" else _SIMULATED_STEPS), chip)
    spent = step_cycles(firmware, device) if profile else None
    run = Run(firmware, on, chip, done, expected, spent)
    _check_loss(run)
    if as_json:
        show_json(run_document(run))
    else:
        show(run_text(run))


def own_device(target: Target) -> str:
    """The name of the device that `Firmware.run` takes for a target by default."""
    return target.processor if target.simulator == "cortex_m" else target.simulator


def for_device(task: Task, on: str | None, cores: int | None) -> Task:
    """The task for a target that the device can be: asking for a cluster is asking for a target."""
    from acclimate.targets import find_target

    chosen = dict(task.options)
    if cores is not None:
        chosen["cores"] = cores
    named = chosen.get("target", "host")
    if on == "cluster":
        target = find_target(named) if isinstance(named, str) else named
        if target.simulator != "cluster":
            say(f"{target.name} is not a cluster: compiling for {_CLUSTER}")
            chosen["target"] = _CLUSTER
    return replace(task, options=chosen)


def open_device(firmware: Firmware, on: str) -> Device:
    """Builds the C for a device."""
    if on == "cluster":  # where its simulator is built, that has a bar of its own
        return firmware.run(on)
    with working("building the C"):
        return firmware.run(on)


def follow(device: Device, advance: Advance, step: int, steps: int, last_cycles: int) -> None:
    """Shows the simulated cycles of a step on the bar, where the device tells them.

    Args:
        device: that runs.
        advance: of the bar.
        step: from 0.
        steps: in all.
        last_cycles: of the step before, which the bar takes for the length of this one; 0 if there
            was none.
    """
    if not hasattr(device, "progress"):
        return

    def tell(cycles: int) -> None:
        done, total = step * last_cycles + cycles, steps * last_cycles
        what = f"step {step + 1} of {steps}, {cycles / 1e6:.1f} million cycles"
        advance(*((min(done, total), total) if total else (step, steps)), what)

    device.progress = tell


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


def example_arrays(task: Task) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Inputs and targets of the example."""
    from acclimate.capture import split_example

    inputs, target = split_example(task.example)
    return tuple(inputs), target if isinstance(target, tuple) else (target,)


def _train(task: Task, device: Device, steps: int, chip: Target | None) -> list[Step]:
    from acclimate.report.steps import train_step

    inputs, targets = example_arrays(task)
    done: list[Step] = []
    with working("training") as advance:
        for number in range(steps):
            follow(device, advance, number, steps, done[-1].cycles or 0 if done else 0)
            done.append(train_step(device, (*inputs, *targets), chip))
            advance(number + 1, steps, f"training, loss {done[-1].loss:.6g}")
    return done


def _check_loss(run: Run) -> None:
    if run.difference is not None and not run.difference <= _TOLERANCE:
        raise RuntimeError(
            f"the first loss of the C is {run.steps[0].loss:.9g}, that of PyTorch"
            f" {run.expected:.9g}"
        )
