# SPDX-License-Identifier: Apache-2.0
"""Where every mark of the roofline stands: the calls of a step below what the cluster can reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from acclimate.program import Phase
from acclimate.report.charts import LEFT, LETTER, RIGHT, WIDTH, Tick
from acclimate.report.cycles import CallCycles, Roofs, StepCycles, joined
from acclimate.report.cycles_charts import call_name, cycles_of, largest_kinds
from acclimate.report.report import EntryReport

_TOP, _HEIGHT, _AXIS_HEIGHT = 22.0, 380.0, 40.0
_LABELS = 6  # dots with their names beside them
_SAME = 4.0  # pixels; calls of one phase that are nearer to each other share a dot


@dataclass(frozen=True)
class Dot:
    """Calls that behave alike; their name stands at `label_x`, `label_y` where there is room."""

    x: float
    y: float
    radius: float
    style: str
    calls: tuple[int, ...]
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
    """One SVG. Both axes are logarithmic: MAC per byte of the cores' accesses, MAC per cycle.

    Args:
        height: of the drawing.
        bottom: where the horizontal axis is.
        lines: roofs.
        dots: calls with multiply-accumulates, those with most cycles first.
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
    bottom = _TOP + _HEIGHT
    x = _Axis(min(intensities) / 1.5, 1.25 * max(*intensities, ridge), LEFT, WIDTH - RIGHT)
    # A little more than the roof, but every dot must be seen even if it breaks through.
    y = _Axis(min(rates) / 1.5, 1.2 * max(roofs.fpus, *rates), bottom, _TOP)
    phases = {call.number: call.phase for call in entry.calls}
    drawn = sum(call.cycles for call in calls)
    return Roofline(
        height=bottom + _AXIS_HEIGHT,
        bottom=bottom,
        lines=tuple(_lines(roofs, x, y)),
        dots=tuple(_dots(_groups(calls, phases, x, y), step, roofs)),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        left_out_cycles=step.cycles - drawn,
        summary=f"Roofline of {entry.name}: {len(calls)} calls reach {min(rates):.2g} to"
        f" {max(rates):.2g} MAC per cycle of {roofs.fpus}. The table of calls below has the rates.",
    )


def _lines(roofs: Roofs, x: _Axis, y: _Axis) -> Iterator[Line]:
    """DMA, L2 where data are there, what in-order cores can issue; compute and L1 as one roof."""
    l1, dma, l2 = roofs.l1_bytes_per_cycle, roofs.dma_bytes_per_cycle, roofs.l2_bytes_per_cycle
    yield _diagonal(x, y, dma, roofs.fpus, "dma-roof", f"DMA {dma} B/cycle", 0.35)
    if l2 is not None:
        yield _diagonal(x, y, l2, roofs.fpus, "l2-roof", f"L2 {l2:.3g} B/cycle", 0.92)
    curve = [x.low * (x.high / x.low) ** (i / 60) for i in range(61)]
    yield Line(_path(curve, roofs.issue, x, y), "issue-roof", "", 0.0, 0.0, 0.0, "middle")
    yield _diagonal(x, y, l1, roofs.fpus, "roof", f"L1 {l1} B/cycle", 0.5)
    flat = f"M{x(max(roofs.fpus / l1, x.low)):.2f} {y(roofs.fpus):.2f}H{x.end:.2f}"
    text = f"{roofs.fpus} FPU{'s' * (roofs.fpus > 1)}: {roofs.fpus} MAC/cycle"
    yield Line(flat, "roof", text, x.end, round(y(roofs.fpus), 2), 0.0, "end")


def _diagonal(
    x: _Axis, y: _Axis, rate: float, top: float, style: str, text: str, part: float
) -> Line:
    """MAC/cycle = rate x MAC/byte up to the compute roof; the text stands at a part of its way."""
    low, high = max(x.low, y.low / rate), min(x.high, top / rate)
    if low >= high:
        return Line("", style, "", 0.0, 0.0, 0.0, "middle")
    x0, y0, x1, y1 = x(low), y(rate * low), x(high), y(rate * high)
    fits = math.hypot(x1 - x0, y1 - y0) > (len(text) + 4) * LETTER
    return Line(
        f"M{x0:.2f} {y0:.2f}L{x1:.2f} {y1:.2f}",
        style,
        text if fits else "",
        round(x0 + part * (x1 - x0), 2),
        round(y0 + part * (y1 - y0), 2),
        round(math.degrees(math.atan2(y1 - y0, x1 - x0)), 1),
        "middle",
    )


