# SPDX-License-Identifier: Apache-2.0
"""Which words of which memory the cores and the DMA touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.loop.nest import Nest, loop_strides, nest_of
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.kernels.op import bits_of
from acclimate.program import Buffer, Call, Program, Role, View

_WORD_BYTES = 4

Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Touch:
    """What one core does to one operand.

    Args:
        core: its number; a copy counts as what core 0 does, which begins it.
        memory: name of the piece of memory: an arena, or a buffer.
        words: numbers of the words there.
        writes: it changes them.
    """

    core: int
    memory: str
    words: Words
    writes: bool

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first word and the last one."""
        return int(self.words.min()), int(self.words.max())

    @cached_property
    def dense(self) -> bool:
        """True if every word between the first and the last one is touched, in that order."""
        low, high = self.span
        return self.words.size == high - low + 1 and bool((np.diff(self.words) == 1).all())

    def races(self, other: Touch) -> bool:
        """True if both touch a word and one of them writes it."""
        if self.memory != other.memory or not (self.writes or other.writes):
            return False
        (low, high), (first, last) = self.span, other.span
        if low > last or first > high:
            return False
        # Most operands are in one piece; to sort the words of all others would take long.
        if self.dense and other.dense:
            return True
        if self.dense or other.dense:
            words = other.words if self.dense else self.words
            return bool(((words >= max(low, first)) & (words <= min(high, last))).any())
        return bool(np.intersect1d(self.words, other.words).size)


@dataclass
class _Memory:
    """Who has touched the words of one piece of memory: a bit per core."""

    writers: npt.NDArray[np.uint32]
    readers: npt.NDArray[np.uint32]


@dataclass
class Traffic:
    """What the cores have touched since they last met.

    Args:
        program: whose buffers are touched.
        offsets: of the arena buffers [B].
        arenas: sizes by memory [B].
    """

    program: Program
    offsets: Mapping[str, int]
    arenas: Mapping[str, int]
    _memories: dict[str, _Memory] = field(default_factory=dict)

    def meet(self) -> None:
        """From here on nothing of before can race."""
        self._memories.clear()

    def add(self, touch: Touch) -> None:
        """Remembers a touch."""
        memory = self._memory(touch.memory)
        bits = memory.writers if touch.writes else memory.readers
        bits[touch.words] |= np.uint32(1 << touch.core)

    def races(self, touch: Touch) -> bool:
        """True if another core has touched a word of it, and one of the two writes."""
        memory = self._memory(touch.memory)
        others = ~np.uint32(1 << touch.core)
        seen = memory.writers[touch.words]
        if touch.writes:
            seen = seen | memory.readers[touch.words]
        return bool((seen & others).any())

    def touch(self, core: int, name: str, elements: Words, writes: bool) -> Touch:
        """What a core does to elements of a buffer."""
        buffer = self.program.buffers[name]
        first = self.offsets[name] if buffer.role.in_arena else 0
        words = (8 * first + elements * bits_of(buffer.dtype)) // (8 * _WORD_BYTES)
        return Touch(core, _place(buffer), words, writes)

    def _memory(self, name: str) -> _Memory:
        if name not in self._memories:
            arena = name.removeprefix(_ARENA)
            size = self.arenas[arena] if name != arena else self.program.buffers[name].size_bytes
            zeros = np.zeros(-(-size // _WORD_BYTES), np.uint32)
            self._memories[name] = _Memory(zeros, zeros.copy())
        return self._memories[name]


_ARENA = "arena of "  # no buffer has a blank in its name


def _place(buffer: Buffer) -> str:
    return f"{_ARENA}{buffer.memory}" if buffer.role.in_arena else buffer.name


def touches(traffic: Traffic, call: Call, cores: int) -> Iterator[Touch]:
    """What each core reads and writes; scalars that are passed by value are read by all."""
    buffers = traffic.program.buffers
    if isinstance(call.attrs, Copy):
        for view, writes in ((call.inputs[0], False), (call.outputs[0], True)):
            assert view is not None
            yield traffic.touch(0, view.buffer, _elements(view), writes)
        return
    if isinstance(call.attrs, (Map, Reduce)):
        operands = [*call.writes, *(view for view in call.inputs if view is not None)]
        nest = nest_of(call.attrs, strides_of(call.attrs, call))
        for position, view in enumerate(operands):
            buffer, writes = buffers[view.buffer], position < len(call.writes)
            if buffer.role is Role.SCALAR:
                continue
            for core in range(cores):
                part = (0, 1) if cores == 1 else (core, cores)
                elements = view.offset + _part(nest, nest.strides[position], *part)
                if elements.size:
                    yield traffic.touch(core, view.buffer, elements, writes)
                    if writes and call.accumulate:
                        yield traffic.touch(core, view.buffer, elements, False)
        return
    yield from _kernel_touches(traffic, call, cores)


def _kernel_touches(traffic: Traffic, call: Call, cores: int) -> Iterator[Touch]:
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
            low, high = view.span()
            every = np.arange(low, high + 1)
            for core in range(cores):
                elements = view.offset + known[name][core] if name in known else every
                if elements.size:
                    yield traffic.touch(core, view.buffer, elements, writing)


def strides_of(attrs: Map | Reduce, call: Call) -> list[tuple[int, ...]]:
    """Strides of the outputs, then of the inputs, along the axes of a loop."""
    outputs = [loop_strides(attrs, view.strides) for view in call.writes]
    return outputs + [view.strides for view in call.inputs if view is not None]


def _elements(view: View) -> Words:
    elements = np.array([view.offset], np.int64)
    for count, stride in zip(view.shape, view.strides, strict=True):
        elements = np.add.outer(elements, np.arange(count) * stride).reshape(-1)
    return elements


def _part(nest: Nest, strides: list[int], core: int, cores: int) -> Words:
    """Elements, from the view's first one, that a core's part of the nest touches."""
    elements = np.zeros(1, np.int64)
    for loop, (extent, step) in enumerate(zip(nest.extents, strides, strict=True)):
        pieces = -(-extent // nest.grain)
        low, high = (nest.grain * _first(pieces, c, cores) for c in (core, core + 1))
        steps = np.arange(low, min(high, extent)) if loop == 0 else np.arange(extent)
        if not steps.size:
            return np.zeros(0, np.int64)
        if step:
            elements = np.add.outer(elements, steps * step).reshape(-1)
    return elements


def _first(count: int, core: int, cores: int) -> int:
    """`ac_split` of ac.h."""
    return count // cores * core + min(core, count % cores)
