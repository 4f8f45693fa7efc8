# SPDX-License-Identifier: Apache-2.0
"""The pipeline: nn.Module -> graph -> program -> plan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from acclimate import capture
from acclimate.capture import Loss, Update, UpdatePolicy
from acclimate.errors import BadOption, DoesNotFit, nearest
from acclimate.firmware import Firmware
from acclimate.fit import ORDERED, Stage, Wanted, fit, run_passes
from acclimate.lower import ENTRIES, Optimizer, decompositions, find_optimizer, lower
from acclimate.passes import PASSES
from acclimate.recompute import Saving
from acclimate.targets import Target, find_target


@dataclass(frozen=True, eq=False)
class Job:
    """What is asked of the pipeline; the fields are the arguments of `compile`."""

    model: nn.Module
    example: tuple[Any, Any]
    loss: str | Loss = "cross_entropy"
    optimizer: Optimizer | str = "sgd"
    target: str | Target = "host"
    cores: int | None = None
    name: str = "net"
    entries: Sequence[str] = ("predict", "train")
    budget: Mapping[str, str | int] | None = None
    seed: int = 0
    update: UpdatePolicy | None = None
    solver_seconds: float = 5.0
    recompute: str | Sequence[str] = "never"
    page: str = "never"

    def run(self) -> Firmware:
        """Captures, lowers and fits the model.

        Raises:
            AcclimateError: as for `compile`.
        """
        _check_options(self.name, self.entries)
        device = _device(self.target, self.cores)
        rule, criterion = find_optimizer(self.optimizer), capture.find_loss(self.loss)
        inputs, wanted = capture.split_example(self.example)
        data = (*inputs, *(wanted if isinstance(wanted, tuple) else (wanted,)))
        chosen = self.update.choose(self.model, inputs) if self.update else Update(self.model)
        model = chosen.model
        capture.check_model(model, criterion, inputs, wanted)

        forward = capture.export(model, criterion, inputs, wanted)
        folded = tuple(capture.fold_batch_norm(forward))
        table = decompositions()
        predict = capture.trace_predict(forward, data, table)
        learns = set(self.entries) - {"predict"}
        joint = capture.trace_joint(forward, data, table) if learns else None

        entries, channels = self.entries, chosen.channels
        program = lower(self.name, predict, joint, rule, entries, self.seed, channels)
        stages = [Stage("fold_batch_norm", folded, program)]
        stages += run_passes(PASSES, stages[-1].program)
        title = f"{type(model).__name__}, trained by {rule.describe()}"
        saving = _saving(self.recompute, self.page)
        wanted = wanted_of(device, self.budget, self.solver_seconds, saving)
        return _fit(stages, wanted, rule.lr, title)


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
    page: str = "never",
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
        budget: {"ram": "48 kB"}, or a size per memory of the target, {"l1": "32 kB"}; "ms" and "mj"
            limit time and energy of a step by estimate. An error if the program needs more.
        seed: first seed of dropout.
        update: what learns in place of what requires grad, e.g. ac.Head(); see docs/policies.md.
        solver_seconds: limit of the exact packing of the arena.
        recompute: `auto` computes activations again where the budget or the memories would not do
            otherwise; `never` does not; `75%` leaves at most that much of the arena; names of
            modules drop the activations of these.
        page: `auto` lets activations wait in another memory of the device where one would not do
            otherwise; `never` does not; `75%` leaves at most that much of the arena. With
            `recompute` beside it the cheaper of the two is taken for each activation.

    Returns:
        Firmware to run, export and report.

    Raises:
        AcclimateError: with what is wrong, where in the model, and a hint.
    """
    job = Job(
        model,
        example,
        loss,
        optimizer,
        target,
        cores,
        name,
        entries,
        budget,
        seed,
        update,
        solver_seconds,
        recompute,
        page,
    )
    try:
        return job.run()
    except DoesNotFit as error:
        raise _with_policies(error, job) from None


def _with_policies(error: DoesNotFit, job: Job) -> DoesNotFit:
    """The error with policies that would fit in its hint, if there are any."""
    # Upwards, for those whose program is too large.
    from acclimate.policy import fitting_policies, paged_bytes

    # A share of its own arena is no limit that another policy could meet.
    shared = any(isinstance(x, str) and is_share(x) for x in (job.recompute, job.page))
    found = () if shared else fitting_policies(job)
    paged = 0 if shared else paged_bytes(job)
    if not found and not paged:
        return error
    lines = [f"page='auto'  # the same step, {paged:,} B of it wait in l3"] if paged else []
    lines += [f"update=ac.{policy!r}  # {size:,} B of RAM" for policy, size in found]
    hint = "\n      ".join([*lines, f"or: {error.hint}"])
    return type(error)(error.what, found=error.found, where=error.where, hint=hint)


