# SPDX-License-Identifier: Apache-2.0
"""Where every mark of the bars of cycles stands."""

from __future__ import annotations

from collections.abc import Iterator

from acclimate.report.charts import LEFT, Box, Chart, Tick, box, call_width, nice_steps, short
from acclimate.report.cycles import KINDS, CallCycles, StepCycles
from acclimate.report.report import EntryReport

_BARS_TOP, _BARS_HEIGHT = 10.0, 180.0
_LEAST_HEIGHT = 0.25  # pixels; thinner parts of a bar cannot be seen
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
    lines = [call_name(call), cycles_of(call, step)]
    lines += [f"{call.macs:,} MAC, {call.mac_per_cycle:.3f} MAC/cycle"] if call.macs else []
    return "\n".join([*lines, *largest_kinds(call)])


def call_name(call: CallCycles) -> str:
    """`12  fc1.linear_fwd`, the first line of a tooltip."""
    return f"{call.number}  {call.label}"


def cycles_of(call: CallCycles, step: StepCycles) -> str:
    """Cycles and their share of the step."""
    return f"{call.cycles:,} cycles, {100 * call.cycles / max(step.cycles, 1):.1f} %"


def largest_kinds(call: CallCycles) -> list[str]:
    """`54 % multi-cycle ...`, the largest first."""
    if not call.events:
        return []
    shares = call.shares()
    kinds = sorted(KINDS, key=lambda kind: -shares[kind.event])[:_SHOWN_KINDS]
    return [f"{100 * shares[k.event]:.0f} % {k.meaning}" for k in kinds if shares[k.event] > 0.005]
