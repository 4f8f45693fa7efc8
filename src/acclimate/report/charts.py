# SPDX-License-Identifier: Apache-2.0
"""Where every mark of the HTML report stands: pixels from calls and bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from acclimate.report.report import BufferRow, CallRow, EntryReport
from acclimate.report.text import number, place

WIDTH, LEFT, RIGHT = 1000.0, 64.0, 8.0
_MAP_TOP, _MAP_HEIGHT = 14.0, 340.0
_BARS_TOP, _BARS_HEIGHT = 10.0, 96.0
_RIBBON_GAP, _RIBBON_HEIGHT = 8.0, 14.0
_AXIS_HEIGHT = 18.0
LETTER = 6.2  # width of a letter of a label
_TICKS = 5


@dataclass(frozen=True)
class Box:
    """A rectangle with a tooltip; the first line of the tooltip is its head."""

    x: float
    y: float
    width: float
    height: float
    style: str
    tip: str = ""
    label: str = ""


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """One SVG.

    Args:
        height: of the drawing.
        bottom: where the horizontal axis is.
        boxes: buffers, or bars.
        ribbon: phases along the axis.
        y_ticks, x_ticks: of the axes.
        line: path of the live bytes, empty for none.
        bound: height of the lower bound, None for none.
        arenas: where the one of each memory begins, if there are several.
        summary: what a reader who does not see it should know.
    """

    height: float
    bottom: float
    boxes: tuple[Box, ...]
    ribbon: tuple[Box, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    line: str
    bound: float | None
    summary: str
    arenas: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Slice:
    """One part of a stacked bar; `start` and `share` are in percent of the whole."""

    name: str
    style: str
    size_bytes: int
    start: float
    share: float


def stack(parts: Mapping[str, int], styles: Mapping[str, str]) -> tuple[Slice, ...]:
    """Parts as shares of their sum, without the empty ones."""
    total = sum(parts.values()) or 1
    slices, start = [], 0.0
    for name, size in parts.items():
        if size:
            share = 100.0 * size / total
            slices.append(Slice(name, styles[name], size, start, share))
            start += share
    return tuple(slices)


def memory_map(entry: EntryReport) -> Chart:
    """Buffers in the arena: x is the call, y the offset; with the live bytes and their bound.

    The arenas of several memories stand on each other, the fastest at the bottom.
    """
    step = call_width(entry)
    top = max(entry.arena_bytes, entry.bound_bytes, 1) * 1.03
    bottom = _MAP_TOP + _MAP_HEIGHT

    def y(size: float) -> float:
        return round(bottom - _MAP_HEIGHT * size / top, 2)

    boxes, bases = [], _bases(entry)
    for b in entry.buffers:
        low = bases.get(b.memory, 0) + b.offset_bytes
        x, width = LEFT + b.first * step, (b.last - b.first + 1) * step
        top_y = y(low + b.size_bytes)
        height = y(low) - top_y
        label = _label(b, width, height)
        boxes.append(box(x, top_y, width, height, b.use, _buffer_tip(b), label))
    return Chart(
        height=bottom + _RIBBON_GAP + _RIBBON_HEIGHT + _AXIS_HEIGHT,
        bottom=bottom,
        boxes=tuple(boxes),
        ribbon=_ribbon(entry, bottom + _RIBBON_GAP),
        y_ticks=tuple(Tick(y(size), _bytes(size)) for size in nice_steps(top)),
        x_ticks=_call_ticks(entry, step),
        line=_staircase(entry, step, y),
        bound=y(entry.bound_bytes),
        summary=f"Memory map of {entry.name}: {len(entry.buffers)} buffers over"
        f" {len(entry.calls)} calls; the arena has {entry.arena_bytes:,} bytes, at most"
        f" {entry.bound_bytes:,} are alive at once. The table of buffers below says the same.",
        arenas=tuple(Tick(y(base), f"arena in {m}") for m, base in bases.items())
        if len(bases) > 1
        else (),
    )


def _bases(entry: EntryReport) -> dict[str, int]:
    """Where the arena of each memory begins in the map."""
    bases, total = {}, 0
    for memory, size in entry.arenas.items():
        bases[memory] = total
        total += size
    return bases


def mac_bars(entry: EntryReport) -> Chart:
    """Multiply-accumulates of every call, on the same horizontal axis as the memory map."""
    step = call_width(entry)
    top = max((call.macs for call in entry.calls), default=0) * 1.05 or 1.0
    bottom = _BARS_TOP + _BARS_HEIGHT
    gap = min(2.0, 0.2 * step)
    bars = []
    for call in entry.calls:
        height = _BARS_HEIGHT * call.macs / top
        x = LEFT + call.number * step + gap / 2
        bars.append(box(x, bottom - height, step - gap, height, call.phase))
    return Chart(
        height=bottom + 4.0,
        bottom=bottom,
        boxes=tuple(bar for bar in bars if bar.height),
        ribbon=(),
        y_ticks=tuple(
            Tick(round(bottom - _BARS_HEIGHT * n / top, 2), short(n)) for n in nice_steps(top, 3)
        ),
        x_ticks=(),
        line="",
        bound=None,
        summary=f"Multiply-accumulates of the calls of {entry.name}, {entry.macs:,} in all."
        " The table of calls below says the same.",
    )


def nice_steps(top: float, count: int = _TICKS) -> list[int]:
    """0 and multiples of 1, 2 or 5 times a power of ten, at most about `count` of them."""
    raw = max(top / count, 1.0)
    power = 10 ** (len(str(int(raw))) - 1)
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
    return list(range(0, int(top) + 1, step))


def box(
    x: float, y: float, width: float, height: float, style: str, tip: str = "", label: str = ""
) -> Box:
    """Hundredths of a pixel are enough."""
    return Box(round(x, 2), round(y, 2), round(width, 2), round(height, 2), style, tip, label)


def call_width(entry: EntryReport) -> float:
    """Pixels of one call on the horizontal axis of an entry point."""
    return (WIDTH - LEFT - RIGHT) / max(len(entry.calls), 1)


def _bytes(size: int) -> str:
    return f"{size / 1000:g} kB" if size >= 1000 else f"{size} B"


def short(n: int) -> str:
    """A number for an axis: 12000 -> "12 k"."""
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if n >= unit:
            return f"{n / unit:g} {name}"
    return str(n)


def _label(b: BufferRow, width: float, height: float) -> str:
    """The name where it fits in the rectangle."""
    room = int((width - 8) / LETTER)
    if height < 12 or room < 4:
        return ""
    return b.name if len(b.name) <= room else f"{b.name[: room - 1]}…"


def _buffer_tip(b: BufferRow) -> str:
    shape = f"{b.dtype}[{','.join(map(str, b.shape))}]"
    lines = [
        b.name,
        f"{shape}, {number(b.size_bytes)} B at offset {number(b.offset_bytes)}"
        + (f" in {b.memory}" if b.memory else ""),
        f"{USES[b.use]}; alive during calls {b.first} to {b.last}",
        f"{place(b.source)}  {b.source.code}".strip(),
    ]
    return "\n".join(line for line in lines if line)


USES = {
    "forward": "forward only",
    "kept": "kept for backward",
    "backward": "made by backward",
    "scratch": "scratch of one call",
    "tiled": "tile of a larger buffer",
}


def _ribbon(entry: EntryReport, y: float) -> tuple[Box, ...]:
    """Neighbouring calls of one phase as one box."""
    step = call_width(entry)
    boxes = []
    for phase, group in groupby(entry.calls, key=lambda call: call.phase):
        calls: Sequence[CallRow] = list(group)
        x, width = LEFT + calls[0].number * step, len(calls) * step
        label = phase if width > (len(phase) + 2) * LETTER else ""
        last = calls[-1].number
        tip = f"{phase}\ncalls {calls[0].number} to {last}" if last > calls[0].number else phase
        boxes.append(Box(round(x, 2), y, round(width - 1, 2), _RIBBON_HEIGHT, phase, tip, label))
    return tuple(boxes)


def _call_ticks(entry: EntryReport, step: float) -> tuple[Tick, ...]:
    marks = nice_steps(max(len(entry.calls) - 1, 1), 10)
    return tuple(Tick(round(LEFT + (n + 0.5) * step, 2), str(n)) for n in marks)


def _staircase(entry: EntryReport, step: float, y: Callable[[float], float]) -> str:
    """SVG path of the live bytes: one level per call."""
    parts: list[str] = []
    for call in entry.calls:
        x = LEFT + call.number * step
        level = y(call.live_bytes)
        parts.append(f"{'L' if parts else 'M'}{x:.2f} {level:.2f}H{x + step:.2f}")
    return "".join(parts)
