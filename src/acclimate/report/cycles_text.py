# SPDX-License-Identifier: Apache-2.0
"""Cycles of a call -> tables of at most 110 columns: one of its calls, one of the cores."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from acclimate.report.cycles import COUNTS, CallCycles, CycleKind, StepCycles
from acclimate.report.text import align

WIDTH = 110
_KIND_WIDTH = 4  # of the columns of shares: three digits and a blank
_LEAST_LABEL = 12
_LEAST_SHARE = 0.005  # smaller ones are printed as 0


def cycles_text(step: StepCycles, *, fold: bool = True) -> list[str]:
    """The tables as lines.

    Args:
        step: what to print.
        fold: neighbouring calls that take next to no time become one line.
    """
    calls = [*(step.folded() if fold else step.calls), step.whole()]
    kinds = _shown_kinds(step, calls) if step.counted else ()
    left = _left(step, calls, WIDTH - _KIND_WIDTH * len(kinds))
    right = [_heads(kinds), *(_shares(call, kinds) for call in calls)]
    lines = [f"{a}{b}".rstrip() for a, b in zip(left, right, strict=True)]
    if kinds:
        title = "% of the cycles of all cores"
        lines.insert(0, title.rjust(max(map(len, lines))))
        lines += ["", *_cores(step, kinds, len(left[0]))]
    return [*lines, "", *_remarks(step, kinds)]


def _shown_kinds(step: StepCycles, calls: Sequence[CallCycles]) -> tuple[CycleKind, ...]:
    """Those that are more than a zero in some line: the others only take room from the names."""
    listed = [call.shares() for call in calls if call.number >= 0 or call.label == "sum"]
    return tuple(
        kind for kind in step.kinds() if any(s[kind.event] >= _LEAST_SHARE for s in listed)
    )


def cost_text(step: StepCycles) -> str:
    """Cycles, time and energy in one line: `122,411 cycles, exact; 0.272 ms at 450 MHz`."""
    parts = [f"{step.cycles:,} cycles, {'exact' if step.exact else 'an estimate'}"]
    if step.time_ms is not None:
        parts.append(f"{step.time_ms:.3f} ms at {step.conditions['clock']}")
    if step.energy_uj is not None:
        parts.append(f"{step.energy_uj:.3g} uJ, an estimate")
    return "; ".join(parts)


def _left(step: StepCycles, calls: Sequence[CallCycles], width: int) -> list[str]:
    """Columns before the shares, all of one length; labels give way where there is no room."""
    tail = [["MACs", "cycles", "%", "MAC/c"]]
    for call in calls:
        share = 100 * call.cycles / step.cycles if step.cycles else 0.0
        rate = f"{call.mac_per_cycle:.3f}" if call.macs else ""
        tail.append(
            [f"{call.macs:,}" if call.macs else "", f"{call.cycles:,}", f"{share:.1f}", rate]
        )
    if not step.counted:
        instructions = ["instructions", *(f"{call.instructions:,}" for call in calls)]
        for row, text in zip(tail, instructions, strict=True):
            row.insert(1, text)
    numbers = align(tail, "r" * len(tail[0]))
    digits = ["#", *map(_numbers, calls)]
    digit_width, number_width = max(map(len, digits)), max(map(len, numbers))
    room = max(width - digit_width - number_width - 4, _LEAST_LABEL)
    labels = ["call", *(_shortened(call.label, room) for call in calls)]
    label_width = max(map(len, labels))
    return [
        f"{a:>{digit_width}}  {b:<{label_width}}  {c:<{number_width}}"
        for a, b, c in zip(digits, labels, numbers, strict=True)
    ]


def _numbers(call: CallCycles) -> str:
    """`12`, or `12-15` for folded calls."""
    if call.number < 0:
        return ""
    return f"{call.number}-{call.number + call.count - 1}" if call.count > 1 else f"{call.number}"


def _shortened(label: str, room: int) -> str:
    """The end of a name says most: `...2.pointwise.conv2d_bwd_x`."""
    if len(label) <= room:
        return label
    end = label[3 - room :]
    if label[2 - room] != ".":  # in the middle of a part
        end = end.partition(".")[2] or end
    return f"...{end}"


def _cores(step: StepCycles, kinds: Sequence[CycleKind], width: int) -> list[str]:
    """The table of cores; its shares stand below those of the calls."""
    rows = [["core", "instructions", "IPC", "FPU ops", "loads", "stores"]]
    right = [_heads(kinds)]
    for number, core in enumerate(step.whole().events):
        ipc = core["instructions"] / step.cycles if step.cycles else 0.0
        row = [str(number), f"{core['instructions']:,}", f"{ipc:.2f}"]
        rows.append([*row, *(f"{core[name]:,}" for name in COUNTS)])
        right.append(_shares(CallCycles(number, "", 0, 0, 0, (core,)), kinds))
    left = align(rows, "r" * len(rows[0]))
    return [f"{a:<{width}}{b}".rstrip() for a, b in zip(left, right, strict=True)]


def _heads(kinds: Iterable[CycleKind]) -> str:
    return "".join(f"{kind.head:>{_KIND_WIDTH}}" for kind in kinds)


def _shares(call: CallCycles, kinds: Iterable[CycleKind]) -> str:
    """Whole percents; a dot is exactly nothing."""
    shares = call.shares() if call.events else {}
    cells = (f"{100 * shares[k.event]:.0f}" if call.total(k.event) else "." for k in kinds)
    return "".join(f"{cell:>{_KIND_WIDTH}}" for cell in cells)


def _remarks(step: StepCycles, kinds: Sequence[CycleKind]) -> list[str]:
    """What the columns mean, whether the sum is the whole, and the conditions."""
    whole = step.whole()
    kind = "cycles of core 0" if step.counted else "cycles, an estimate"
    rate = whole.macs / step.cycles if step.cycles else 0.0
    lines = [
        f"sum of the calls {whole.cycles:,} {kind}; the whole {step.entry} {step.cycles:,},"
        f" {rate:.3f} MAC/cycle"
    ]
    if kinds:
        lines += ["", *_legend(kinds)]
        hidden = [kind.title for kind in step.kinds() if kind not in kinds]
        lines += [f"below 0.5 % in every call: {', '.join(hidden)}"] if hidden else []
        lines += ["A core without work in a call waits at the next barrier; the wait counts there."]
    return [*lines, "", *conditions_text(step)]


def _legend(kinds: Sequence[CycleKind]) -> list[str]:
    """Two kinds per line, read downwards."""
    cells = [f"{kind.head:<3}  {kind.meaning}" for kind in kinds]
    cells.append(".    none")
    half = -(-len(cells) // 2)
    right = [*cells[half:], ""][:half]
    return align(list(zip(cells[:half], right, strict=True)), "ll")


def conditions_text(step: StepCycles) -> list[str]:
    """One condition per line, or more where it is long."""
    width = max(map(len, step.conditions), default=0) + 2
    lines = []
    for name, value in step.conditions.items():
        lines += textwrap.wrap(
            value, WIDTH, initial_indent=f"{name:<{width}}", subsequent_indent=" " * width
        )
    return lines
