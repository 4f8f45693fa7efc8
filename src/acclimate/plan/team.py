# SPDX-License-Identifier: Apache-2.0
"""How the cores of a device share an entry point: who computes a call, and where they must meet.

All cores run the same calls. Between two calls they need a barrier only if one of them touches
memory that another one has touched since the last barrier, and at least one of the two writes. What
a core touches is known for generated code; a kernel in C counts as if every core touched all of its
operands. Small loops are left to core 0 alone: a chain of them, such as the loss, then needs no
barrier inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from acclimate.kernels.loop.nest import loop_strides, nest_of
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.op import DTYPES
from acclimate.program import Buffer, Call, Entry, Program, Role

# Elements below which sharing a loop costs more than it saves: a barrier takes about 15 cycles and
# the bounds of a core's part about 15, an element about 5.
ALONE_ELEMENTS = 32
_WORD_BYTES = 4
_ARENA = ""

Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Team:
    """Who computes the calls of an entry point.

    Args:
        cores: that run it.
        alone: numbers of the calls that core 0 computes alone.
        barriers: numbers of the calls before which all cores meet.
    """

    cores: int = 1
    alone: frozenset[int] = frozenset()
    barriers: frozenset[int] = frozenset()


@dataclass
class _Memory:
    """Who has touched the words of one piece of memory since the last barrier: a bit per core."""

    writers: npt.NDArray[np.uint32]
    readers: npt.NDArray[np.uint32]


@dataclass
class _Traffic:
    """All memory since the last barrier."""

    program: Program
    offsets: Mapping[str, int]
    arena_words: int
    memories: dict[str, _Memory] = field(default_factory=dict)

    def memory(self, buffer: Buffer) -> _Memory:
        """The record of a buffer's memory; all arena buffers share one."""
        name, words = buffer.name, -(-buffer.size_bytes // _WORD_BYTES)
        if buffer.role.in_arena:
            name, words = _ARENA, self.arena_words
        if name not in self.memories:
            zeros = np.zeros(words, np.uint32)
            self.memories[name] = _Memory(zeros, zeros.copy())
        return self.memories[name]

    def words(self, buffer: Buffer, elements: Words) -> Words:
        """Word numbers of elements in their memory."""
        first = self.offsets[buffer.name] if buffer.role.in_arena else 0
        return (first + elements * DTYPES[buffer.dtype].itemsize) // _WORD_BYTES


@dataclass(frozen=True)
class _Touch:
    """What one core does to one operand."""

    core: int
    buffer: Buffer
    words: Words
    writes: bool


def share_work(
    program: Program, entry: Entry, offsets: Mapping[str, int], arena_bytes: int, cores: int
) -> Team:
    """Decides how `cores` cores run an entry point.

    Args:
        program: whose buffers the calls use.
        entry: calls with kernels and scratch.
        offsets: of the arena buffers [B].
        arena_bytes: size of the arena.
        cores: that run the calls together.
    """
    if cores == 1:
        return Team()
    traffic = _Traffic(program, offsets, -(-arena_bytes // _WORD_BYTES))
    alone = frozenset(n for n, call in enumerate(entry.calls) if _small(call))
    barriers = set()
    for number, call in enumerate(entry.calls):
        touches = list(_touches(traffic, call, 1 if number in alone else cores))
        if any(_conflicts(traffic, touch) for touch in touches):
            barriers.add(number)
            traffic.memories.clear()
        for touch in touches:
            memory = traffic.memory(touch.buffer)
            bits = memory.writers if touch.writes else memory.readers
            bits[touch.words] |= np.uint32(1 << touch.core)
    return Team(cores, alone, frozenset(barriers))


def _small(call: Call) -> bool:
    """True for loops that core 0 computes alone."""
    if not isinstance(call.attrs, (Map, Reduce)):
        return False
    nest = nest_of(call.attrs, _strides(call.attrs, call))
    return nest.split is None or prod(call.attrs.shape) <= ALONE_ELEMENTS


def _conflicts(traffic: _Traffic, touch: _Touch) -> bool:
    memory = traffic.memory(touch.buffer)
    others = ~np.uint32(1 << touch.core)
    seen = memory.writers[touch.words]
    if touch.writes:
        seen = seen | memory.readers[touch.words]
    return bool((seen & others).any())


def _touches(traffic: _Traffic, call: Call, cores: int) -> Iterator[_Touch]:
    """What each core reads and writes; scalars that are passed by value are read by all."""
    buffers = traffic.program.buffers
    if isinstance(call.attrs, (Map, Reduce)):
        operands = [*call.writes, *(view for view in call.inputs if view is not None)]
        nest = nest_of(call.attrs, _strides(call.attrs, call))
        for position, view in enumerate(operands):
            buffer, writes = buffers[view.buffer], position < len(call.writes)
            if buffer.role is Role.SCALAR:
                continue
            for core in range(cores):
                part = (0, 1) if cores == 1 else (core, cores)
                elements = view.offset + _part(nest.extents, nest.strides[position], *part)
                if elements.size:
                    yield _Touch(core, buffer, traffic.words(buffer, elements), writes)
                    if writes and call.accumulate:
                        yield _Touch(core, buffer, traffic.words(buffer, elements), False)
        return
    yield from _kernel_touches(traffic, call, cores)


def _kernel_touches(traffic: _Traffic, call: Call, cores: int) -> Iterator[_Touch]:
    """Exactly what generated code touches where it says so; else every core all operands."""
    known = call.work.touched if call.work else {}
    signature = call.op.signature
    pairs = [*zip(signature.inputs, call.inputs, strict=True)]
    reads = [(operand.name, view) for operand, view in pairs]
    writes = [(o.name, view) for o, view in zip(signature.outputs, call.outputs, strict=True)]
    both = [*writes, ("scratch", call.scratch)]
    for operands, writing in (
        (reads, False),
        (writes if call.accumulate else [], False),
        (both, True),
    ):
        for name, view in operands:
            if view is None or traffic.program.buffers[view.buffer].role is Role.SCALAR:
                continue
            buffer = traffic.program.buffers[view.buffer]
            low, high = view.span()
            every = traffic.words(buffer, np.arange(low, high + 1))
            for core in range(cores):
                words = every
                if name in known:
                    words = traffic.words(buffer, view.offset + known[name][core])
                if words.size:
                    yield _Touch(core, buffer, words, writing)


def _strides(attrs: Map | Reduce, call: Call) -> list[tuple[int, ...]]:
    outputs = [loop_strides(attrs, view.strides) for view in call.writes]
    return outputs + [view.strides for view in call.inputs if view is not None]


def _part(extents: list[int], strides: list[int], core: int, cores: int) -> Words:
    """Elements, from the view's first one, that a core's part of the nest touches."""
    elements = np.zeros(1, np.int64)
    for loop, (extent, step) in enumerate(zip(extents, strides, strict=True)):
        low, high = (_first(extent, core, cores), _first(extent, core + 1, cores))
        steps = np.arange(low, high) if loop == 0 else np.arange(extent)
        if not steps.size:
            return np.zeros(0, np.int64)
        if step:
            elements = np.add.outer(elements, steps * step).reshape(-1)
    return elements


def _first(count: int, core: int, cores: int) -> int:
    """`ac_split` of ac.h."""
    return count // cores * core + min(core, count % cores)
