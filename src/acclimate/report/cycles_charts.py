# SPDX-License-Identifier: Apache-2.0
"""Where every mark of the charts of cycles stands: bars of the calls, and the roofline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from acclimate.program import Phase
from acclimate.report.charts import (
    LEFT,
    LETTER,
    RIGHT,
    WIDTH,
    Box,
    Chart,
    Tick,
    box,
    call_width,
    nice_steps,
    short,
)
from acclimate.report.cycles import KINDS, CallCycles, Roofs, StepCycles
from acclimate.report.report import EntryReport

_BARS_TOP, _BARS_HEIGHT = 10.0, 180.0
_ROOF_TOP, _ROOF_HEIGHT, _ROOF_AXIS = 22.0, 380.0, 40.0
_LEAST_HEIGHT = 0.25  # pixels; thinner parts of a bar cannot be seen
_LABELS = 6  # dots of the roofline with their names beside them
_SHOWN_KINDS = 3


def cycle_bars(entry: EntryReport, step: StepCycles) -> Chart:
    """Cycles of every call, split as all cores spend them; on the axis of the memory map."""
    width = call_width(entry)
    calls = [call for call in step.calls if 0 <= call.number < len(entry.calls)]
    top = max((call.cycles for call in calls), default=0) * 1.05 or 1.0
    bottom = _BARS_TOP + _BARS_HEIGHT
    gap = min(2.0, 0.2 * width)
    boxes: list[Box] = []
    for call in calls:
        x, height = LEFT + call.number * width, _BARS_HEIGHT * call.cycles / top
        boxes += _bar(call, x + gap / 2, width - gap, bottom, height)
        boxes.append(box(x, _BARS_TOP, width, _BARS_HEIGHT, "hit", _bar_tip(call, step)))
    return Chart(
        height=bottom + 4.0,
        bottom=bottom,
        boxes=tuple(boxes),
        ribbon=(),
        y_ticks=tuple(
            Tick(round(bottom - _BARS_HEIGHT * n / top, 2), short(n)) for n in nice_steps(top, 4)
        ),
        x_ticks=(),
        line="",
        bound=None,
        summary=f"Cycles of the calls of {entry.name}, {step.cycles:,} in all."
        " The table of calls below says the same.",
    )


def _bar(call: CallCycles, x: float, width: float, bottom: float, height: float) -> Iterator[Box]:
    """The parts of a bar from the bottom up."""
    shares = call.shares() if call.events else {"cycles": 1.0}
    for name, share in shares.items():
        part = height * share
        if part >= _LEAST_HEIGHT:
            yield box(x, bottom - part, width, part, name)
        bottom -= part


def _bar_tip(call: CallCycles, step: StepCycles) -> str:
    lines = [_name(call), _cycles(call, step)]
    lines += [f"{call.macs:,} MAC, {call.mac_per_cycle:.3f} MAC/cycle"] if call.macs else []
    return "\n".join([*lines, *_largest_kinds(call)])


def _name(call: CallCycles) -> str:
    return f"{call.number}  {call.label}"


def _cycles(call: CallCycles, step: StepCycles) -> str:
    return f"{call.cycles:,} cycles, {100 * call.cycles / max(step.cycles, 1):.1f} %"


def _largest_kinds(call: CallCycles) -> list[str]:
    """`54 % multi-cycle ...`, the largest first."""
    if not call.events:
        return []
    shares = call.shares()
    kinds = sorted(KINDS, key=lambda kind: -shares[kind.event])[:_SHOWN_KINDS]
    return [f"{100 * shares[k.event]:.0f} % {k.meaning}" for k in kinds if shares[k.event] > 0.005]


# ---- roofline


@dataclass(frozen=True)
class Dot:
    """A call in the roofline; its name stands at `label_x`, `label_y` where there is room."""

    x: float
    y: float
    radius: float
    style: str
    call: int
    tip: str
    label: str
    label_x: float = 0.0
    label_y: float = 0.0


@dataclass(frozen=True)
class Line:
    """A roof: path, and a text above its point x, y, turned by `angle` degrees."""

    path: str
    style: str
    text: str
    x: float
    y: float
    angle: float
    anchor: str


@dataclass(frozen=True)
class Roofline:
    """One SVG. Both axes are logarithmic: MAC per byte of L1 traffic, MAC per cycle.

    Args:
        height: of the drawing.
        bottom: where the horizontal axis is.
        lines: roofs.
        dots: calls with multiply-accumulates, the longest first.
        x_ticks, y_ticks: of the axes.
        left_out_cycles: of the calls without multiply-accumulates.
        summary: what a reader who does not see it should know.
    """

    height: float
    bottom: float
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    left_out_cycles: int
    summary: str


@dataclass(frozen=True)
class _Area:
    """A rectangle that a dot or a text takes."""

    left: float
    right: float
    top: float
    bottom: float

    def meets(self, other: _Area) -> bool:
        """True if they overlap."""
        beside = self.left >= other.right or other.left >= self.right
        return not (beside or self.top >= other.bottom or other.top >= self.bottom)


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis: `low` is at pixel `start`, `high` at pixel `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self) -> tuple[Tick, ...]:
        """1, 2 and 5 times the powers of ten."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [k * 10.0**power for power in powers for k in (1, 2, 5)]
        return tuple(
            Tick(round(self(v), 2), f"{v:g}") for v in values if self.low <= v <= self.high
        )


