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
from acclimate.report.processes import Tell, spread
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
        progress: told (tasks that are done, all that are known so far, name of the point).
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


@dataclass(frozen=True)
class _Kept:
    """What a choice that keeps all activations costs: others are compared with it."""

    ram_bytes: int
    cycles: int

    @classmethod
    def of(cls, point: Point) -> _Kept | None:
        """Those of a point; None where it has no costs."""
        return cls(point.cost.ram_bytes, point.cost.cycles) if point.cost else None


@dataclass(frozen=True)
class _Task:
    """A choice, or a way to make it fit.

    Args:
        number: of the choice.
        way: of `WAYS`; empty for the choice with all activations kept.
        kept: costs of that one.
    """

    number: int
    way: str = ""
    kept: _Kept | None = None


_Found = tuple[str, list[Point]]  # title of the model


@dataclass
class _Seen:
    """What a survey knows of its device."""

    job: Job
    progress: Progress

    def __post_init__(self) -> None:
        target, cores = self.job.target, self.job.cores
        device = find_target(target) if isinstance(target, str) else target
        self.target = device if cores is None else device.with_cores(cores)
        self._list: list[tuple[Choice, int]] = []
        self._captured: dict[int, Firmware] = {}

    def points(self, plans: Mapping[str, UpdatePolicy]) -> tuple[str, list[Point]]:
        """Title of the model, and every choice that trains something else than those before it."""
        self._list = list(self._choices(plans))
        tasks = [_Task(number) for number in range(len(self._list))]
        found = spread(self._work, tasks, self.progress)
        points = [replace(point, job=self.job) for task in tasks for point in self._of(task, found)]
        return found[tasks[0]][0] if tasks else "", points

    def _work(self, task: _Task, tell: Tell) -> tuple[_Found, list[_Task]]:
        """What a task finds, and tasks for the ways to save RAM where the device needs that.

        The job stays where it is: no process could send the model that it holds.
        """
        choice, trained = self._list[task.number]
        less = choice.less(task.way) if task.way else choice
        tell(less.name)
        if task.number not in self._captured:
            tried = task.number > 0 or bool(task.way)
            self._captured = {task.number: self._capture(choice, tried)}
        captured, more = self._captured[task.number], []
        if task.way:
            point = self._less(less, trained, captured, task.kept)
            points = [point] if point else []
        else:
            points = self._levels(choice, trained, captured, tell)
            if points and not points[0].fits and _worth_saving(points[0]):
                # Another process begins with the last one, pages: it knows few tiles yet.
                ways = [*self._ways[::2], *self._ways[1::2]]
                more = [_Task(task.number, way, _Kept.of(points[0])) for way in ways]
        return (captured.title, [replace(point, job=None) for point in points]), more

    def _of(self, task: _Task, found: Mapping[_Task, _Found]) -> list[Point]:
        """All points of a choice."""
        points = list(found[task][1])
        kept = _Kept.of(points[0]) if points else None
        for way in self._ways:
            saved = found.get(_Task(task.number, way, kept))
            points += _useful(way, saved[1], points[1:]) if saved else []
        return points

    @property
    def _ways(self) -> Sequence[str]:
        """To save RAM on the device."""
        return WAYS if can_page(self.target) else WAYS[:1]

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

    def _capture(self, choice: Choice, tried: bool) -> Firmware:
        """What does not depend on the device, for one that holds everything."""
        job = replace(self.job, target="portable", cores=None, budget=None, solver_seconds=0.0)
        return replace(job, update=choice.update).run(tried=tried)

    def _levels(self, choice: Choice, trained: int, captured: Firmware, tell: Tell) -> list[Point]:
        """A choice that keeps all activations; where it fits, also with shares of its arena."""
        kept = self._point(choice, trained, captured)
        points = [kept] if kept else []
        if kept is None or not kept.fits or not _worth_saving(kept):
            return points
        for percent in LEVELS:
            seen: list[Point] = []
            for way in self._ways:
                less = choice.less(way, percent)
                tell(less.name)
                point = self._less(less, trained, captured, _Kept.of(kept))
                seen += _useful(way, [point] if point else [], seen)
            points += seen
            if not seen:  # no order of calls takes so little
                break
        return points

    def _less(
        self, choice: Choice, trained: int, captured: Firmware, kept: _Kept | None
    ) -> Point | None:
        """A point with less RAM than one that keeps everything; None if there is none."""
        point = self._point(choice, trained, captured)
        if point is None or not (kept and point.cost):
            return point
        if point.cost.ram_bytes >= kept.ram_bytes:
            return None
        more = 100.0 * (point.cost.cycles / max(kept.cycles, 1) - 1.0)
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


def _worth_saving(kept: Point) -> bool:
    """True if what comes and goes is not too little."""
    cost = kept.cost
    return cost is None or cost.parts.get("arena", 0) >= _WORTH * cost.ram_bytes


def _useful(way: str, found: list[Point], others: Sequence[Point]) -> list[Point]:
    """What one way found; of both together nothing where one of them alone is as cheap."""
    return [point for point in found if way != "either" or _cheapest(point, others)]


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
