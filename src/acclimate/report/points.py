# SPDX-License-Identifier: Apache-2.0
"""Training steps that a device could run, and what each costs: numbers only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.pipeline import Job, compile
from acclimate.program import Role
from acclimate.report.choices import Choice
from acclimate.report.front import pareto_front


@dataclass(frozen=True)
class Room:
    """What a step takes of a memory.

    Args:
        memory: its name; `RAM` for a device without memories, `budget` for the limit of all RAM.
        arena_bytes: of the buffers that come and go.
        static_bytes: of parameters, states and constants that lie there.
        usable_bytes: that it has for data; None without a limit.
        writable: False for flash.
    """

    memory: str
    arena_bytes: int
    static_bytes: int
    usable_bytes: int | None
    writable: bool = True

    @property
    def taken_bytes(self) -> int:
        """Both together."""
        return self.arena_bytes + self.static_bytes

    @property
    def over_bytes(self) -> int:
        """How much is missing; 0 where it fits."""
        return max(0, self.taken_bytes - (self.usable_bytes or self.taken_bytes))


@dataclass(frozen=True)
class Large:
    """A buffer in a memory that is too small, and the line of the model that it comes from."""

    name: str
    memory: str
    size_bytes: int
    source: str


@dataclass(frozen=True)
class Cost:
    """What a training step takes.

    Args:
        rooms: by memory, fastest first.
        parts: bytes of RAM by what they are for: arena, parameter, state, page, ...
        flash_bytes: constants, and initial values that are not all zero; without code.
        macs: multiply-accumulates of a step.
        cycles: of a step, an estimate.
        milliseconds: None where the target has no clock.
        energy_mj: None where it has no clock or no power.
    """

    rooms: tuple[Room, ...]
    parts: Mapping[str, int]
    flash_bytes: int
    macs: int
    cycles: int
    milliseconds: float | None
    energy_mj: float | None

    @property
    def ram_bytes(self) -> int:
        """Arena and static data that lie in RAM, without what waits in a slower memory."""
        return sum(size for part, size in self.parts.items() if part != str(Role.PAGE))


@dataclass(frozen=True)
class Point:
    """A training step that could be compiled.

    Args:
        name: that can be typed: `acclimate compile ... --point NAME`.
        choice: what learns, and what is computed again or paged.
        trained: parameters that learn.
        cost: None where it could not even be laid out.
        extra_percent: cycles more than with all activations kept; None where they are.
        large: the largest buffers in the memories that are too small.
        refusal: why it does not fit; empty where it does.
        late: the part of it that is about time and energy.
        front: no other point that fits is better in RAM, cycles and trained parameters.
        job: what compiles it.
    """

    name: str
    choice: Choice
    trained: int
    cost: Cost | None
    extra_percent: float | None = None
    large: tuple[Large, ...] = ()
    refusal: str = ""
    late: str = ""
    front: bool = False
    job: Job | None = field(default=None, repr=False, compare=False)

    @property
    def fits(self) -> bool:
        """True if the target can hold it."""
        return not self.refusal

    def compile(self) -> Firmware:
        """The firmware of this point, with the costs that it has here.

        Raises:
            DoesNotFit: the point does not fit.
        """
        assert self.job is not None
        job = self.job
        return compile(
            job.model,
            example=job.example,
            loss=job.loss,
            optimizer=job.optimizer,
            target=job.target,
            cores=job.cores,
            name=job.name,
            entries=job.entries,
            budget=job.budget,
            seed=job.seed,
            update=self.choice.update,
            solver_seconds=job.solver_seconds,
            recompute=self.choice.recompute,
            page=self.choice.page,
        )


@dataclass(frozen=True)
class Survey:
    """Everything that could learn on a device.

    Args:
        name: prefix of the C symbols.
        title: model and optimizer.
        target: name of the device, with its changes.
        version: of acclimate.
        points: from most to least that learns; those with less RAM behind theirs.
    """

    name: str
    title: str
    target: str
    version: str
    points: tuple[Point, ...]

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __getitem__(self, name: str) -> Point:
        for point in self.points:
            if point.name == name:
                return point
        names = [point.name for point in self.points]
        raise BadOption(f"there is no point {name!r}", hint=nearest(name, names))

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no other one dominates."""
        return tuple(point for point in self.points if point.front)

    def text(self) -> str:
        """The survey as aligned plain text."""
        from acclimate.report.survey_text import survey_text

        return survey_text(self)

    def json(self) -> str:
        """The survey as JSON: keys are stable, and the unit ends the key of a number."""
        from acclimate.report.survey_text import survey_json

        return survey_json(self)

    def html(self) -> str:
        """The survey as one HTML file that needs nothing else."""
        from acclimate.report.survey_html import survey_html

        return survey_html(self)

    def __str__(self) -> str:
        return self.text()


def with_front(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Marks those that fit and that no other one beats in RAM, cycles and trained parameters."""
    fitting = [number for number, point in enumerate(points) if point.fits and point.cost]
    costs = []
    for number in fitting:
        cost = points[number].cost
        assert cost is not None
        costs.append((cost.ram_bytes, cost.cycles, -points[number].trained))
    best = {fitting[number] for number in pareto_front(costs)}
    return tuple(replace(point, front=number in best) for number, point in enumerate(points))
