# SPDX-License-Identifier: Apache-2.0
"""Survey -> one HTML file: RAM against cycles, RAM by part, the table, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acclimate.report.charts import (
    LEFT,
    LETTER,
    RIGHT,
    WIDTH,
    Slice,
    Tick,
    nice_steps,
    short,
    stack,
)
from acclimate.report.html import page_template
from acclimate.report.points import Cost, Large, Point, Room, Survey
from acclimate.report.survey_text import survey_notes, survey_table

_TOP, _HEIGHT, _AXIS_HEIGHT = 22.0, 380.0, 40.0
_SMALLEST, _LARGEST = (
    4.0,
    11.0,
)  # radius of a point where next to nothing learns, and where most does
_LINE_HEIGHT = 14.0
_FRONT = "parameter"  # green
_STYLES = {
    "arena": "arena",
    "parameter": "parameter",
    "state": "state",
    "gradient": "gradient",
    "statistic": "statistic",
    "frozen": "scratch",
    "page": "tiled",
}


@dataclass(frozen=True)
class Mark:
    """A point in the scatter; its name stands at `label_x`, `label_y` where there is room.

    Its area grows with the parameters that learn: the front is one in three dimensions.
    """

    x: float
    y: float
    radius: float
    style: str
    tip: str
    label: str
    label_x: float
    label_y: float


@dataclass(frozen=True)
class Scatter:
    """One SVG: x is RAM, y is cycles, both from zero.

    Args:
        height: of the drawing.
        bottom: where the horizontal axis is.
        marks: points.
        x_ticks, y_ticks: of the axes.
        summary: what a reader who does not see it should know.
    """

    height: float
    bottom: float
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    summary: str


@dataclass(frozen=True)
class Bar:
    """The RAM of a point, and what is paged; `width` is in percent of the largest one."""

    point: Point
    slices: tuple[Slice, ...]
    width: float
    page_bytes: int


@dataclass(frozen=True)
class Lack:
    """A point that does not fit: what is missing in each memory, and what is largest there."""

    point: Point
    rooms: tuple[tuple[Room, tuple[Large, ...]], ...]


def survey_html(survey: Survey) -> str:
    """The survey as one HTML file that needs nothing else."""
    head, kinds, rows = survey_table(survey)
    return page_template("survey.html.jinja").render(
        survey=survey,
        scatter=scatter(survey),
        bars=tuple(_bars(survey)),
        parts=_parts(survey),
        lacks=tuple(_lack(point) for point in survey if not point.fits),
        head=list(zip(head, kinds, strict=True)),
        rows=list(zip(survey.points, rows, strict=True)),
        kinds=kinds,
        note=survey_notes(survey)[-1],
        chart_left=LEFT,
        chart_right=WIDTH - RIGHT,
        chart_width=WIDTH,
    )


def scatter(survey: Survey) -> Scatter:
    """Where every point stands."""
    shown = [(point, point.cost) for point in survey if point.cost]
    most_bytes = max((cost.ram_bytes for _, cost in shown), default=0) * 1.08 or 1.0
    most_cycles = max((cost.cycles for _, cost in shown), default=0) * 1.08 or 1.0
    bottom = _TOP + _HEIGHT

    def x(size: float) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * size / most_bytes, 2)

    def y(cycles: float) -> float:
        return round(bottom - _HEIGHT * cycles / most_cycles, 2)

    places = [(point, cost, x(cost.ram_bytes), y(cost.cycles)) for point, cost in shown]
    best = sum(point.front for point, *_ in places)
    return Scatter(
        height=bottom + _AXIS_HEIGHT,
        bottom=bottom,
        marks=tuple(_marks(places)),
        x_ticks=tuple(Tick(x(n), f"{short(n)}B" if n else "0") for n in nice_steps(most_bytes, 8)),
        y_ticks=tuple(Tick(y(n), short(n)) for n in nice_steps(most_cycles)),
        summary=f"RAM against cycles of {len(shown)} points; {best} of them are on the front."
        " The table below says the same.",
    )


def _marks(places: Sequence[tuple[Point, Cost, float, float]]) -> Iterator[Mark]:
    """Names of points on the front come first; a name that would cover another is left out.

    Large points are drawn first, so that they cover no small one, and those on the front last.
    """
    most = max((point.trained for point, *_ in places), default=0) or 1
    taken = [
        (at - _radius(point, most), at + _radius(point, most), height)
        for point, _, at, height in places
    ]
    found = []
    for point, cost, at, height in sorted(places, key=lambda place: not place[0].front):
        width, radius = LETTER * len(point.name), _radius(point, most)
        sides = (at + radius + 4, at - radius - 4 - width)
        free = [left for left in sides if _is_free(left, left + width, height, taken)]
        if free:
            taken.append((free[0], free[0] + width, height))
        style = _FRONT if point.front else "forward" if point.fits else "backward"
        label_x = round(free[0], 2) if free else 0.0
        label, label_y = point.name if free else "", round(height + 4, 2)
        mark = Mark(at, height, radius, style, _tip(point, cost), label, label_x, label_y)
        found.append(mark)
    yield from sorted(found, key=lambda mark: (mark.style == _FRONT, -mark.radius))


def _radius(point: Point, most: int) -> float:
    return round(_SMALLEST + (_LARGEST - _SMALLEST) * math.sqrt(point.trained / most), 2)


def _is_free(
    left: float, right: float, height: float, taken: Sequence[tuple[float, float, float]]
) -> bool:
    inside = left >= LEFT + 4 and right <= WIDTH - RIGHT
    return inside and not any(
        left < end and right > start and abs(height - level) < _LINE_HEIGHT
        for start, end, level in taken
    )


def _tip(point: Point, cost: Cost) -> str:
    lines = [
        point.name,
        f"{point.trained:,} parameters learn",
        f"{cost.ram_bytes:,} B of RAM, {cost.flash_bytes:,} B of flash",
        f"{cost.macs:,} MAC, about {cost.cycles:,} cycles",
    ]
    if cost.milliseconds is not None:
        energy = "" if cost.energy_mj is None else f", {cost.energy_mj:.3g} mJ"
        lines.append(f"about {cost.milliseconds:.3g} ms{energy}")
    return "\n".join([*lines, *([] if point.fits else ["does not fit"])])


def _bars(survey: Survey) -> Iterator[Bar]:
    most = max((sum(p.cost.parts.values()) for p in survey if p.cost), default=0) or 1
    for point in survey:
        if point.cost:
            total = sum(point.cost.parts.values())
            slices = stack(point.cost.parts, _STYLES)
            yield Bar(point, slices, 100.0 * total / most, total - point.cost.ram_bytes)


def _lack(point: Point) -> Lack:
    rooms = point.cost.rooms if point.cost else ()
    return Lack(
        point,
        tuple(
            (room, tuple(large for large in point.large if large.memory == room.memory))
            for room in rooms
            if room.over_bytes
        ),
    )


def _parts(survey: Survey) -> list[tuple[str, str]]:
    """Parts of RAM that occur, with their colours."""
    found = {part for point in survey if point.cost for part, n in point.cost.parts.items() if n}
    return [(part, style) for part, style in _STYLES.items() if part in found]
