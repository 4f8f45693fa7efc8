# SPDX-License-Identifier: Apache-2.0
"""What could learn on a device: compiles every choice and gathers what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

import acclimate
from acclimate.budget import TIMES, limits_of, saving_of, wanted_of
from acclimate.capture import Update, UpdatePolicy, split_example
from acclimate.errors import BadOption, DoesNotFit, NoSchedule, NothingToTrain
from acclimate.firmware import Firmware
from acclimate.pipeline import Job, refit
from acclimate.recompute import can_page
from acclimate.report.choices import LEVELS, WAYS, Choice, check_plans, list_choices
from acclimate.report.points import Cost, Point, Survey, with_front
from acclimate.report.processes import spread
from acclimate.report.shortfall import cost_of, largest_in, refusal_of
from acclimate.targets import Target, find_target

Progress = Callable[[int, int, str], None]
_ROOM_BYTES = 2**40  # more than any model takes
# Less than this share of the RAM in buffers that come and go is not worth computing again.
_WORTH = 0.05


def survey(
    model: nn.Module,
    *,
    example: tuple[Any, Any],
    target: str | Target = "host",
    plans: Mapping[str, UpdatePolicy] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Survey:
    """Compiles everything that could learn on a device, and says what each choice costs.

    Args:
        model: as for `compile`.
        example: as for `compile`.
        target: as for `compile`.
        plans: further update policies by name.
        progress: told (choices of what learns that are done, all of them, name of the point).
        options: of `compile`; `update` is the point `own`, `recompute` and `page` do not count.

    Returns:
        Points with their costs, those that do not fit too, and the Pareto front.

    Raises:
        AcclimateError: the model cannot be compiled, or an option is wrong.
    """
    named = dict(plans or {})
    check_plans(named)
    job = Job(model, example, target=target, **{**options, "recompute": "never", "page": "never"})
    if not set(job.entries) - {"predict"}:
        raise BadOption("nothing learns in predict alone", hint="entries=('predict', 'train')")
    seen = _Seen(job, progress or _silent)
    title, points = seen.points(named)
    name = seen.target.machine
    return Survey(job.name, title, name, acclimate.__version__, with_front(tuple(points)))


def _silent(done: int, total: int, what: str) -> None:
    """Nobody waits for news."""


@dataclass
class _Seen:
    """What a survey knows of its device."""

    job: Job
    progress: Progress

    def __post_init__(self) -> None:
        target, cores = self.job.target, self.job.cores
        device = find_target(target) if isinstance(target, str) else target
        self.target = device if cores is None else device.with_cores(cores)

    def points(self, plans: Mapping[str, UpdatePolicy]) -> tuple[str, list[Point]]:
        """Title of the model, and every choice that trains something else than those before it."""
        choices = list(self._choices(plans))

        def levels(number: int, tell: Callable[[str], None]) -> tuple[str, list[Point]]:
            choice, trained = choices[number]
            title, points = self._levels(choice, trained, number > 0, tell)
            # The job goes where no process could send it: it holds the model.
            return title, [replace(point, job=None) for point in points]

        def news(done: int, what: str) -> None:
            self.progress(done, len(choices), what)

        found = spread(levels, len(choices), news)
        titles = [title for title, _ in found]
        points = [replace(point, job=self.job) for _, points in found for point in points]
        return titles[0] if titles else "", points

    def _choices(self, plans: Mapping[str, UpdatePolicy]) -> Iterator[tuple[Choice, int]]:
        """Choices of what learns, each with the number of its parameters."""
        inputs, _ = split_example(self.job.example)
        done = set()
        for choice in list_choices(self.job.model, inputs, plans, self.job.update):
            try:
                update = _update(choice, self.job)
            except (BadOption, NothingToTrain):
                if choice.name in plans:
                    raise
                continue
            key = _trained_names(update)
            if key and key not in done:
                done.add(key)
                yield choice, _count(update)

    def _levels(
        self, choice: Choice, trained: int, tried: bool, tell: Callable[[str], None]
    ) -> tuple[str, list[Point]]:
        """Title, a choice that keeps all activations, and those that take less RAM."""
        tell(choice.name)
        # What does not depend on the device is done once, for one that holds everything.
        job = replace(self.job, target="portable", cores=None, budget=None, solver_seconds=0.0)
        captured = replace(job, update=choice.update).run(tried=tried)
        kept = self._point(choice, trained, captured)
        if kept is None:
            return captured.title, []
        points = [kept]
        arena = kept.cost.parts.get("arena", 0) if kept.cost else 0
        if kept.cost and arena < _WORTH * kept.cost.ram_bytes:
            return captured.title, points
        levels = LEVELS if kept.fits else (None,)  # as far as the device needs it
        for percent in levels:
            seen: list[Point] = []
            for way in WAYS if can_page(self.target) else WAYS[:1]:
                less = choice.less(way, percent)
                tell(less.name)
                point = self._less(less, trained, captured, kept)
                if point is None:
                    continue
                if way == "either" and not _cheapest(point, seen):
                    continue
                seen.append(point)
            points += seen
            if not seen:  # no order of calls takes so little
                break
        return captured.title, points

    def _less(self, choice: Choice, trained: int, captured: Firmware, kept: Point) -> Point | None:
        """A point with less RAM than one that keeps everything; None if there is none."""
        point = self._point(choice, trained, captured)
        if point is None or not (kept.cost and point.cost):
            return point
        if point.cost.ram_bytes >= kept.cost.ram_bytes:
            return None
        more = 100.0 * (point.cost.cycles / max(kept.cost.cycles, 1) - 1.0)
        return replace(point, extra_percent=more)

    def _point(self, choice: Choice, trained: int, captured: Firmware) -> Point | None:
        """A choice with its cost; None if RAM cannot be saved that way."""
        try:
            firmware = self._fit(captured, choice, self.target, self.job.budget)
        except NoSchedule:
            return None
        except DoesNotFit as error:
            return self._refused(choice, trained, captured, error)
        cost = cost_of(firmware, self.target, self._limits())
        return Point(choice.name, choice, trained, cost, job=self.job)

    def _fit(
        self, captured: Firmware, choice: Choice, target: Target, budget: Mapping[str, Any] | None
    ) -> Firmware:
        saving = saving_of(choice.recompute, choice.page)
        wanted = wanted_of(target, budget, self.job.solver_seconds, saving)
        return refit(captured, replace(wanted, costs_only=True))

    def _refused(
        self, choice: Choice, trained: int, captured: Firmware, error: DoesNotFit
    ) -> Point:
        """What it would take on a device with one memory that holds everything."""
        spacious, large_memory = _spacious(self.target)
        inner = {
            name: size
            for name, size in (self.job.budget or {}).items()
            if name not in ("ram", large_memory, *TIMES)
        }
        try:
            firmware = self._fit(captured, choice, spacious, inner)
        except DoesNotFit:
            # Not even its tiles fit the fast memory.
            reason = f"{error.what}; {error.found or ''}".rstrip("; ")
            return Point(choice.name, choice, trained, None, refusal=reason, job=self.job)
        cost: Cost = cost_of(firmware, self.target, self._limits())
        large = largest_in(firmware, cost, self.target)
        late = wanted_of(self.target, self.job.budget).late(cost.cycles)
        why = "; ".join(text for text in (refusal_of(cost, large), late) if text) or error.what
        return Point(choice.name, choice, trained, cost, None, large, why, late, job=self.job)

    def _limits(self) -> Mapping[str, int]:
        """Budgets in bytes."""
        return limits_of(self.target, self.job.budget)


def _cheapest(point: Point, others: Sequence[Point]) -> bool:
    """True if a point takes fewer cycles than all others, or is the only one that fits."""
    costs = [other.cost.cycles for other in others if other.cost and other.fits]
    return point.cost is not None and all(point.cost.cycles < cycles for cycles in costs)


def _spacious(target: Target) -> tuple[Target, str]:
    """The same device with more of its largest memory, and of its flash, than anything needs."""
    writable = [memory for memory in target.memories if memory.writable]
    # NOTE: the fast memory of a cluster stays: tiles are made for its size.
    outer = writable[1:] if target.cluster and len(writable) > 1 else writable
    largest = max(outer, key=lambda memory: memory.usable_bytes, default=None)
    memories = tuple(
        replace(m, size_bytes=_ROOM_BYTES) if m is largest or not m.writable else m
        for m in target.memories
    )
    return replace(target, memories=memories), largest.name if largest else ""


def _update(choice: Choice, job: Job) -> Update:
    """The model with what a choice trains."""
    inputs, _ = split_example(job.example)
    return choice.update.choose(job.model, inputs) if choice.update else Update(job.model)


def _trained_names(update: Update) -> tuple[tuple[str, tuple[int, ...] | None], ...]:
    """What learns; two choices with the same answer are one."""
    return tuple(
        (name, update.channels.get(name))
        for name, parameter in update.model.named_parameters()
        if parameter.requires_grad
    )


def _count(update: Update) -> int:
    """Parameters that learn, of a weight of which some channels learn only these."""
    total = 0
    for name, parameter in update.model.named_parameters():
        if parameter.requires_grad:
            channels = update.channels.get(name)
            share = len(channels) / parameter.shape[1] if channels is not None else 1.0
            total += round(parameter.numel() * share)
    return total
