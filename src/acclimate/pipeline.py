# SPDX-License-Identifier: Apache-2.0
"""The pipeline: nn.Module -> graph -> program -> plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from acclimate import capture
from acclimate.budget import is_share, saving_of, wanted_of
from acclimate.capture import Loss, Update, UpdatePolicy
from acclimate.errors import DoesNotFit
from acclimate.firmware import EntryPoint, Firmware
from acclimate.fit import ORDERED, Stage, fit, quick_l3_bytes, quick_ram_bytes, run_passes
from acclimate.lower import (
    Optimizer,
    Regularizer,
    decompositions,
    find_optimizer,
    lower,
)
from acclimate.options import check_names, check_regularizer
from acclimate.passes import PASSES
from acclimate.program import Program, verify
from acclimate.quantize import Int8, quantize
from acclimate.targets import Target, find_target
from acclimate.wanted import Wanted


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
    features: EntryPoint | None = None
    quantize: Int8 | None = None
    regularizer: Regularizer | None = None

    def run(self, *, tried: bool = False) -> Firmware:
        """Captures, lowers and fits the model.

        Args:
            tried: the model has run on the example before, with something else that learns.

        Raises:
            AcclimateError: as for `compile`.
        """
        lowered = self._lower(tried)
        return _fit(lowered.stages, self._wanted(), lowered.lr, lowered.title)

    def quick_ram_bytes(self) -> int:
        """RAM that the step takes by a quick look; see `fit.quick_ram_bytes`.

        The model has run on the example before. Where time or energy is limited, nothing but the
        whole way says whether the step is within them.

        Raises:
            AcclimateError: as for `compile`.
        """
        wanted = self._wanted()
        if wanted.max_cycles is not None:
            return self.run(tried=True).plan.ram_bytes
        return quick_ram_bytes(self._lower(tried=True).stages[-1].program, wanted)

    def quick_l3_bytes(self) -> int:
        """What would wait in l3, by a quick look; see `fit.quick_l3_bytes`, and above."""
        return quick_l3_bytes(self._lower(tried=True).stages[-1].program, self._wanted())

    def _wanted(self) -> Wanted:
        device = _device(self.target, self.cores)
        saving = saving_of(self.recompute, self.page)
        return wanted_of(device, self.budget, self.solver_seconds, saving)

    def _lower(self, tried: bool) -> _Lowered:
        """What does not depend on the device."""
        check_names(self.name, self.entries)
        check_regularizer(self.regularizer, self.entries)
        self._wanted()  # a wrong option is said before the model is looked at
        rule, criterion = find_optimizer(self.optimizer), capture.find_loss(self.loss)
        inputs, wanted = capture.split_example(self.example)
        data = (*inputs, *(wanted if isinstance(wanted, tuple) else (wanted,)))
        chosen = self.update.choose(self.model, inputs) if self.update else Update(self.model)
        model = capture.in_c_order(chosen.model)
        learns = bool(set(self.entries) - {"predict"})
        if not tried:
            capture.check_model(model, criterion, inputs, wanted, learns)

        forward = capture.export(model, criterion, inputs, wanted)
        folded = tuple(capture.fold_batch_norm(forward))
        table = decompositions()
        answers = capture.export_answers(model, criterion, inputs, wanted, forward, folded)
        predict = capture.trace_predict(answers, data, table)
        joint = capture.trace_joint(forward, data, table) if learns else None

        entries, channels = self.entries, chosen.channels
        program = lower(
            self.name, predict, joint, rule, entries, self.seed, channels, self.regularizer
        )
        stages = [Stage("fold_batch_norm", folded, program)]
        stages += run_passes(PASSES, stages[-1].program)
        if self.quantize is not None:
            program, changes = quantize(stages[-1].program, self.quantize)
            stages.append(Stage("quantize", tuple(changes), verify(program)))
        if self.features is not None:
            added = self.features.add_to(stages[-1].program)
            stages.append(Stage("add_features", (repr(self.features),), verify(added)))
        held = f", {self.regularizer.describe()}" if self.regularizer else ""
        title = f"{type(model).__name__}, trained by {rule.describe()}{held}"
        return _Lowered(stages, rule.lr, title)


@dataclass(frozen=True)
class _Lowered:
    """A captured step: its stages, its learning rate, and what it is."""

    stages: list[Stage]
    lr: float
    title: str


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
    features: EntryPoint | None = None,
    quantize: Int8 | None = None,
    regularizer: Regularizer | None = None,
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
        features: what computes x of the model from sound, as one more function in C:
            `acclimate.data.Mfcc(spec)`.
        quantize: ac.Int8(calibration=x): frozen layers in front of what learns compute with
            integers of eight bits; see docs/quantization.md.
        regularizer: ac.EWC(...) or ac.SI(...) hold parameters near what earlier tasks learned; see
            docs/continual-learning.md.

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
        features,
        quantize,
        regularizer,
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
    device = _device(target, cores)
    return refit(firmware, wanted_of(device, budget, solver_seconds, saving_of(recompute, page)))


def refit(firmware: Firmware, wanted: Wanted) -> Firmware:
    """The same training step, fitted to something else.

    Args:
        firmware: of `compile`.
        wanted: what it has to fit.

    Raises:
        DoesNotFit: it does not.
    """
    names = [stage.name for stage in firmware.stages]
    stages = list(firmware.stages[: names.index(ORDERED)])
    return _fit(stages, wanted, firmware.lr, firmware.title)


def build_firmware(
    program: Program,
    *,
    title: str,
    target: str | Target = "host",
    cores: int | None = None,
    budget: Mapping[str, str | int] | None = None,
) -> Firmware:
    """Fits a program that does not come from a model; arguments as those of `compile`.

    Raises:
        AcclimateError: unknown target, too many cores, or a memory that is too small.
    """
    check_names(program.name, ())
    stages = [Stage("program", (), verify(program))]
    return _fit(stages, wanted_of(_device(target, cores), budget, 5.0), 0.0, title)


def _fit(stages: list[Stage], wanted: Wanted, lr: float, title: str) -> Firmware:
    fitted, placed = fit(stages[-1].program, wanted)
    stages = [*stages, *fitted]
    command = f"target {wanted.target.machine}"
    program = stages[-1].program
    return Firmware(program, placed, wanted.target, lr, title, command, tuple(stages), wanted)


def _device(target: str | Target, cores: int | None) -> Target:
    device = find_target(target) if isinstance(target, str) else target
    return device if cores is None else device.with_cores(cores)