def _path(values: Sequence[float], function: Callable[[float], float], x: _Axis, y: _Axis) -> str:
    points = [(x(v), y(function(v))) for v in values if function(v) >= y.low]
    return "M" + "L".join(f"{at:.1f} {height:.1f}" for at, height in points) if points else ""


@dataclass(frozen=True)
class _Group:
    """Calls that share a dot, and where it stands."""

    phase: Phase
    calls: tuple[CallCycles, ...]
    x: float
    y: float

    def radius(self, step: StepCycles) -> float:
        """Area = cycles, but never too small to hit."""
        return 3.5 + 17 * math.sqrt(sum(c.cycles for c in self.calls) / max(step.cycles, 1))

    def label(self) -> str:
        """What their names have in common, from the right: `4 × pointwise.conv2d_fwd`."""
        parts = [call.label.split(".")[::-1] for call in self.calls]
        common: list[str] = []
        for names in zip(*parts, strict=False):
            if len(set(names)) > 1:
                break
            common.insert(0, names[0])
        count = f"{len(self.calls)} × " if len(self.calls) > 1 else ""
        return f"{count}{'.'.join(common) or self.calls[0].label}"


def _groups(
    calls: Sequence[CallCycles], phases: dict[int, Phase], x: _Axis, y: _Axis
) -> list[_Group]:
    """Layers of one shape stand at one place: they are one dot, so that none is hidden."""
    found: list[list[CallCycles]] = []
    for call in calls:
        for group in found:
            first = group[0]
            alike = phases.get(first.number) == phases.get(call.number)
            across = abs(x(first.intensity) - x(call.intensity))
            along = abs(y(first.mac_per_cycle) - y(call.mac_per_cycle))
            if alike and max(across, along) < _SAME:
                group.append(call)
                break
        else:
            found.append([call])
    groups = []
    for group in found:
        whole = joined(tuple(group))
        phase = phases.get(group[0].number, Phase.FORWARD)
        ordered = tuple(sorted(group, key=lambda call: call.number))
        groups.append(_Group(phase, ordered, x(whole.intensity), y(whole.mac_per_cycle)))
    return sorted(groups, key=lambda group: -sum(call.cycles for call in group.calls))


def _dots(groups: Sequence[_Group], step: StepCycles, roofs: Roofs) -> Iterator[Dot]:
    """The largest dots get their names, where these cover nothing."""
    taken = []
    for group in groups:
        radius = group.radius(step)
        taken.append(_Area(group.x - radius, group.x + radius, group.y - radius, group.y + radius))
    for rank, group in enumerate(groups):
        radius, label = group.radius(step), group.label()
        text = _beside(label, group.x, group.y, radius, taken) if rank < _LABELS else None
        taken += [text] if text else []
        yield Dot(
            round(group.x, 2),
            round(group.y, 2),
            round(radius, 2),
            group.phase,
            tuple(call.number for call in group.calls),
            _dot_tip(group, step, roofs),
            label if text else "",
            round(text.left, 2) if text else 0.0,
            round(group.y + 4, 2),
        )


def _dot_tip(group: _Group, step: StepCycles, roofs: Roofs) -> str:
    call, first = joined(group.calls), group.calls[0]
    reachable = roofs.reachable(call.intensity)
    roof = "the FPUs" if reachable >= roofs.fpus else "L1"
    numbers = ", ".join(str(one.number) for one in group.calls)
    head = call_name(first) if len(group.calls) == 1 else f"{group.label()}: calls {numbers}"
    lines = [
        head,
        f"{call.mac_per_cycle:.3f} MAC/cycle, {call.intensity:.3f} MAC per byte loaded or stored",
        f"{100 * call.mac_per_cycle / reachable:.0f} % of the roof of {roof},"
        f" {reachable:.3g} MAC/cycle",
        cycles_of(call, step),
        *largest_kinds(call),
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
