# SPDX-License-Identifier: Apache-2.0
"""The pipeline: nn.Module -> graph -> program -> plan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from acclimate import capture
from acclimate.capture import Loss, Update, UpdatePolicy
from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.fit import ORDERED, Stage, Wanted, fit, run_passes
from acclimate.lower import ENTRIES, Optimizer, decompositions, find_optimizer, lower
from acclimate.passes import PASSES
from acclimate.targets import Target, find_target


def compile(
    model: nn.Module,
    *,
    example: tuple[Any, Any],
    loss: str | Loss = "cross_entropy",
    optimizer: Optimizer | str = "sgd",
    target: str | Target = "host",
    cores: int | None = None,
    name: str = "net",
    entries: Sequence[str] = ("predict", "train"),
    budget: Mapping[str, str | int] | None = None,
    seed: int = 0,
    update: UpdatePolicy | None = None,
    solver_seconds: float = 5.0,
    recompute: str | Sequence[str] = "never",
) -> Firmware:
    """Compiles a model into C that predicts and learns.

    Args:
        model: any module of static shapes; what requires grad learns. BatchNorm in eval mode is
            folded. It is never changed.
        example: (x, y), or ((x0, x1), y): shapes and element types of one batch.
        loss: a name (cross_entropy, mse, l1, huber, smooth_l1, berhu, bce_with_logits), or a
            function of (outputs, y) that returns a scalar.
        optimizer: SGD, Adam or AdamW, or its name; the learning rate stays a run-time argument.
        target: a device of `acclimate targets`, a .toml file of your own, or a `Target`.
        cores: how many of its cores run a step; all by default.
        name: prefix of every C symbol.
        entries: functions to write, of predict, train, accumulate, apply.
        budget: {"ram": "48 kB"}, or a size per memory of the target, {"l1": "32 kB"}; an error if
            the program needs more.
        seed: first seed of dropout.
        update: what learns in place of what requires grad, e.g. ac.Head(); see docs/policies.md.
        solver_seconds: limit of the exact packing of the arena.
        recompute: `auto` computes activations again where the RAM budget would not be met
            otherwise; `never` does not; names of modules drop the activations of these.

    Returns:
        Firmware to run, export and report.

    Raises:
        AcclimateError: with what is wrong, where in the model, and a hint.
    """
    _check_options(name, entries)
    device, rule, criterion = (
        _device(target, cores),
        find_optimizer(optimizer),
        capture.find_loss(loss),
    )
    inputs, wanted = capture.split_example(example)
    data = (*inputs, *(wanted if isinstance(wanted, tuple) else (wanted,)))
    chosen = update.choose(model, inputs) if update else Update(model)
    model = chosen.model
    capture.check_model(model, criterion, inputs, wanted)

    forward = capture.export(model, criterion, inputs, wanted)
    folded = tuple(capture.fold_batch_norm(forward))
    table = decompositions()
    predict = capture.trace_predict(forward, data, table)
    joint = capture.trace_joint(forward, data, table) if set(entries) - {"predict"} else None

    program = lower(name, predict, joint, rule, entries, seed, chosen.channels)
    stages = [Stage("fold_batch_norm", folded, program)]
    stages += run_passes(PASSES, stages[-1].program)
    title = f"{type(model).__name__}, trained by {rule.describe()}"
    fitting = Wanted(device, _limits(device, budget), solver_seconds, _recompute(recompute))
    return _fit(stages, fitting, rule.lr, title)


def retarget(
    firmware: Firmware,
    target: str | Target,
    *,
    cores: int | None = None,
    budget: Mapping[str, str | int] | None = None,
    solver_seconds: float = 5.0,
    recompute: str | Sequence[str] = "never",
) -> Firmware:
    """The same training step for another device, without capturing the model again.

    Args:
        firmware: of `compile`.
        target: as for `compile`.
        cores: as for `compile`.
        budget: as for `compile`.
        solver_seconds: as for `compile`.
        recompute: as for `compile`.

    Raises:
        AcclimateError: unknown target, too many cores, or a memory that is too small.
    """
    names = [stage.name for stage in firmware.stages]
    stages = list(firmware.stages[: names.index(ORDERED)])
    device = _device(target, cores)
    fitting = Wanted(device, _limits(device, budget), solver_seconds, _recompute(recompute))
    return _fit(stages, fitting, firmware.lr, firmware.title)


def _fit(stages: list[Stage], wanted: Wanted, lr: float, title: str) -> Firmware:
    fitted, placed = fit(stages[-1].program, wanted)
    stages = [*stages, *fitted]
    command = f"target {wanted.target.machine}"
    program = stages[-1].program
    return Firmware(program, placed, wanted.target, lr, title, command, tuple(stages), wanted)


def _check_options(name: str, entries: Sequence[str]) -> None:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name in _RESERVED:
        raise BadOption(
            f"the prefix {name!r} is not a C identifier in lower case",
            hint=f"name={_identifier(name)!r}",
        )
    for entry in entries:
        if entry not in ENTRIES:
            raise BadOption(f"unknown entry point {entry!r}", hint=nearest(entry, ENTRIES))
    if ("accumulate" in entries) != ("apply" in entries):
        raise BadOption(
            "accumulate and apply need each other",
            found=", ".join(entries),
            hint="entries=('predict', 'accumulate', 'apply')",
        )


def _recompute(choice: str | Sequence[str]) -> tuple[str, ...] | str:
    """`never`, `auto`, or names of modules."""
    if isinstance(choice, str):
        if choice not in ("auto", "never"):
            raise BadOption(
                f"recompute={choice!r} is neither 'auto' nor 'never'",
                hint=f"recompute=[{choice!r}] drops the activations of the module {choice}",
            )
        return choice
    return tuple(choice) or "never"


_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main arena ac"
)
_RESERVED = frozenset(_WORDS.split())
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


def _identifier(name: str) -> str:
    text = re.sub(r"\W+", "_", name.lower()).strip("_")
    return f"net_{text}".rstrip("_") if not text or text[0].isdigit() or text in _RESERVED else text


def _device(target: str | Target, cores: int | None) -> Target:
    device = find_target(target) if isinstance(target, str) else target
    return device if cores is None else device.with_cores(cores)


def _limits(device: Target, budget: Mapping[str, str | int] | None) -> dict[str, int]:
    """Budgets in bytes by memory: {"ram": "48 kB"} -> {"ram": 48000}."""
    names = [memory.name for memory in device.memories if memory.writable] or ["ram"]
    limits = {}
    for key, size in (budget or {}).items():
        if key not in {*names, "ram"}:
            raise BadOption(f"unknown memory {key!r} in the budget", hint=nearest(key, names))
        limits[key] = size_bytes(str(size), f"budget={{{key!r}: '48 kB'}}")
    return limits


def size_bytes(text: str, hint: str) -> int:
    """Bytes of a size such as "48 kB"; the hint is for the error.

    Raises:
        BadOption: the text is not a size.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _UNITS:
        raise BadOption(f"the budget {text!r} is not a size", hint=hint)
    return int(float(match[1]) * _UNITS[match[2].lower()])
