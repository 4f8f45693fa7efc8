# SPDX-License-Identifier: Apache-2.0
"""RV32 assembly as LLVM writes it: lines, and what every instruction reads and writes.

Tolerant by being pessimistic: an instruction that is not in the tables here reads every register,
writes none for certain, and never stands in the body of a hardware loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Registers = frozenset[str]

_INTEGER = (
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
)  # fmt: skip
_FLOAT = (
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
)  # fmt: skip
_NAMES = {
    **{name: name for name in (*_INTEGER, *_FLOAT)},
    **{f"x{i}": name for i, name in enumerate(_INTEGER)},
    **{f"f{i}": name for i, name in enumerate(_FLOAT)},
    "fp": "s0",
}
NONE: Registers = frozenset()
EVERY: Registers = frozenset((*_INTEGER[1:], *_FLOAT))
# The ABI: what a call may change, what it takes, and what the caller of a function relies on.
_CALL_CHANGES = frozenset(r for r in EVERY if re.fullmatch(r"ra|f?[ta]\d+", r))
_CALL_TAKES = frozenset(r for r in EVERY if re.fullmatch(r"sp|gp|tp|f?a\d", r))
_RETURN_KEEPS = frozenset(r for r in EVERY if re.fullmatch(r"ra|sp|gp|tp|f?s\d+|f?a[01]", r))
# Free for a value of this pass, the temporary ones first. Which of them are says the liveness.
ALLOCATABLE = (*_INTEGER[5:8], *_INTEGER[10:18], *_INTEGER[28:], "ra", "s0", "s1", *_INTEGER[18:28])

# One word each; the first operand is written, the others are read.
_PLAIN = frozenset((
    "add", "sub", "sll", "srl", "sra", "slt", "sltu", "and", "or", "xor", "addi", "slli", "srli",
    "srai", "slti", "sltiu", "andi", "ori", "xori", "lui", "mul", "mulh", "mulhu", "mulhsu", "div",
    "divu", "rem", "remu", "mv", "neg", "not", "seqz", "snez", "sltz", "sgtz", "zext.b", "fmv.x.w",
    "fmv.w.x",
))  # fmt: skip
_PLAIN_FLOAT = re.compile(
    r"f(add|sub|mul|div|sqrt|min|max|n?madd|n?msub|sgnj[nx]?|eq|lt|le|gt|ge|class|mv|neg|abs)\.[sh]"
    r"|fcvt\.(s|h|w|wu)\.(s|h|w|wu)"
)
_LOADS = frozenset(("lb", "lbu", "lh", "lhu", "lw", "flw", "flh"))
_STORES = frozenset(("sb", "sh", "sw", "fsw", "fsh"))
BRANCHES = frozenset((
    "beq", "bne", "blt", "bge", "bltu", "bgeu", "bgt", "ble", "bgtu", "bleu", "beqz", "bnez",
    "blez", "bgez", "bltz", "bgtz",
))  # fmt: skip
_PLACE = re.compile(r"(.*)\((\w+)\)")
_LABEL = re.compile(r"([\w.$]+):(.*)", re.DOTALL)
# Directives between two instructions that put no bytes there.
_HARMLESS = re.compile(r"\.(loc|file|cfi_\w+)\b")


@dataclass(frozen=True)
class Access:
    """A load or store at a constant offset from a register.

    Args:
        kind: mnemonic, e.g. `lw`.
        data: register that is loaded or stored.
        offset: [B].
        base: register with the address.
    """

    kind: str
    data: str
    offset: int
    base: str

    @property
    def is_store(self) -> bool:
        """Whether it writes to memory."""
        return self.kind in _STORES


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Args:
        mnemonic: e.g. `add`; empty if unknown.
        operands: as text.
        reads: registers whose values it may need.
        writes: registers that it changes for certain.
        plain: one word that neither branches nor has an effect besides registers and memory.
        access: what it does in memory, if that is a constant offset.
        in_memory: whether it does anything in memory.
        loads: register whose value comes from memory: a cycle later than other results.
    """

    mnemonic: str
    operands: tuple[str, ...]
    reads: Registers
    writes: Registers
    plain: bool = False
    access: Access | None = None
    in_memory: bool = False
    loads: str | None = None

    @property
    def ends_block(self) -> bool:
        """Whether another instruction than the next one may follow."""
        return self.mnemonic in BRANCHES or self.mnemonic in ("j", "jr", "ret", "tail")

    @property
    def constant(self) -> int | None:
        """The last operand as a number."""
        return integer(self.operands[-1]) if self.operands else None


UNKNOWN = Instruction("", (), EVERY, NONE)


@dataclass(frozen=True)
class Line:
    """A line of a file: at most a label and an instruction, or a directive.

    Args:
        text: as it stands in the file.
        label: defined here.
        instruction: if there is one.
        harmless: a comment, or a directive that puts no bytes here.
    """

    text: str
    label: str | None = None
    instruction: Instruction | None = None
    harmless: bool = False


def integer(text: str) -> int | None:
    """A number in assembly."""
    try:
        return int(text, 0)
    except ValueError:
        return None


def register(text: str) -> str | None:
    """The ABI's name of a register."""
    return _NAMES.get(text)


def registers(texts: Iterable[str]) -> Registers:
    """Those of the texts that are registers; the zero register never counts."""
    return frozenset(name for text in texts if (name := _NAMES.get(text))) - {"zero"}