def roofline(entry: EntryReport, step: StepCycles) -> Roofline | None:
    """The calls of an entry point below the roofs of the cluster; None without either."""
    roofs = step.roofs
    calls = [c for c in step.calls if c.number >= 0 and c.macs and c.access_bytes and c.cycles]
    if roofs is None or not calls:
        return None
    calls.sort(key=lambda call: -call.cycles)
    rates, intensities = [c.mac_per_cycle for c in calls], [c.intensity for c in calls]
    ridge = roofs.fpus / min(roofs.dma_bytes_per_cycle, roofs.l1_bytes_per_cycle)
    bottom = _ROOF_TOP + _ROOF_HEIGHT
    x = _Axis(min(intensities) / 1.5, 1.25 * max(*intensities, ridge), LEFT, WIDTH - RIGHT)
    # A little more than the roof, but every dot must be seen even if it breaks through.
    y = _Axis(min(rates) / 1.5, 1.2 * max(roofs.fpus, *rates), bottom, _ROOF_TOP)
    phases = {call.number: call.phase for call in entry.calls}
    drawn = sum(call.cycles for call in calls)
    return Roofline(
        height=bottom + _ROOF_AXIS,
        bottom=bottom,
        lines=tuple(_lines(roofs, x, y)),
        dots=tuple(_dots(calls, phases, step, roofs, x, y)),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        left_out_cycles=step.cycles - drawn,
        summary=f"Roofline of {entry.name}: {len(calls)} calls reach {min(rates):.2g} to"
        f" {max(rates):.2g} MAC per cycle of {roofs.fpus}. The table of calls below has the rates.",
    )


def _lines(roofs: Roofs, x: _Axis, y: _Axis) -> Iterator[Line]:
    """Compute and L1 as one roof, then DMA, then what in-order cores can issue."""
    l1, dma = roofs.l1_bytes_per_cycle, roofs.dma_bytes_per_cycle
    yield _diagonal(x, y, dma, roofs.fpus, "dma-roof", f"DMA {dma} B/cycle")
    curve = [x.low * (x.high / x.low) ** (i / 60) for i in range(61)]
    yield Line(_path(curve, roofs.issue, x, y), "issue-roof", "", 0.0, 0.0, 0.0, "middle")
    yield _diagonal(x, y, l1, roofs.fpus, "roof", f"L1 {l1} B/cycle")
    flat = f"M{x(max(roofs.fpus / l1, x.low)):.2f} {y(roofs.fpus):.2f}H{x.end:.2f}"
    text = f"{roofs.fpus} FPU{'s' * (roofs.fpus > 1)}: {roofs.fpus} MAC/cycle"
    yield Line(flat, "roof", text, x.end, round(y(roofs.fpus), 2), 0.0, "end")


