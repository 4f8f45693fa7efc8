# SPDX-License-Identifier: Apache-2.0
"""Instructions move to where the core would wait for a load.

    lw   a4, 0(a1)          lw   a4, 0(a1)
    sw   a4, 0(a0)     ->   addi a1, a1, 4
    addi a1, a1, 4          sw   a4, 0(a0)

Loads and stores stay in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

from acclimate.simulate.cluster.assembly import Instruction, Line, code_of

_WINDOW = 16  # instructions behind a load among which one is looked for


def fill_load_delays(lines: Sequence[Line]) -> list[Line]:
    """Separates loads from the instruction behind them that uses their value.

    Args:
        lines: of a block.
    """
    current = list(lines)
    at = 0
    while at < len(current):
        current = _filled(current, at) or current
        at += 1
    return current


def _filled(lines: list[Line], at: int) -> list[Line] | None:
    """Moves an instruction behind the load at a line, if that makes a wait go away."""
    code = code_of(lines[at : at + 8 * _WINDOW])[:_WINDOW]
    if len(code) < 2 or code[0][0] or not _waits(code[0][1], code[1][1]):
        return None
    load = code[0][1]
    for k in range(2, len(code)):
        place, candidate = code[k]
        passed = [instruction for _, instruction in code[1:k]]
        if not candidate.plain or not all(i.plain for i in passed):
            break
        separates = k + 1 < len(code) and _waits(passed[-1], code[k + 1][1])
        free = not candidate.in_memory and load.loads not in candidate.reads
        if free and not separates and all(_independent(candidate, i) for i in passed):
            moved = lines[at + place]
            rest = [line for i, line in enumerate(lines) if i > at and i != at + place]
            return [*lines[: at + 1], moved, *rest]
    return None


def _waits(load: Instruction, behind: Instruction) -> bool:
    """Whether an instruction directly behind a load waits for it."""
    return load.loads is not None and load.loads in behind.reads


def _independent(one: Instruction, other: Instruction) -> bool:
    """Whether two instructions do the same in either order."""
    return not (one.writes & other.reads or one.reads & other.writes or one.writes & other.writes)
