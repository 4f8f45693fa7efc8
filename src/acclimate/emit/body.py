# SPDX-License-Identifier: Apache-2.0
"""The statements of an entry point: calls, copies, and where the cores wait and meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from acclimate.emit.roll import Loop, Statement, roll
from acclimate.emit.text import Library, call_text, copy_text
from acclimate.kernels.copy.op import Copy
from acclimate.plan import Team
from acclimate.program import Entry, Program

_INDENT = "    "


def body_lines(program: Program, entry: Entry, team: Team, loops: Library) -> list[str]:
    """Lines of C, indented once."""
    statements = _statements(program, entry, team, loops)
    parts: Sequence[Statement | Loop] = statements
    if any(isinstance(call.attrs, Copy) for call in entry.calls):
        parts = roll(statements)
    lines: list[str] = []
    block: list[Statement] = []
    for part in parts:
        if isinstance(part, Statement):
            block.append(part)
            continue
        lines += _lines(block, team)
        block = []
        lines.append(f"for (int32_t t = 0; t < {part.turns}; t++) {{")
        lines += [_INDENT + line for line in _lines(part.body, team)]
        lines.append("}")
    lines += _lines(block, team)
    return [_INDENT + line for line in lines]


def _statements(program: Program, entry: Entry, team: Team, loops: Library) -> list[Statement]:
    """Waits, barriers, calls and copies, one after the other."""
    found: list[Statement] = []
    l3 = program.l3_offsets(entry)
    pages: set[int] = set()  # channels whose last copy is one of l3
    cores = f"{program.name.upper()}_CORES" if team.cores > 1 else "1"
    for number, (shown, call) in enumerate(zip(entry.numbers, entry.calls, strict=True)):
        found += _waits(team.waits.get(number, ()), pages)
        if number in team.barriers:
            found.append(Statement("ac_barrier();"))
        alone = number in team.alone
        if isinstance(call.attrs, Copy):
            channel = team.channels[number]
            text = copy_text(program, call, shown, channel, l3)
            pages = pages | {channel} if program.copies_l3(call) else pages - {channel}
        else:
            core = ("core", cores) if team.cores > 1 and not alone else ("0", "1")
            text = call_text(program, call, shown, loops, core)
        found.append(Statement(text.statement, text.comment, alone))
    return found + _waits(team.last, pages)


def _waits(channels: Iterable[int], pages: Set[int]) -> list[Statement]:
    kinds = ((channel, "l3" if channel in pages else "copy") for channel in channels)
    return [Statement(f"ac_{kind}_wait({channel});", alone=True) for channel, kind in kinds]


def _lines(statements: Sequence[Statement], team: Team) -> list[str]:
    """The statements, those of core 0 alone in blocks of their own."""
    lines: list[str] = []
    inside = False
    for statement in statements:
        alone = statement.alone and team.cores > 1
        if alone and not inside:
            lines.append("if (core == 0) {")
        elif inside and not alone:
            lines.append("}")
        inside = alone
        margin = _INDENT if inside else ""
        lines += [f"{margin}/* {statement.comment} */"] if statement.comment else []
        lines.append(margin + statement.text)
    return [*lines, "}"] if inside else lines