def _diagonal(x: _Axis, y: _Axis, rate: int, top: float, style: str, text: str) -> Line:
    """MAC/cycle = rate x MAC/byte from the lower edge up to the compute roof."""
    low, high = max(x.low, y.low / rate), min(x.high, top / rate)
    if low >= high:
        return Line("", style, "", 0.0, 0.0, 0.0, "middle")
    ends = [(x(v), y(rate * v)) for v in (low, high)]
    (x0, y0), (x1, y1) = ends
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    fits = math.hypot(x1 - x0, y1 - y0) > (len(text) + 4) * LETTER
    at = 0.5 if style == "roof" else 0.35  # so that the two texts do not stand side by side
    return Line(
        f"M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}",
        style,
        text if fits else "",
        round(x0 + at * (x1 - x0), 2),
        round(y0 + at * (y1 - y0), 2),
        round(angle, 1),
        "middle",
    )


def _path(values: Sequence[float], function: Callable[[float], float], x: _Axis, y: _Axis) -> str:
    points = [(x(v), y(function(v))) for v in values if function(v) >= y.low]
    return "M" + "L".join(f"{at:.1f} {height:.1f}" for at, height in points)


def _dots(
    calls: Sequence[CallCycles],
    phases: dict[int, Phase],
    step: StepCycles,
    roofs: Roofs,
    x: _Axis,
    y: _Axis,
) -> Iterator[Dot]:
    """Area = cycles. The longest calls get their names, where these cover nothing."""
    marks = [
        (
            round(x(call.intensity), 2),
            round(y(call.mac_per_cycle), 2),
            round(3.5 + 17 * math.sqrt(call.cycles / max(step.cycles, 1)), 2),
        )
        for call in calls
    ]
    taken = [_Area(at - r, at + r, height - r, height + r) for at, height, r in marks]
    for rank, (call, (at, height, radius)) in enumerate(zip(calls, marks, strict=True)):
        text = _beside(call.label, at, height, radius, taken) if rank < _LABELS else None
        taken += [text] if text else []
        yield Dot(
            at,
            height,
            radius,
            phases.get(call.number, Phase.FORWARD),
            call.number,
            _dot_tip(call, step, roofs),
            call.label if text else "",
            round(text.left, 2) if text else 0.0,
            round(height + 4, 2),
        )


def _dot_tip(call: CallCycles, step: StepCycles, roofs: Roofs) -> str:
    reachable = roofs.reachable(call.intensity)
    roof = "the FPUs" if reachable >= roofs.fpus else "L1"
    lines = [
        _name(call),
        f"{call.mac_per_cycle:.3f} MAC/cycle, {call.intensity:.3f} MAC per byte of L1 traffic",
        f"{100 * call.mac_per_cycle / reachable:.0f} % of the roof of {roof},"
        f" {reachable:.3g} MAC/cycle",
        _cycles(call, step),
        *_largest_kinds(call),
    ]
    return "\n".join(lines)


def _beside(
    label: str, at: float, height: float, radius: float, taken: Sequence[_Area]
) -> _Area | None:
    """Room for a text to the right or left of a dot, None where there is none."""
    width = LETTER * len(label)
    for left in (at + radius + 5, at - radius - 5 - width):
        area = _Area(left, left + width, height - 6, height + 6)
        inside = area.left >= LEFT + 4 and area.right <= WIDTH - RIGHT
        if inside and not any(area.meets(other) for other in taken):
            return area
    return None
