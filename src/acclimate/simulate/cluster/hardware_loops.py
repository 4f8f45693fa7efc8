# SPDX-License-Identifier: Apache-2.0
"""Hardware loops, post-increments and register offsets for code that LLVM has compiled.

The core has them (CORE-V extensions of CV32E40P), the compiler does not know them:

    loop:                                       sub  a6, a3, a0
        lw      a4, 0(a1)                       srli a6, a6, 2
        lw      a5, 0(a0)                       cv.setup 0, a6, end
        fmadd.s a4, a2, a4, a5            loop: cv.lw a4, (a1), 4
        sw      a4, 0(a0)           ->          lw    a5, 0(a0)
        addi    a0, a0, 4                       fmadd.s a4, a2, a4, a5
        addi    a1, a1, 4                       cv.sw a4, (a0), 4
        bne     a0, a3, loop              end:

A loop is taken if its body is one block of plain instructions and the number of its turns can be
computed before it. Rules of the hardware: CV32E40P user manual, "Hardware Loop constraints". Only
loop 0 is used, and functions that use hardware loops already, in inline assembly, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from acclimate.simulate.cluster.addressing import index_accesses, merge_increments
from acclimate.simulate.cluster.assembly import (
    ALLOCATABLE,
    BRANCHES,
    EVERY,
    Line,
    code_of,
    coded,
    line_of,
    parse_lines,
)
from acclimate.simulate.cluster.liveness import Block, basic_blocks
from acclimate.simulate.cluster.pointers import Turn, move_pointers_once
from acclimate.simulate.cluster.stalls import fill_load_delays
from acclimate.simulate.cluster.trip_count import Counter, count_code, find_counter

_LEAST, _MOST = 3, 2000  # instructions of a body: the rule of the core; what cv.setup can hold
_REFILL_CYCLES = 2  # of the pipeline, after a branch back
# A hardware loop must be faster from so many turns on. Most are from two; with one turn, those that
# compute their count lose 2 to 5 cycles.
_TURNS = 4
# Loops written by hand, and words in the code that could be anything.
_OWN = re.compile(
    r"\.insn\s+(\w+\s+(0x2b|43)\s*,\s*4\b|(0x)?\d)|\bcv\.(start|end|count|setup)"
    r"|\.(word|long|4byte|2byte|half|short|byte|option|text|data|section|pushsection)\b",
    re.IGNORECASE,
)
_COMPRESSED = re.compile(r"^\s*\.attribute\s+5,.*_(c|zca)\d|^\s*\.option\s+rvc", re.MULTILINE)
_FUNCTION = re.compile(r"^\s*\.type\s+([\w.$]+)\s*,\s*@function", re.MULTILINE)


@dataclass(frozen=True)
class LoopCounts:
    """What was inserted: hardware loops, post-increments, accesses at a register's offset."""

    loops: int = 0
    post_increments: int = 0
    indexed: int = 0

    def __add__(self, other: LoopCounts) -> LoopCounts:
        return LoopCounts(
            self.loops + other.loops,
            self.post_increments + other.post_increments,
            self.indexed + other.indexed,
        )


def with_hardware_loops(assembly: str) -> str:
    """Assembly with everything that `insert_hardware_loops` inserts."""
    return insert_hardware_loops(assembly)[0]


def insert_hardware_loops(assembly: str) -> tuple[str, LoopCounts]:
    """Inserts hardware loops and the accesses that fit them wherever that is safe and pays.

    Args:
        assembly: of one C file, for RV32 without compressed instructions.

    Returns:
        The new assembly, and what was inserted.
    """
    if _COMPRESSED.search(assembly):
        return assembly, LoopCounts()
    lines = parse_lines(assembly)
    names = set(_FUNCTION.findall(assembly))
    result: list[Line] = []
    counts = LoopCounts()
    at = 0
    while at < len(lines):
        end = at + 1
        if lines[at].label in names:
            end = _end_of(lines, at)
            function, found = _rewrite(lines[at:end])
            counts += found
        else:
            function = lines[at:end]
        result += function
        at = end
    return "\n".join(line.text for line in result), counts


def _end_of(lines: Sequence[Line], at: int) -> int:
    """Line behind a function that begins at a line."""
    size = re.compile(rf"\s*\.size\s+{re.escape(lines[at].label or '')}\s*,")
    return next((i for i in range(at, len(lines)) if size.match(lines[i].text)), len(lines))


