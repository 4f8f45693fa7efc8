# SPDX-License-Identifier: Apache-2.0
"""Basic blocks of a function in assembly, and which registers are needed where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from acclimate.simulate.cluster.assembly import (
    EVERY,
    NONE,
    Instruction,
    Line,
    Registers,
    code_of,
)

_DEBUG_LABEL = re.compile(r"\.Ltmp\d+")


@dataclass(frozen=True)
class Block:
    """Lines that run one after the other.

    Args:
        lines: all of them, directives too.
        labels: by which it is entered, besides from the block before.
        last: the instruction that ends it, if one does.
        entry: registers that are needed where it begins.
        after: registers that are needed where the block behind it begins.
        exit: registers that are needed by what may follow.
    """

    lines: tuple[Line, ...]
    labels: frozenset[str]
    last: Instruction | None
    entry: Registers = NONE
    after: Registers = NONE
    exit: Registers = NONE

    @property
    def target(self) -> str | None:
        """The label to which it branches or jumps."""
        jumps = self.last is not None and self.last.mnemonic not in ("jr", "ret", "tail")
        return self.last.operands[-1] if jumps and self.last else None

    @property
    def falls_through(self) -> bool:
        """Whether the block behind it may follow."""
        return self.last is None or self.last.mnemonic not in ("j", "jr", "ret", "tail")


def basic_blocks(lines: Sequence[Line]) -> list[Block]:
    """The blocks of a function in order, with what is needed at their ends."""
    return _with_liveness(_blocks(lines))


def _blocks(lines: Sequence[Line]) -> list[Block]:
    """Blocks without liveness."""
    code = [instruction for _, instruction in code_of(lines)]
    targets = {i.operands[-1] for i in code if i.ends_block and i.operands}
    blocks: list[Block] = []
    current: list[Line] = []
    labels: set[str] = set()
    empty = True

    def finish(last: Instruction | None) -> None:
        nonlocal empty
        blocks.append(Block(tuple(current), frozenset(labels), last))
        current.clear()
        labels.clear()
        empty = True

    for line in lines:
        # Debug information labels places inside of blocks.
        enters = line.label and (not _DEBUG_LABEL.fullmatch(line.label) or line.label in targets)
        if enters and not empty:
            finish(None)
        if enters and line.label:
            labels.add(line.label)
        current.append(line)
        if line.instruction:
            empty = False
            if line.instruction.ends_block:
                finish(line.instruction)
    finish(None)
    return blocks


def _with_liveness(blocks: Sequence[Block]) -> list[Block]:
    """Solves the equations of liveness, backwards, until nothing changes.

    Before an instruction are needed: what it reads, and what is needed after it but not written by
    it. Where code goes to a place that is not known, everything is needed.
    """
    at = {label: i for i, block in enumerate(blocks) for label in block.labels}
    entry: list[Registers] = [NONE] * (len(blocks) + 1)
    entry[-1] = EVERY  # behind the function
    effects = [_effect(block) for block in blocks]

    def needed_at(i: int) -> Registers:
        found = entry[i + 1] if blocks[i].falls_through else NONE
        target = blocks[i].target
        if target is None:
            return found
        return found | entry[at[target]] if target in at else EVERY

    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(blocks))):
            reads, writes = effects[i]
            needed = reads | (needed_at(i) - writes)
            if needed != entry[i]:
                entry[i], changed = needed, True
    return [
        replace(block, entry=entry[i], after=entry[i + 1], exit=needed_at(i))
        for i, block in enumerate(blocks)
    ]


def _effect(block: Block) -> tuple[Registers, Registers]:
    """What a block reads before it writes it, and what it writes."""
    reads, writes = NONE, NONE
    for _, instruction in code_of(block.lines):
        reads |= instruction.reads - writes
        writes |= instruction.writes
    return reads, writes


def is_needed(name: str, lines: Sequence[Line], behind: Registers) -> bool:
    """Whether a register is read before it is written in some lines, or needed behind them."""
    for _, instruction in code_of(lines):
        if name in instruction.reads:
            return True
        if name in instruction.writes:
            return False
    return name in behind
