# SPDX-License-Identifier: Apache-2.0
"""Bars with whiskers and lines with bands, as marks at pixels for an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from statistics import fmean

WIDTH = 1000.0
_LABEL, _VALUE, _ROW = 240.0, 190.0, 26.0
_LEFT, _RIGHT, _TOP, _PLOT = 56.0, 150.0, 12.0, 240.0
_GAP = 16.0  # between the names of two lines
_MOST_TICKS = 6
STYLES = ("forward", "kept", "backward", "update", "state", "gradient", "statistic", "arena")


@dataclass(frozen=True)
class Whisker:
    """Mean of values and their range.

    Args:
        label: what was measured.
        mean: of the values.
        low: the smallest one.
        high: the largest one.
    """

    label: str
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, label: str, values: Sequence[float]) -> Whisker:
        """From the values themselves."""
        return cls(label, fmean(values), min(values), max(values))


@dataclass(frozen=True)
class Bar:
    """A bar at pixels; its whisker is left out where low equals high."""

    label: str
    text: str
    style: str
    y: float
    x: float
    width: float
    low: float
    high: float


@dataclass(frozen=True)
class BarChart:
    """Horizontal bars from zero, each with its range.

    Args:
        title: above it.
        whiskers: one per bar, from the top.
        unit: of the values.
        form: of the values.
    """

    title: str
    whiskers: tuple[Whisker, ...]
    unit: str = "%"
    form: str = "{:.1f}"

    @property
    def height(self) -> float:
        """Of the drawing."""
        return _ROW * len(self.whiskers) + 6

    @property
    def zero(self) -> float:
        """Pixel of the value zero."""
        return self._x(0.0)

    def bars(self) -> tuple[Bar, ...]:
        """Every mark of the drawing."""
        out = []
        for number, w in enumerate(self.whiskers):
            x, end = sorted((self._x(0.0), self._x(w.mean)))
            text = f"{self.form.format(w.mean)} {self.unit}"
            if w.low < w.high:
                text += f" [{self.form.format(w.low)}..{self.form.format(w.high)}]"
            style = STYLES[number % len(STYLES)]
            low, high = self._x(w.low), self._x(w.high)
            out.append(
                Bar(w.label, text, style, _ROW * number + 4, x, round(end - x, 1), low, high)
            )
        return tuple(out)

    def _x(self, value: float) -> float:
        low = min([0.0, *(w.low for w in self.whiskers)])
        high = max([0.0, *(w.high for w in self.whiskers)])
        room = WIDTH - _LABEL - _VALUE
        return round(_LABEL + room * (value - low) / ((high - low) or 1.0), 1)


@dataclass(frozen=True)
class Line:
    """Means over x, with their range.

    Args:
        name: of the line.
        points: (x, values) from left to right.
    """

    name: str
    points: tuple[tuple[float, tuple[float, ...]], ...]


@dataclass(frozen=True)
class DrawnLine:
    """A line at pixels: path of the means, polygon of the ranges, and where its name stands."""

    name: str
    style: str
    path: str
    band: str
    dots: tuple[tuple[float, float, str], ...]
    name_y: float


@dataclass(frozen=True)
class LineChart:
    """Lines over a common x.

    Args:
        title: above it.
        x_title: under it.
        lines: at least one, each with at least one point.
        unit: of y.
        logarithmic: distances on x are ratios.
    """

    title: str
    x_title: str
    lines: tuple[Line, ...]
    unit: str = "points"
    logarithmic: bool = False
    height = _TOP + _PLOT + 44
    bottom = _TOP + _PLOT
    left, right = _LEFT, WIDTH - _RIGHT

    def drawn(self) -> tuple[DrawnLine, ...]:
        """Every line at pixels; names that would meet are moved apart."""
        out: list[DrawnLine] = []
        ends = {line.name: self._y(fmean(line.points[-1][1])) for line in self.lines}
        free, places = 0.0, {}
        for name in sorted(ends, key=ends.__getitem__):
            places[name] = free = max(ends[name] + 4, free + _GAP)
        for number, line in enumerate(self.lines):
            xs = [self._x(x) for x, _ in line.points]
            means = [self._y(fmean(values)) for _, values in line.points]
            top = [(x, self._y(max(v))) for x, (_, v) in zip(xs, line.points, strict=True)]
            low = [(x, self._y(min(v))) for x, (_, v) in zip(xs, line.points, strict=True)]
            tips = [f"{line.name}, {x:g}: {fmean(v):.1f} {self.unit}" for x, v in line.points]
            out.append(
                DrawnLine(
                    line.name,
                    STYLES[(number + 1) % len(STYLES)],
                    _path(list(zip(xs, means, strict=True))),
                    _path([*top, *reversed(low)]) + "Z",
                    tuple(zip(xs, means, tips, strict=True)),
                    round(places[line.name], 1),
                )
            )
        return tuple(out)

    def x_ticks(self) -> tuple[tuple[float, str], ...]:
        """Every x that a line has."""
        known = sorted({x for line in self.lines for x, _ in line.points})
        return tuple((self._x(x), f"{x:g}") for x in known)

    def y_ticks(self) -> tuple[tuple[float, str], ...]:
        """Round values within the range of y."""
        low, high = self._range()
        step = nice_step(high - low)
        first = ceil(low / step - 1e-9)
        count = floor(high / step + 1e-9) - first + 1
        return tuple((self._y(step * (first + i)), f"{step * (first + i):g}") for i in range(count))

    def _range(self) -> tuple[float, float]:
        values = [value for line in self.lines for _, many in line.points for value in many]
        low, high = min(0.0, *values), max(0.0, *values)
        return (low, high) if low < high else (low, low + 1.0)

    def _y(self, value: float) -> float:
        low, high = self._range()
        return round(self.bottom - _PLOT * (value - low) / (high - low), 1)

    def _x(self, value: float) -> float:
        known = [x for line in self.lines for x, _ in line.points]
        at, low, high = (
            log10(v) if self.logarithmic else v for v in (value, min(known), max(known))
        )
        return round(self.left + (self.right - self.left) * (at - low) / ((high - low) or 1.0), 1)


def nice_step(length: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts a length into at most six parts."""
    raw = length / _MOST_TICKS
    power = 10.0 ** floor(log10(raw))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= raw * (1 - 1e-9))


def _path(at: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
