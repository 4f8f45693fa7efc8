# SPDX-License-Identifier: Apache-2.0
"""Address arithmetic moves into loads and stores: post-increment and register offsets.

    lw   a4, 0(a1)          cv.lw a4, (a1), 4
    addi a1, a1, 4     ->

    add  a4, a1, a2         cv.lw a4, a2(a1)
    lw   a4, 0(a4)     ->

The assembler knows the instructions by their fields only. Encodings: CV32E40P user manual,
"Post-Increment Load & Store Instructions and Register-Register Load & Store Instructions".
Loads and stores of float registers have no such forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from acclimate.simulate.cluster.assembly import (
    NONE,
    Access,
    Line,
    Registers,
    code_of,
    coded_access,
    line_of,
)
from acclimate.simulate.cluster.liveness import is_needed

# funct3 of the immediate forms; funct7 of the post-increment by a register.
_FUNCT3 = {"lb": 0, "lh": 1, "lw": 2, "lbu": 4, "lhu": 5, "sb": 0, "sh": 1, "sw": 2}
_FUNCT7 = {
    "lb": 0x00, "lh": 0x01, "lw": 0x02, "lbu": 0x08, "lhu": 0x09, "sb": 0x10, "sh": 0x11,
    "sw": 0x12,
}  # fmt: skip
_INDEXED = 0x04  # added to funct7: an offset in a register, and no increment
_KEPT = frozenset(("sp", "gp", "tp"))  # by the ABI, never pointers that walk


@dataclass(frozen=True)
class _Merged:
    """Lines of a block after a merge.

    Args:
        lines: without the increment.
        bias: what must be added to the pointer before the block, and taken away behind it.
        into_load: not into a store.
    """

    lines: tuple[Line, ...]
    bias: int
    into_load: bool


@dataclass(frozen=True)
class _Increment:
    """`addi pointer, pointer, step` or `add pointer, pointer, by` at a line."""

    at: int
    pointer: str
    step: int
    by: str | None


def fits(offset: int) -> bool:
    """Whether an instruction can hold an offset."""
    return -2048 <= offset < 2048


def merge_increments(
    lines: Sequence[Line], *, biased: Registers = NONE, least: int = 0
) -> tuple[list[Line], dict[str, int], int]:
    """Merges every increment of a pointer that a load or store can do.

    Args:
        lines: of a block.
        biased: pointers that may hold another address inside of the block.
        least: instructions that must remain.

    Returns:
        The lines, the biases by pointer, and how many increments were merged.
    """
    current, biases, count = list(lines), dict[str, int](), 0
    while len(code_of(current)) > least:
        tried = [(i, _merge(current, i, i.pointer in biased)) for i in _increments(current)]
        # Into stores first: an increment that must remain can stand behind a load that is awaited.
        options = sorted((m.into_load, k) for k, (_, m) in enumerate(tried) if m)
        if not options:
            break
        increment, merged = tried[options[0][1]]
        assert merged is not None
        current, count = list(merged.lines), count + 1
        if merged.bias:
            biases[increment.pointer] = merged.bias
    return current, biases, count


def _increments(lines: Sequence[Line]) -> list[_Increment]:
    found = []
    for at, code in code_of(lines):
        if code.mnemonic not in ("addi", "add") or len(code.writes) != 1 or len(code.operands) != 3:
            continue
        (pointer,) = code.writes
        others = code.reads - {pointer}
        if pointer not in code.reads or pointer in _KEPT:
            continue
        if code.mnemonic == "addi" and code.constant is not None:
            found.append(_Increment(at, pointer, code.constant, None))
        elif code.mnemonic == "add" and len(others) == 1:
            found.append(_Increment(at, pointer, 0, next(iter(others))))
    return found


def _merge(lines: Sequence[Line], increment: _Increment, may_bias: bool) -> _Merged | None:
    """The first merge that works; one without a bias if there is one."""
    code = dict(code_of(lines))
    writers = [i for i in code if increment.pointer in code[i].writes and i != increment.at]
    first = max((i for i in writers if i < increment.at), default=-1) + 1
    end = min((i for i in writers if i > increment.at), default=len(lines))
    uses = [
        i for i in code
        if first <= i < end and i != increment.at and increment.pointer in code[i].reads
    ]  # fmt: skip
    # The writer behind may read the pointer as well: it sees the value after the increment.
    options = []
    for at in sorted(uses, key=lambda i: abs(i - increment.at)):
        merged = _merge_into(lines, increment, uses, at)
        if merged and (not merged.bias or (may_bias and not writers)):
            options.append(merged)
    return min(options, key=lambda m: m.bias != 0, default=None)


def _merge_into(
    lines: Sequence[Line], inc: _Increment, uses: Sequence[int], at: int
) -> _Merged | None:
    """Merges an increment into the access at a line.

    The pointer then moves there and not at the increment, and it is off by a bias so that the
    offset of that access is 0; offsets of the others make up for both.
    """
    access = _base_access(lines[at], inc.pointer)
    if access is None or access.kind not in _FUNCT3:
        return None
    low, high = sorted((at, inc.at))
    between = [i for i in uses if low < i < high]
    if inc.by is not None:
        code = dict(code_of(lines))
        changed = any(inc.by in code[i].writes for i in code if low <= i < high)
        # An offset cannot make up for what is in a register.
        if at > inc.at or between or changed:
            return None
    bias = access.offset + (inc.step if at > inc.at else 0)
    result = list(lines)
    for i in uses:
        late = (inc.step if i > inc.at else 0) - (inc.step if i > at else 0)
        if i == at or not (bias or late):
            continue
        other = _base_access(lines[i], inc.pointer)
        if other is None or not fits(other.offset + late - bias):
            return None
        moved = f"{other.kind}\t{other.data}, {other.offset + late - bias}({other.base})"
        result[i] = line_of(moved)
    if not fits(bias) or not fits(-bias):
        return None
    result[at] = _post_increment(access, inc)
    del result[inc.at]
    return _Merged(tuple(result), bias, not access.is_store)


def _base_access(line: Line, pointer: str) -> Access | None:
    """The access of a line that uses a pointer as its address and for nothing else."""
    access = line.instruction.access if line.instruction else None
    return access if access and access.base == pointer != access.data else None


def _post_increment(access: Access, inc: _Increment) -> Line:
    """The load or store that moves its pointer."""
    kind, data, base, by = access.kind, access.data, access.base, inc.by
    if by is None and access.is_store:
        code = f".insn s 0x2b, {_FUNCT3[kind]}, {data}, {inc.step}({base})"
    elif by is None:
        code = f".insn i 0x0b, {_FUNCT3[kind]}, {data}, {base}, {inc.step}"
    elif access.is_store:
        code = f".insn r 0x2b, 3, {_FUNCT7[kind]:#04x}, {by}, {base}, {data}"
    else:
        code = f".insn r 0x2b, 3, {_FUNCT7[kind]:#04x}, {data}, {base}, {by}"
    return coded_access(code, access, [by] if by else [], [base])


def index_accesses(
    lines: Sequence[Line], needed: Registers, *, least: int = 0
) -> tuple[list[Line], int]:
    """Adds two registers inside of the load or store that needs their sum.

    Args:
        lines: of a block.
        needed: registers that are needed behind it.
        least: instructions that must remain.

    Returns:
        The lines, and how many additions went away.
    """
    current, count, at = list(lines), 0, 0
    while at < len(current) and len(code_of(current)) > least:
        indexed = _index(current, at, needed)
        if indexed:
            current, count = indexed, count + 1
        else:
            at += 1
    return current, count


def _index(lines: Sequence[Line], at: int, needed: Registers) -> list[Line] | None:
    """Takes the `add` at a line into the accesses through its sum."""
    sum_of = lines[at].instruction
    if sum_of is None or sum_of.mnemonic != "add" or len(sum_of.reads) != 2 or not sum_of.writes:
        return None
    (total,) = sum_of.writes
    base, offset = sum_of.operands[1:]
    result = list(lines)
    for i, code in code_of(lines):
        if i <= at:
            continue
        if total in code.reads:
            access = _base_access(lines[i], total) or _load_over(lines[i], total)
            if access is None or access.kind not in _FUNCT7 or access.offset:
                return None
            result[i] = _indexed(access, base, offset)
        if total in code.writes:
            break
        if code.writes & sum_of.reads:
            # Later uses of the sum could not add these registers any more.
            if is_needed(total, lines[i + 1 :], needed):
                return None
            break
    else:
        if total in needed:
            return None
    if result == list(lines):
        return None  # no access: an addition for something else
    del result[at]
    return result


def _load_over(line: Line, pointer: str) -> Access | None:
    """The load of a line that overwrites its own address."""
    access = line.instruction.access if line.instruction else None
    over = access and access.base == access.data == pointer and not access.is_store
    return access if over else None


def _indexed(access: Access, base: str, offset: str) -> Line:
    """The load or store at the sum of two registers."""
    funct7, data = _FUNCT7[access.kind] + _INDEXED, access.data
    first, last = (offset, data) if access.is_store else (data, offset)
    code = f".insn r 0x2b, 3, {funct7:#04x}, {first}, {base}, {last}"
    return coded_access(code, replace(access, base=base), [offset])
