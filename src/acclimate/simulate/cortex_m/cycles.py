# SPDX-License-Identifier: Apache-2.0
"""What every instruction of an image costs on a core: an estimate, from tables with their sources.

A table `cycles_*.toml` says for each class of instructions:

    issue    cycles until the next instruction may issue
    each     more of them per register that is loaded or stored
    result   cycles from then on until an instruction can read the result
    address  the same if it needs the result for an address
    late     cycles by which an accumulator or a stored value may come later than the issue
    taken    more if the next instruction executed is elsewhere
    unit     of the core that is occupied; [units] says how many instructions it takes in a cycle
    alone    never issues together with another one
    pipelined, joins   a load or store that `joins` takes a cycle less after a `pipelined` load

Memory has no wait states: RAM of one cycle, flash behind a cache that always hits.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import capstone
import numpy as np
import numpy.typing as npt
from capstone import arm

from acclimate.simulate.bare import Image

UNITS = 8  # as in counter.c; unit 0 is none
_ALONE, _PIPELINED, _JOINS = 1, 2, 4
_FLAGS = 48  # number of the flags among the registers, after 16 integer and 32 float ones

OPERATION = np.dtype(
    [
        ("reads", "u8"),
        ("address", "u8"),
        ("late", "u8"),
        ("writes", "u8"),
        ("issue", "u2"),
        ("result", "u2"),
        ("address_result", "u2"),
        ("late_by", "u2"),
        ("taken", "u2"),
        ("unit", "u1"),
        ("flags", "u1"),
        ("bytes", "u1"),
        ("unused", "u1", 3),
    ]
)


@dataclass(frozen=True)
class Cost:
    """A row of a table; the keys stand at the head of this file."""

    issue: int
    each: int = 0
    result: int = 0
    address: int = 0
    late: int = 0
    taken: int = 0
    unit: str = ""
    alone: bool = False
    pipelined: bool = False
    joins: bool = False


@dataclass(frozen=True)
class Timing:
    """The table of a core.

    Args:
        source: where its numbers come from.
        width: instructions that issue in one cycle.
        units: how many instructions of a unit issue in one cycle.
        classes: cost by class of instructions.
    """

    source: str
    width: int
    units: Mapping[str, int]
    classes: Mapping[str, Cost]

    def cost(self, kind: str) -> Cost:
        """Cost of a class; of a more general one where the table does not tell them apart."""
        while kind not in self.classes:
            kind = _GENERAL.get(kind, "alu")
        return self.classes[kind]

    def unit(self, cost: Cost) -> int:
        """Number of the unit of a cost, 0 for none."""
        return list(self.units).index(cost.unit) + 1 if cost.unit else 0


_GENERAL = {
    "load_narrow": "load", "store_register": "store", "accumulate": "multiply",
    "long_multiply": "multiply", "long_accumulate": "long_multiply", "call": "branch",
    "call_register": "branch", "table_branch": "branch",
}  # fmt: skip


@cache
def timing(name: str) -> Timing:
    """Reads `cycles_<name>.toml`."""
    table = _table(name)
    base = _table(table["like"]) if "like" in table else table
    classes = {kind: Cost(**row) for kind, row in base["classes"].items()}
    return Timing(table["source"], base["width"], base.get("units", {}), classes)


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / f"cycles_{name}.toml").read_text())


# ---- from instructions to operations


@dataclass(frozen=True)
class Code:
    """The operations of an image.

    Args:
        start: address of the first one.
        operations: one per halfword; `bytes` is 0 where no instruction begins.
    """

    start: int
    operations: npt.NDArray[Any] = field(repr=False)


@lru_cache(maxsize=16)
def decode(path: Path, name: str) -> Code:
    """Decodes the code of an image for a table of cycles."""
    image, table = Image(path), timing(name)
    spans = list(image.code_spans())
    start, end = min(low for low, _, _ in spans), max(high for _, high, _ in spans)
    operations = np.zeros((end - start) // 2, OPERATION)
    for low, high, data in spans:
        for insn in _instructions(data, low):
            operations[(insn.address - start) // 2] = _operation(insn, table)
        for at in range((low - start) // 2, (high - start) // 2):
            # What capstone does not know counts as a plain instruction of its length.
            if not operations["bytes"][at] and not _inside(operations, at):
                word = int.from_bytes(data[2 * at - low + start :][:2], "little")
                operations[at]["issue"] = 1
                operations[at]["bytes"] = 4 if word >> 11 in (0b11101, 0b11110, 0b11111) else 2
    return Code(start, operations)


def _inside(operations: npt.NDArray[Any], at: int) -> bool:
    return bool(at and operations["bytes"][at - 1] == 4)


def _instructions(data: bytes, address: int) -> Iterator[Any]:
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
    )
    engine.detail = True
    at = 0
    while at < len(data):
        for insn in engine.disasm(data[at:], address + at):
            at = insn.address + insn.size - address
            yield insn
        at += 2


def _operation(insn: Any, table: Timing) -> tuple[Any, ...]:
    kind, count = _classify(insn)
    cost = table.cost(kind)
    read, written = insn.regs_access()
    memory = [op.mem for op in insn.operands if op.type == arm.ARM_OP_MEM]
    address = _mask(register for mem in memory for register in (mem.base, mem.index))
    reads, late = _mask(read) & ~address, 0
    if cost.late and insn.operands:
        late = _mask([insn.operands[0].reg])
        # A multiplicand that is the accumulator too is needed in time.
        late &= ~_mask(op.reg for op in insn.operands[1:] if op.type == arm.ARM_OP_REG)
    flags = (cost.alone and _ALONE) | (cost.pipelined and _PIPELINED) | (cost.joins and _JOINS)
    return (
        reads & ~late, address, late, _mask(written) & ~(1 << 15),
        cost.issue + cost.each * count, cost.result, cost.address, cost.late, cost.taken,
        table.unit(cost), flags, insn.size, (0, 0, 0),
    )  # fmt: skip


def _mask(registers: Any) -> int:
    mask = 0
    for register in registers:
        mask |= _REGISTERS.get(register, 0)
    return mask


_REGISTERS: dict[int, int] = {
    **{getattr(arm, f"ARM_REG_R{i}"): 1 << i for i in range(13)},
    arm.ARM_REG_SP: 1 << 13, arm.ARM_REG_LR: 1 << 14,
    **{getattr(arm, f"ARM_REG_S{i}"): 1 << (16 + i) for i in range(32)},
    **{getattr(arm, f"ARM_REG_D{i}"): 3 << (16 + 2 * i) for i in range(16)},
    **dict.fromkeys((arm.ARM_REG_CPSR, arm.ARM_REG_FPSCR, arm.ARM_REG_FPSCR_NZCV), 1 << _FLAGS),
}  # fmt: skip


def _named(*kinds: tuple[str, str]) -> dict[str, str]:
    return {name: kind for kind, names in kinds for name in names.split()}


_CLASSES = _named(
    ("multiply", "mul smulbb smulbt smultb smultt smulwb smulwt smmul smuad smusd"),
    ("accumulate", "mla mls smlabb smlabt smlatb smlatt smlawb smlawt smmla smmls smlad smlsd"),
    ("long_multiply", "umull smull"),
    ("long_accumulate", "umlal smlal umaal smlalbb smlald"),
    ("divide", "sdiv udiv"),
    ("shift", "lsl lsr asr ror rrx"),
    ("load", "ldr"),
    ("load_narrow", "ldrb ldrh ldrsb ldrsh"),
    ("load_multiple", "ldrd ldm ldmdb pop"),
    ("store", "str strb strh"),
    ("store_multiple", "strd stm stmdb push"),
    ("branch", "b cbz cbnz bx"),
    ("call", "bl"),
    ("call_register", "blx"),
    ("table_branch", "tbb tbh"),
    ("system", "mrs msr dmb dsb isb"),
    ("fp_accumulate", "vmla vmls vnmla vnmls vfma vfms vfnma vfnms"),
    ("fp_divide", "vdiv"),
    ("fp_sqrt", "vsqrt"),
    ("fp_status", "vmrs vmsr"),
    ("fp_load", "vldr"),
    ("fp_load_multiple", "vldmia vldmdb vpop"),
    ("fp_store", "vstr"),
    ("fp_store_multiple", "vstmia vstmdb vpush"),
)


def _classify(insn: Any) -> tuple[str, int]:
    """Class of an instruction, and how many registers it loads or stores."""
    name = insn.insn_name()
    kind = _CLASSES.get(name, "fp" if name.startswith("v") else "alu")
    operands = insn.operands
    registers = [op.reg for op in operands if op.type == arm.ARM_OP_REG]
    if name == "vmov":
        core = [r for r in registers if _REGISTERS.get(r, 0) < 1 << 16]
        return ("fp_transfer" if core else "fp_move"), 0
    if kind in ("alu", "shift") and any(op.shift.type for op in operands):
        return "shift", 0
    if kind == "store" and any(op.type == arm.ARM_OP_MEM and op.mem.index for op in operands):
        return "store_register", 1
    if kind.endswith("_multiple") and name not in ("push", "pop", "vpush", "vpop", "ldrd", "strd"):
        registers = registers[1:]  # the base
    count = sum(2 if _REGISTERS.get(r, 0).bit_count() == 2 else 1 for r in registers)
    return kind, count
