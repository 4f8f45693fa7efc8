# SPDX-License-Identifier: Apache-2.0
"""A pointer whose place is known while code is written: accesses become immediates and steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acclimate.kernels.pulp.function import Function
from acclimate.kernels.pulp.isa import IMMEDIATE, Code, Instruction

_LARGEST = 2044  # bytes that one addi or post-increment moves
_FAR = 3 * _LARGEST  # from here on a constant in a register is shorter


class Cursor:
    """A pointer register.

    Args:
        f: the function that is written.
        spare: gives a register for steps that no immediate holds.
    """

    def __init__(self, f: Function, spare: Callable[[], str]) -> None:
        self.f, self.spare = f, spare
        self.register = f.integer()
        self.position = 0  # bytes from the first element of the operand
        self.origin = 0  # what offsets of accesses count from

    def move(self, to: int, temporary: str) -> None:
        """Moves to a position."""
        self.f.code.add(self.register, to - self.position, temporary)
        self.position = to

    def step(self, code: Code, value: int) -> None:
        """Moves the register inside a strip, where registers are scarce."""
        if abs(value) > _FAR:
            code.add(self.register, value, self.spare())
            return
        while value:
            part = max(-_LARGEST, min(_LARGEST, value))
            code("addi", self.register, self.register, part)
            value -= part


@dataclass(frozen=True, eq=False)
class Access:
    """A load or store of a float, `offset` bytes from the origin of a cursor."""

    store: bool
    value: str
    cursor: Cursor
    offset: int


Operation = Instruction | Access


def write_straight(f: Function, operations: Sequence[Operation]) -> None:
    """Writes operations; pointers move only where an offset is too far."""
    for op in operations:
        if isinstance(op, Instruction):
            f.code.nodes.append(op)
            continue
        cursor = op.cursor
        place = cursor.origin + op.offset
        if place - cursor.position not in IMMEDIATE:
            cursor.step(f.code, place - cursor.position)
            cursor.position = place
        name = f.store if op.store else f.load
        f.code(name, op.value, place - cursor.position, cursor.register)


@dataclass(frozen=True)
class _Turn:
    """How an access is written in a loop: its immediate, and how far the pointer goes after it."""

    immediate: int
    step: int


class LoopBody:
    """The body of a loop in which every pointer returns to its place, `advances` further on.

    Pointers rest at the access that comes last before they move: it moves them for nothing where
    loads and stores have post-increments.

    Args:
        operations: of one turn.
        advances: bytes per turn, by cursor.
    """

    def __init__(self, operations: Sequence[Operation], advances: dict[Cursor, int]) -> None:
        self.operations, self.advances = operations, advances
        self.entries: dict[Cursor, int] = {}
        self.turns: dict[Access, _Turn] = {}
        for cursor, advance in advances.items():
            accesses = [op for op in operations if isinstance(op, Access) and op.cursor is cursor]
            if accesses:
                self._rest(cursor, accesses, advance)

    def _rest(self, cursor: Cursor, accesses: Sequence[Access], advance: int) -> None:
        groups: list[list[Access]] = []
        at = 0
        while at < len(accesses):
            end = next(
                end
                for end in range(len(accesses), at, -1)
                if end == at + 1
                or all(a.offset - accesses[end - 1].offset in IMMEDIATE for a in accesses[at:end])
            )
            groups.append([*accesses[at:end]])
            at = end
        rests = [group[-1].offset for group in groups]
        self.entries[cursor] = rests[0]
        for group, rest, after in zip(groups, rests, [*rests[1:], rests[0] + advance], strict=True):
            for access in group:
                step = after - rest if access is group[-1] else 0
                self.turns[access] = _Turn(access.offset - rest, step)

    def write(self, f: Function) -> Code:
        """The body. Cursors stand at their entries."""
        code = Code()
        for op in self.operations:
            if isinstance(op, Instruction):
                code.nodes.append(op)
                continue
            turn, register = self.turns[op], op.cursor.register
            name = f.store if op.store else f.load
            if not turn.step or f.core.float_registers:
                code(name, op.value, turn.immediate, register)
                op.cursor.step(code, turn.step)
                continue
            part = max(-_LARGEST, min(_LARGEST, turn.step))
            code(f"{name}!", op.value, register, part)
            op.cursor.step(code, turn.step - part)
        return code
