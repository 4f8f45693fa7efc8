# SPDX-License-Identifier: Apache-2.0
"""Instructions of a PULP core, and how two assemblers spell them.

A function is a tree: instructions, labels, and hardware loops around instructions.
`print_assembly` writes it for CORE-V (`cv.*`, given as `.insn` since assemblers rarely know the
names) or for Xpulpv2 (`p.*` and `lp.*`, the toolchains of PULP and GAP). Both have the same
instructions in the same order.

Source: CV32E40P user manual, instruction set extensions; RI5CY user manual, the same for Xpulpv2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from acclimate.kernels.pulp.spellings import SPELLINGS

IMMEDIATE = range(-2048, 2048)  # of loads, stores, addi and post-increments
MOST_LOOP_INSTRUCTIONS = 4094
LEAST_LOOP_INSTRUCTIONS = 3


class Dialect(StrEnum):
    """Whose names the extensions have."""

    COREV = "corev"
    XPULPV2 = "xpulpv2"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, of RISC-V or `SPELLINGS`, and operands in their fields' order."""

    name: str
    operands: tuple[str | int, ...]


@dataclass(frozen=True)
class Label:
    """A place to jump to, unique in its function."""

    name: str


@dataclass(frozen=True)
class HardwareLoop:
    """A body that runs `count` times without instructions for the loop itself.

    Args:
        level: 0 for the innermost of two loops, 1 for the loop around it.
        register: that holds the count, at least 1.
        count: what the register holds where that is known when the code is written, else None.
        body: instructions and, at level 1, one inner loop.
        name: of a loop whose count is not known, for `Timing`.
    """

    level: int
    register: str
    count: int | None
    body: tuple[Node, ...]
    name: str = ""


Node = Instruction | Label | HardwareLoop


@dataclass
class Code:
    """Instructions while a function is being written."""

    nodes: list[Node] = field(default_factory=list)

    def __call__(self, name: str, *operands: str | int) -> None:
        """Appends an instruction."""
        self.nodes.append(Instruction(name, operands))

    def label(self, name: str) -> None:
        """Appends a label."""
        self.nodes.append(Label(name))

    def loop(
        self, level: int, register: str, count: int | None, body: Code, name: str = ""
    ) -> None:
        """Appends a hardware loop; a body that is too short for one gets `nop`s."""
        while size(body.nodes) < LEAST_LOOP_INSTRUCTIONS:
            body("nop")
        self.nodes.append(HardwareLoop(level, register, count, tuple(body.nodes), name))

    def extend(self, other: Code) -> None:
        """Appends all of another piece."""
        self.nodes.extend(other.nodes)

    def add(self, register: str, value: int, temporary: str) -> None:
        """register += value; a value that does not fit an immediate needs another register."""
        if value in IMMEDIATE:
            if value:
                self("addi", register, register, value)
        else:
            self.constant(temporary, value)
            self("add", register, register, temporary)

    def constant(self, register: str, value: int) -> None:
        """register = value, in instructions whose number does not depend on the assembler."""
        if value in IMMEDIATE:
            self("addi", register, "x0", value)
            return
        high = (value + 0x800) >> 12
        low = value - (high << 12)
        self("lui", register, high & 0xFFFFF)
        if low:
            self("addi", register, register, low)


def size(nodes: Sequence[Node]) -> int:
    """Number of instructions, with those that set up loops."""
    total = 0
    for node in nodes:
        kind = type(node)
        if kind is Instruction:
            total += 1
        elif isinstance(node, HardwareLoop):
            total += 1 + size(node.body)
    return total


def instructions(nodes: Sequence[Node]) -> Iterator[Instruction]:
    """All instructions in order, without those that set up loops."""
    for node in nodes:
        if isinstance(node, HardwareLoop):
            yield from instructions(node.body)
        elif isinstance(node, Instruction):
            yield node


_OFFSET = frozenset({"lw", "sw", "sb", "flw", "fsw"})  # value, offset, pointer


def print_assembly(symbol: str, nodes: Sequence[Node], dialect: Dialect, comment: str) -> str:
    """A function with external linkage.

    Args:
        symbol: its name.
        nodes: its code.
        dialect: of the extensions.
        comment: one line that says what it does.
    """
    head = (
        f"/* {comment} */\n    .globl {symbol}\n    .balign 16\n"
        f"    .type {symbol}, @function\n{symbol}:\n"
    )
    printer = _Printer(symbol, dialect)
    printer.print(nodes)
    return f"{head}{''.join(printer.lines)}    .size {symbol}, . - {symbol}\n"


class _Printer:
    def __init__(self, symbol: str, dialect: Dialect) -> None:
        self.symbol, self.dialect = symbol, dialect
        self.lines: list[str] = []
        self.ends = 0

    def local(self, label: str) -> str:
        return f".L{self.symbol}_{label}"

    def line(self, text: str, meaning: str = "") -> None:
        self.lines.append(f"    {text:<36} # {meaning}\n" if meaning else f"    {text}\n")

    def print(self, nodes: Sequence[Node], end: str | None = None) -> None:
        """Prints nodes; the label `end` goes before the last instruction."""
        for number, node in enumerate(nodes):
            if end is not None and number == len(nodes) - 1:
                self.lines.append(f"{end}:\n")
            if isinstance(node, Label):
                self.lines.append(f"{self.local(node.name)}:\n")
            elif isinstance(node, HardwareLoop):
                self.loop(node)
            else:
                self.instruction(node)

    def instruction(self, node: Instruction) -> None:
        name, operands = node.name, node.operands
        if name in SPELLINGS:
            spelling = SPELLINGS[name]
            if self.dialect is Dialect.COREV:
                meaning = spelling.meaning.format(*operands)
                self.line(spelling.corev.format(*operands), meaning)
            else:
                self.line(spelling.xpulpv2.format(*operands))
        elif name in _OFFSET:
            value, offset, pointer = operands
            self.line(f"{name} {value}, {offset}({pointer})")
        else:
            texts = [self.local(str(o)[1:]) if str(o).startswith("@") else str(o) for o in operands]
            self.line(f"{name} {', '.join(texts)}".rstrip())

    def loop(self, node: HardwareLoop) -> None:
        count = size(node.body)
        if not LEAST_LOOP_INSTRUCTIONS <= count <= MOST_LOOP_INSTRUCTIONS:
            raise ValueError(f"{self.symbol}: a loop of {count} instructions")
        if self.dialect is Dialect.COREV:
            text = f".insn i 0x2b, 4, x{14 + node.level}, {node.register}, {count + 1}"
            self.line(text, f"cv.setup {node.level}, {node.register}, {count} instructions")
            self.print(node.body)
            return
        # The end of a loop of Xpulpv2 is its last instruction, not the one behind it.
        self.ends += 1
        end = self.local(f"end{self.ends}")
        self.line(f"lp.setup x{node.level}, {node.register}, {end}")
        self.print(node.body, end)