def parse_lines(assembly: str) -> list[Line]:
    """The lines of a file. What C wrote as inline assembly is unknown instructions."""
    lines: list[Line] = []
    inline = False
    for text in assembly.split("\n"):
        mark = text.strip()
        if mark not in ("#APP", "#NO_APP"):
            lines.append(_line(text, inline))
            continue
        inline = mark == "#APP"
        if not inline and lines and lines[-1].text.strip() == "#APP":
            # Nothing between the marks: it only hid a value from the compiler.
            lines[-1] = Line(lines[-1].text, harmless=True)
            lines.append(Line(text, harmless=True))
        else:
            lines.append(Line(text))  # not harmless: no loop reaches across it
    return lines


def _line(text: str, inline: bool) -> Line:
    code = text.split("#", 1)[0].strip()
    labelled = _LABEL.fullmatch(code)
    if labelled:
        rest = labelled[2].strip()
        return Line(text, labelled[1], UNKNOWN if rest else None)
    if not code or _HARMLESS.match(code):
        return Line(text, harmless=True)
    if code.startswith(".") and not code.startswith(".insn"):
        return Line(text)
    return Line(text, instruction=UNKNOWN if inline else parse_instruction(code))


def parse_instruction(code: str) -> Instruction:
    """One instruction without its comment."""
    mnemonic, _, rest = code.partition("\t") if "\t" in code else code.partition(" ")
    operands = tuple(part.strip() for part in rest.split(",")) if rest.strip() else ()
    if mnemonic in _LOADS | _STORES:
        return _memory(mnemonic, operands)
    if mnemonic in BRANCHES:
        return Instruction(mnemonic, operands, registers(operands[:-1]), NONE)
    if mnemonic in _PLAIN or _PLAIN_FLOAT.fullmatch(mnemonic):
        writes, reads = registers(operands[:1]), registers(operands[1:])
        return Instruction(mnemonic, operands, reads, writes, plain=len(operands) > 1)
    if mnemonic in ("li", "la", "lla"):
        value = integer(operands[-1])
        short = mnemonic == "li" and value is not None and -2048 <= value < 2048
        return Instruction(mnemonic, operands, NONE, registers(operands[:1]), plain=short)
    if mnemonic == "nop":
        return Instruction(mnemonic, (), NONE, NONE, plain=True)
    return _transfer(mnemonic, operands)


def _memory(mnemonic: str, operands: tuple[str, ...]) -> Instruction:
    place = _PLACE.fullmatch(operands[-1])
    data, base = register(operands[0]), register(place[2]) if place else None
    if len(operands) != 2 or place is None or data is None or base is None:
        return UNKNOWN  # an address that takes more than one instruction
    store = mnemonic in _STORES
    reads = registers((base, *([data] if store else [])))
    writes = NONE if store else registers([data])
    offset = integer(place[1] or "0")
    access = None if offset is None else Access(mnemonic, data, offset, base)
    loads = None if store else data
    return Instruction(mnemonic, operands, reads, writes, True, access, True, loads)


def _transfer(mnemonic: str, operands: tuple[str, ...]) -> Instruction:
    """Jumps, calls and returns; anything else is unknown."""
    if mnemonic == "j" and len(operands) == 1:
        return Instruction(mnemonic, operands, NONE, NONE)
    if mnemonic == "ret" or (mnemonic, operands) == ("jr", ("ra",)):
        return Instruction("ret", operands, _RETURN_KEEPS, NONE)
    if mnemonic == "tail" and len(operands) == 1:
        return Instruction(mnemonic, operands, _RETURN_KEEPS | _CALL_TAKES, NONE)
    if mnemonic == "jr":
        return Instruction(mnemonic, operands, EVERY, NONE)
    if mnemonic in ("call", "jalr") and len(operands) == 1:
        taken = registers(operands) if mnemonic == "jalr" else NONE
        return Instruction(mnemonic, operands, _CALL_TAKES | taken, _CALL_CHANGES)
    return UNKNOWN


def line_of(code: str) -> Line:
    """A line with one instruction."""
    return Line(f"\t{code}", instruction=parse_instruction(code))


def coded(code: str, like: str, reads: Iterable[str], writes: Iterable[str]) -> Line:
    """A line with an instruction that the assembler has no name for.

    Args:
        code: `.insn` with its fields.
        like: its name in the manual.
        reads: registers.
        writes: registers.
    """
    known = Instruction(like, (), registers(reads), registers(writes), plain=True)
    return Line(f"\t{code}", instruction=known)


def coded_access(
    code: str, access: Access, reads: Iterable[str] = (), writes: Iterable[str] = ()
) -> Line:
    """A line with a load or store that the assembler has no name for.

    Args:
        code: `.insn` with its fields.
        access: the plain one from which it was made.
        reads: registers besides those of the plain one.
        writes: the same.
    """
    plain = line_of(f"{access.kind}\t{access.data}, 0({access.base})").instruction
    assert plain is not None
    known = replace(
        plain,
        mnemonic=f"cv.{access.kind}",
        operands=(),
        reads=plain.reads | registers(reads),
        writes=plain.writes | registers(writes),
        access=None,
    )
    return Line(f"\t{code}", instruction=known)


def code_of(lines: Sequence[Line]) -> list[tuple[int, Instruction]]:
    """The instructions among lines, with their places."""
    return [(i, line.instruction) for i, line in enumerate(lines) if line.instruction]
