# SPDX-License-Identifier: Apache-2.0
"""A function in assembly that C can call: registers, stack slots, what must be saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.isa import Code, Node, instructions

# Without sp. gp and tp are saved like the others: no C runs before they are back.
_INTEGERS = tuple(f"x{number}" for number in (1, 3, 4, *range(5, 32)))
_FLOATS = tuple(f"f{number}" for number in range(32))
_KEPT = frozenset(
    [f"x{n}" for n in (1, 3, 4, 8, 9, *range(18, 28))] + [f"f{n}" for n in (8, 9, *range(18, 28))]
)
_ARGUMENTS = tuple(f"x{number}" for number in range(10, 18))
_STACK_ALIGNMENT = 16


class OutOfRegisters(ValueError):
    """A kernel asks for more registers than the core has."""


class Function:
    """A function while it is being written. Its arguments are kept in stack slots.

    Args:
        arguments: names of slots that the words of the call go to, in the order of the C call.
        core: that it is for.
    """

    def __init__(self, arguments: Sequence[str], core: Core) -> None:
        self.core = core
        self.code = Code()
        self.slots = {name: 4 * number for number, name in enumerate(arguments)}
        self.arguments = tuple(arguments)
        self.used: set[str] = set()
        self.integers = list(_INTEGERS)
        self.floats = list(_FLOATS) if core.float_registers else self.integers
        self.move = "fmv.s" if core.float_registers else "mv"
        self.load = "flw" if core.float_registers else "lw"
        self.store = "fsw" if core.float_registers else "sw"

    def integer(self) -> str:
        """A free register for addresses and counts."""
        return self._take(self.integers)

    def real(self) -> str:
        """A free register for a float."""
        return self._take(self.floats)

    def reals(self, count: int) -> list[str]:
        """Several free registers for floats."""
        return [self.real() for _ in range(count)]

    def spare(self, real: bool = False) -> str:
        """A free register if there is one left, else the empty name."""
        pool = self.floats if real else self.integers
        return pool.pop() if pool else ""

    @contextmanager
    def aside(self) -> Iterator[Code]:
        """What is written inside becomes a piece of its own."""
        around, self.code = self.code, Code()
        try:
            yield self.code
        finally:
            self.code = around

    @staticmethod
    def _take(pool: list[str]) -> str:
        if not pool:
            raise OutOfRegisters
        return pool.pop()

    def slot(self, name: str) -> int:
        """Offset of a stack slot from sp; a new name makes a new slot."""
        self.used.add(name)
        return self.slots.setdefault(name, 4 * len(self.slots))

    def fetch(self, register: str, name: str) -> None:
        """register = slot."""
        self.code("lw", register, self.slot(name), "sp")

    def keep(self, register: str, name: str) -> None:
        """slot = register."""
        self.code("sw", register, self.slot(name), "sp")

    def constant(self, register: str, bits: int, temporary: str) -> None:
        """A float register = the float with these bits."""
        if self.core.float_registers:
            self.code.constant(temporary, bits)
            self.code("fmv.w.x", register, temporary)
        else:
            self.code.constant(register, bits)

    def finish(self) -> list[Node]:
        """The whole function: it saves what C wants back, and stores its arguments."""
        used = {
            operand
            for instruction in instructions(self.code.nodes)
            for operand in instruction.operands
        }
        kept = sorted(_KEPT & used, key=lambda name: (name[0], int(name[1:])))
        first = 4 * len(self.slots)
        frame = -(-(first + 4 * len(kept)) // _STACK_ALIGNMENT) * _STACK_ALIGNMENT
        head, tail = Code(), Code()
        head("addi", "sp", "sp", -frame)
        for number, register in enumerate(kept):
            kind = "f" if register.startswith("f") else ""
            head(f"{kind}sw", register, first + 4 * number, "sp")
            tail(f"{kind}lw", register, first + 4 * number, "sp")
        for number, name in enumerate(self.arguments):
            if name not in self.used:
                continue
            source = "x5"
            if number < len(_ARGUMENTS):
                source = _ARGUMENTS[number]
            else:
                head("lw", source, frame + 4 * (number - len(_ARGUMENTS)), "sp")
            head("sw", source, self.slots[name], "sp")
        tail("addi", "sp", "sp", frame)
        tail("ret")
        return [*head.nodes, *self.code.nodes, *tail.nodes]
