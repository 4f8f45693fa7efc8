# SPDX-License-Identifier: Apache-2.0
"""Pointers that a loop moves by way of copies become pointers that it moves once, at its end.

addi a4, a1, 4          lw   a3, 0(a1)
lw   a3, 0(a1)     ->   bltu a1, a2, loop       with addi a1, a1, 4 before the branch
mv   a1, a4
bltu a4, a2, loop
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from acclimate.simulate.cluster.addressing import fits
from acclimate.simulate.cluster.assembly import (
    Instruction,
    Line,
    Registers,
    code_of,
    line_of,
    register,
    registers,
)


@dataclass(frozen=True)
class Turn:
    """What a loop of one block does in a turn: a body, then a branch back to its start."""

    body: tuple[Line, ...]
    branch: Instruction


def move_pointers_once(turn: Turn, needed: Registers) -> Turn:
    """Removes the copies of every pointer that has some.

    Args:
        turn: of the loop.
        needed: registers that are needed behind it.
    """
    names = sorted({name for _, code in code_of(turn.body) for name in code.writes})
    # One pointer may stand in the way of another, so at most as many rounds as there are.
    for name in names * len(names):
        turn = _move_once(turn, needed, name) or turn
    return turn


def _move_once(turn: Turn, needed: Registers, name: str) -> Turn | None:
    """The same for one pointer; None if it is moved once already, or must keep its copies."""
    # Registers that hold the pointer as it was when the turn began, plus so many bytes.
    held = {name: 0}
    body: list[Line] = []
    moves = []
    for line in turn.body:
        code = line.instruction
        if code is None:
            body.append(line)
            continue
        moved = _moved(code, held)
        if moved is not None:
            (target,) = code.writes
            held[target] = moved
            moves.append(code)
            continue
        through = _through_pointer(line, code, held, name)
        if through is None or name in code.writes:
            return None
        body.append(through)
        for other in code.writes:
            held.pop(other, None)
    step = held.get(name, 0)
    copied = len(moves) > 1 or any(move.reads != move.writes for move in moves)
    stays = any(other != name and other in needed for other in held)
    branch = _renamed(turn.branch, held, name)
    if not step or not copied or stays or branch is None or not fits(step):
        return None
    return Turn((*body, line_of(f"addi\t{name}, {name}, {step}")), branch)


def _moved(code: Instruction, held: Mapping[str, int]) -> int | None:
    """What a copy of the pointer, moved or not, is away from it; None for other instructions."""
    if len(code.reads) != 1 or len(code.writes) != 1 or code.mnemonic not in ("mv", "addi"):
        return None
    (source,) = code.reads
    by = 0 if code.mnemonic == "mv" else code.constant
    return None if source not in held or by is None else held[source] + by


def _through_pointer(
    line: Line, code: Instruction, held: Mapping[str, int], name: str
) -> Line | None:
    """A line with an access through a copy as one through the pointer; None if it cannot be."""
    if not code.reads & held.keys():
        return line
    access = code.access
    if access is None or access.base not in held or (access.is_store and access.data in held):
        return None
    offset = access.offset + held[access.base]
    return line_of(f"{access.kind}\t{access.data}, {offset}({name})") if fits(offset) else None


def _renamed(branch: Instruction, held: Mapping[str, int], name: str) -> Instruction | None:
    """The branch with the pointer in place of its copies; None if they are not equal to it."""
    operands = []
    for text in branch.operands[:-1]:
        copy = register(text)
        if copy is None or copy not in held:
            operands.append(text)
        elif held[copy] != held.get(name):
            return None
        else:
            operands.append(name)
    operands.append(branch.operands[-1])
    return replace(branch, operands=tuple(operands), reads=registers(operands[:-1]))