def _rewrite(function: Sequence[Line]) -> tuple[list[Line], LoopCounts]:
    """A function with everything inserted."""
    if any(_OWN.search(line.text.split("#")[0]) for line in function):
        return list(function), LoopCounts()
    result: list[Line] = []
    counts = LoopCounts()
    for block in basic_blocks(function):
        lines, found = _hardware_loop(block) or _shorter(block)
        result += lines
        counts += found
    return result, counts


def _shorter(block: Block) -> tuple[list[Line], LoopCounts]:
    """A block that is no hardware loop: only its addresses."""
    lines, _, merged = merge_increments(block.lines)
    lines, indexed = index_accesses(lines, block.exit)
    return fill_load_delays(lines), LoopCounts(0, merged, indexed)


def _hardware_loop(block: Block) -> tuple[list[Line], LoopCounts] | None:
    """A block that branches back to its own start as a hardware loop."""
    found = _turn_of(block)
    if found is None:
        return None
    head, turn = found
    before = len(code_of(turn.body)) + 1 + _REFILL_CYCLES
    turn = move_pointers_once(turn, block.exit)
    counter = find_counter(turn.body, turn.branch)
    if counter is None:
        return None
    body, fix = _without_counter(turn.body, counter, block)
    count = _count(counter, body, fix, block)
    if count is None:
        return None
    setup, source = count
    lines, biases, merged = merge_increments(body, biased=EVERY - {source}, least=_LEAST)
    lines, indexed = index_accesses(lines, block.exit, least=_LEAST)
    size = len(code_of(lines))
    if not size or size > _MOST:
        return None
    lines = fill_load_delays([*lines, *[line_of("nop")] * (_LEAST - size)])
    size = max(size, _LEAST)
    for name, bias in biases.items():
        setup.append(line_of(f"addi\t{name}, {name}, {bias}"))
        if name in block.after:
            fix.append(line_of(f"addi\t{name}, {name}, {-bias}"))
    setup.append(coded(f".insn i 0x2b, 4, x14, {source}, {size + 1}", "cv.setup", (source,), ()))
    # The last branch of the loop that it replaces is not taken, so it refills nothing.
    once = len(setup) + len(fix) + _REFILL_CYCLES
    if _TURNS * (before - size) <= once:
        return None
    return [*head, *setup, *lines, *fix], LoopCounts(1, merged, indexed)


def _turn_of(block: Block) -> tuple[list[Line], Turn] | None:
    """The labels of a loop and its turn, if it consists of one block that can be a body."""
    code = code_of(block.lines)
    if block.last is None or block.last.mnemonic not in BRANCHES or len(code) < 2:
        return None
    first, last = code[0][0], code[-1][0]
    body = block.lines[first:last]
    plain = all(i.plain for _, i in code[:-1])
    quiet = all(line.harmless or line.label or line.instruction for line in body)
    if block.target not in block.labels or not plain or not quiet:
        return None
    return list(block.lines[:first]), Turn(tuple(body), block.last)


def _without_counter(
    body: Sequence[Line], counter: Counter, block: Block
) -> tuple[list[Line], list[Line]]:
    """The body, and what must follow the loop, after the counter has gone if it only counts."""
    others = [code for at, code in code_of(body) if at != counter.at]
    kept = any(counter.name in code.reads for code in others)
    ends_at_bound = counter.comparison == "bne"
    needed = counter.name in block.after
    if kept or (needed and not ends_at_bound):
        return list(body), []
    fix = [line_of(f"mv\t{counter.name}, {counter.bound}")] if needed else []
    return [line for at, line in enumerate(body) if at != counter.at], fix


def _count(
    counter: Counter, body: Sequence[Line], fix: Sequence[Line], block: Block
) -> tuple[list[Line], str] | None:
    """Code before the loop, and the register that then holds its turns."""
    used = {name for _, code in code_of(body) for name in code.reads | code.writes}
    used |= {name for _, code in code_of(fix) for name in code.reads}
    free = [name for name in ALLOCATABLE if name not in block.entry]
    # Besides registers that nobody needs: the counter and its bound, if they are only that.
    own = [
        name for name in (counter.name, counter.bound)
        if name not in used and counter.can_use(name) and name in ALLOCATABLE
        and (name not in block.after or any(name in code.writes for _, code in code_of(fix)))
    ]  # fmt: skip
    needed = counter.registers_needed
    targets = [*free, *own]
    if needed > len(targets) or (needed == 2 and not free):
        return None
    target = targets[0] if needed == 1 else (own[0] if own else targets[-1])
    if needed == 0:
        return count_code(counter, "", "")
    return count_code(counter, target, free[0] if needed == 2 else "")