def retarget(
    firmware: Firmware,
    target: str | Target,
    *,
    cores: int | None = None,
    budget: Mapping[str, str | int] | None = None,
    solver_seconds: float = 5.0,
    recompute: str | Sequence[str] = "never",
    page: str = "never",
) -> Firmware:
    """The same training step for another device, without capturing the model again.

    Args:
        firmware: of `compile`.
        target: as for `compile`.
        cores: as for `compile`.
        budget: as for `compile`.
        solver_seconds: as for `compile`.
        recompute: as for `compile`.
        page: as for `compile`.

    Raises:
        AcclimateError: unknown target, too many cores, or a memory that is too small.
    """
    names = [stage.name for stage in firmware.stages]
    stages = list(firmware.stages[: names.index(ORDERED)])
    device = _device(target, cores)
    fitting = wanted_of(device, budget, solver_seconds, _saving(recompute, page))
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


def wanted_of(
    device: Target,
    budget: Mapping[str, str | int] | None,
    seconds: float = 0.0,
    saving: Saving | None = None,
) -> Wanted:
    """What a program has to fit: the options of `compile`, checked.

    Raises:
        BadOption: a budget is no size, time or energy, or the device has no such memory or clock.
    """
    times = {key: _number(budget, key, device) for key in TIMES if key in (budget or {})}
    return Wanted(device, limits_of(device, budget), seconds, saving or Saving(), **times)


def _number(budget: Mapping[str, str | int] | None, key: str, device: Target) -> float:
    """A budget of time or energy, on a device that has a clock, or a power."""
    text = str((budget or {})[key]).strip().lower().removesuffix(key)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0.0:
        hint = f"budget={{{key!r}: 20}}"
        raise BadOption(f"the budget {key}={text} is not a positive number", hint=hint)
    known = device.clock_hz if key == "ms" else device.energy_uj(1.0)
    if known is None:
        what = "clock" if key == "ms" or device.clock_hz is None else "power"
        raise BadOption(
            f"a budget in {key} needs a device with a known {what}",
            found=f"{device.machine} has none",
            hint="--target gap9",
        )
    return value


def _saving(recompute: str | Sequence[str], page: str) -> Saving:
    """Both options, checked."""
    if page not in ("auto", "never") and not is_share(page):
        raise BadOption(
            f"page={page!r} is neither 'auto' nor 'never' nor a share such as '75%'",
            hint="page='auto'",
        )
    return Saving(_recompute(recompute), page)


def _recompute(choice: str | Sequence[str]) -> tuple[str, ...] | str:
    """`never`, `auto`, `75%`, or names of modules."""
    if isinstance(choice, str):
        if choice not in ("auto", "never") and not is_share(choice):
            raise BadOption(
                f"recompute={choice!r} is neither 'auto' nor 'never' nor a share such as '75%'",
                hint=f"recompute=[{choice!r}] drops the activations of the module {choice}",
            )
        return choice
    return tuple(choice) or "never"


def is_share(text: str) -> bool:
    """True for what `recompute` takes as a part of the arena: 1% to 99%."""
    return re.fullmatch(r"[1-9]\d?%", text) is not None


_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main arena ac"
)
_RESERVED = frozenset(_WORDS.split())
TIMES = ("ms", "mj")  # of a step: budgets that are no memories
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


def _identifier(name: str) -> str:
    text = re.sub(r"\W+", "_", name.lower()).strip("_")
    return f"net_{text}".rstrip("_") if not text or text[0].isdigit() or text in _RESERVED else text


def _device(target: str | Target, cores: int | None) -> Target:
    device = find_target(target) if isinstance(target, str) else target
    return device if cores is None else device.with_cores(cores)


def limits_of(device: Target, budget: Mapping[str, str | int] | None) -> dict[str, int]:
    """Budgets in bytes by memory: {"ram": "48 kB"} -> {"ram": 48000}."""
    names = [memory.name for memory in device.memories if memory.writable] or ["ram"]
    limits = {}
    for key, size in (budget or {}).items():
        if key in TIMES:
            continue
        if key not in {*names, "ram"}:
            allowed = [*names, *TIMES]
            raise BadOption(f"unknown memory {key!r} in the budget", hint=nearest(key, allowed))
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
