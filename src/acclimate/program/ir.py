# SPDX-License-Identifier: Apache-2.0
"""The small IR: buffers, views of buffers, calls of operators on views, programs of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import Array, Kernel, Op, Shape, bytes_of, pick
from acclimate.kernels.pulp.work import Choice, Work
from acclimate.program.view import View

_L3_ALIGN_BYTES = 8


class Role(StrEnum):
    """What a buffer is for; the role decides who owns its memory."""

    INPUT = "input"  # the caller's
    TARGET = "target"  # the caller's
    OUTPUT = "output"  # the caller's
    SCALAR = "scalar"  # passed by value: the learning rate
    PARAMETER = "parameter"  # static, learns
    FROZEN = "frozen"  # static, constant
    STATISTIC = "statistic"  # static: running mean and variance of norms
    STATE = "state"  # static: optimizer moments, counters, seed
    GRADIENT = "gradient"  # static: sums over the samples of a mini-batch
    PAGE = "page"  # static, in a slower memory: activations that wait there
    L3 = "l3"  # in a memory that no core reads, between two copies: activations that wait there
    STORED = "stored"  # static, constant, in the same memory: fetched for each call that reads it
    ACTIVATION = "activation"  # in the arena
    SCRATCH = "scratch"  # in the arena, used by one call
    TILE = "tile"  # in the arena: parts of a larger buffer while they are computed on

    @property
    def external(self) -> bool:
        """True for memory that the caller passes to an entry point."""
        return self in (Role.INPUT, Role.TARGET, Role.OUTPUT, Role.SCALAR)

    @property
    def persistent(self) -> bool:
        """True for static memory, which keeps its value between entry points."""
        return not self.external and not self.in_arena and self is not Role.L3

    @property
    def behind(self) -> bool:
        """True for a memory that no core reads."""
        return self in (Role.L3, Role.STORED)

    @property
    def in_arena(self) -> bool:
        """True for memory that the planner places in the arena."""
        return self in (Role.ACTIVATION, Role.SCRATCH, Role.TILE)


@dataclass(frozen=True)
class Source:
    """Where in the user's model a call comes from: `kws.py:41  self.conv1(x)`, module `conv1`."""

    module: str = ""
    file: str = ""
    line: int = 0
    code: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        return "  ".join(part for part in (self.module, place, self.code) if part)


@dataclass(frozen=True)
class Buffer:
    """A named, contiguous piece of memory of one element type.

    Args:
        name: C identifier.
        shape: sizes, row-major.
        dtype: f32, s32, s16, u8, or u1: bits, which loops alone read and write.
        role: what it is for.
        source: where in the model it comes from.
        path: the user's name of a parameter, e.g. `fc1.weight`.
        limit: exclusive upper bound of integer values, e.g. the number of classes; 0 for none.
        ignored: an integer value outside of it that is allowed: a class that is left out.
        memory: of the device, where that is decided; else empty.
        channels: numbers on axis 1 that learn, of a parameter; empty for all of them.
    """

    name: str
    shape: Shape
    dtype: str
    role: Role
    source: Source = Source()
    path: str = ""
    limit: int = 0
    memory: str = ""
    channels: Shape = ()
    ignored: int | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def length(self) -> int:
        """Elements of its array in memory: those of bits are bytes."""
        return self.size_bytes if self.dtype == "u1" else self.size

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of its array in memory: that of bits is a row of bytes."""
        return (self.length,) if self.dtype == "u1" else self.shape

    @property
    def size_bytes(self) -> int:
        """Bytes of the elements, without alignment."""
        return bytes_of(self.dtype, self.size)


class Phase(StrEnum):
    """Which part of a training step a call belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"


@dataclass(frozen=True)
class Call:
    """One operator applied to views. `accumulate` adds to the outputs instead of setting them.

    `choice` and `work` are of a kernel whose code is written for the call. `origin` is the number
    of the call that this one is a part of, where calls are cut into tiles.
    """

    op: Op
    outputs: tuple[View | None, ...]
    inputs: tuple[View | None, ...]
    attrs: Any
    phase: Phase = Phase.FORWARD
    source: Source = Source()
    accumulate: bool = False
    kernel: Kernel | None = None
    scratch: View | None = None
    choice: Choice | None = None
    work: Work | None = None
    origin: int | None = None

    @cached_property
    def reads(self) -> tuple[View, ...]:
        """Views whose values the call needs."""
        views = [view for view in self.inputs if view is not None]
        return (*views, *(self.writes if self.accumulate else ()))

    @cached_property
    def writes(self) -> tuple[View, ...]:
        """Views that the call sets, without scratch."""
        return tuple(view for view in self.outputs if view is not None)

    @cached_property
    def read_names(self) -> frozenset[str]:
        """Buffers of `reads`."""
        return frozenset(view.buffer for view in self.reads)

    @cached_property
    def written_names(self) -> frozenset[str]:
        """Buffers of `writes`."""
        return frozenset(view.buffer for view in self.writes)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """All views of the call, scratch included."""
        return (*self.reads, *self.writes, *((self.scratch,) if self.scratch else ()))

    def values(self) -> Mapping[str, Any]:
        """Dims, attributes and derived scalars of this call, see `Op.bind`."""
        return self._values

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        shape = [None if view is None else view.shape for view in (*self.inputs, *self.outputs)]
        count = len(self.inputs)
        return self.op.bind(shape[:count], shape[count:], self.attrs)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of this call."""
        return int(pick(self.op.macs, self.values()))

    def map_views(self, change: Mapping[str, View]) -> Call:
        """The call with every view that covers a buffer in `change` moved onto its replacement."""
        if not (self.read_names | self.written_names) & change.keys():
            return self

        def moved(view: View | None) -> View | None:
            if view is None or view.buffer not in change:
                return view
            target = change[view.buffer]
            return replace(view, buffer=target.buffer, offset=view.offset + target.offset)

        return replace(
            self,
            inputs=tuple(moved(view) for view in self.inputs),
            outputs=tuple(moved(view) for view in self.outputs),
        )


@dataclass(frozen=True)
class Entry:
    """One function of the generated C.

    Args:
        name: predict, train, accumulate or apply.
        calls: in execution order.
        data: inputs and targets that the caller passes, used or not.
    """

    name: str
    calls: tuple[Call, ...]
    data: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """What each call is called in C and in reports: tiles have the number of the whole."""
        return tuple(n if call.origin is None else call.origin for n, call in enumerate(self.calls))

    def layers(self) -> tuple[tuple[Call, ...], ...]:
        """The calls by number: one each, or the tiles, then the copies that took its place."""
        found: dict[int, list[Call]] = {}
        for number, call in zip(self.numbers, self.calls, strict=True):
            found.setdefault(number, []).append(call)
        return tuple(
            tuple(sorted(found[number], key=lambda call: isinstance(call.attrs, Copy)))
            for number in sorted(found)
        )


@dataclass(frozen=True)
class Program:
    """Entry points that share parameters and state.

    Args:
        name: prefix of every C symbol.
        buffers: by name, in order of creation.
        entries: by name: predict, train, accumulate, apply.
        values: initial values of the persistent buffers.
        compact: code and data share a memory that is short: what starts the calls is compiled for
            size.
    """

    name: str
    buffers: Mapping[str, Buffer]
    entries: Mapping[str, Entry]
    values: Mapping[str, Array] = field(repr=False)
    compact: bool = False

    def calls(self) -> Iterator[Call]:
        """All calls of all entry points."""
        for entry in self.entries.values():
            yield from entry.calls

    @property
    def copies(self) -> bool:
        """True if a DMA moves data between memories while the calls run."""
        return any(isinstance(call.attrs, Copy) for call in self.calls())

    def copies_l3(self, call: Call) -> bool:
        """True for a copy between l3 and the memory before it."""
        return any(self.buffers[view.buffer].role.behind for view in call.views)

    def l3_offsets(self, entry: Entry) -> dict[str, int]:
        """Where in l3 the buffers of an entry point wait, side by side [B]; no value stays there
        after it, so those of every entry point begin at 0. Constants lie behind all of them."""
        return self._side_by_side(self._pages(entry), 0)[0] | self.stored_offsets

    @property
    def stored_offsets(self) -> dict[str, int]:
        """Where in l3 the constants lie [B]."""
        stored = [name for name, b in self.buffers.items() if b.role is Role.STORED]
        return self._side_by_side(stored, self.l3_page_bytes)[0]

    @property
    def l3_page_bytes(self) -> int:
        """Of l3 before the constants, for the entry point of which most waits there."""
        ends = (self._side_by_side(self._pages(entry), 0)[1] for entry in self.entries.values())
        return max(ends, default=0)

    @property
    def l3_bytes(self) -> int:
        """Of l3, with the constants."""
        stored = [name for name, b in self.buffers.items() if b.role is Role.STORED]
        return self._side_by_side(stored, self.l3_page_bytes)[1]

    def _pages(self, entry: Entry) -> list[str]:
        """Buffers of an entry point that wait in l3, in the order in which they come there."""
        written = dict.fromkeys(view.buffer for call in entry.calls for view in call.writes)
        return [name for name in written if self.buffers[name].role is Role.L3]

    def _side_by_side(self, names: Sequence[str], start: int) -> tuple[dict[str, int], int]:
        """Offsets from `start` on, and the end [B]."""
        offsets: dict[str, int] = {}
        end = start
        for name in names:
            offsets[name] = -(-end // _L3_ALIGN_BYTES) * _L3_ALIGN_BYTES
            end = offsets[name] + self.buffers[name].size_bytes
        return offsets, end

    def with_entry(self, entry: Entry, buffers: Mapping[str, Buffer] | None = None) -> Program:
        """The program with one entry point replaced, and perhaps other buffers."""
        return replace(
            self,
            entries={**self.entries, entry.name: entry},
            buffers=self.buffers if buffers is None else buffers,
        )

    def interface(self, entry: str) -> tuple[Buffer, ...]:
        """The external buffers of an entry point: outputs, inputs, targets, scalars."""
        used = {view.buffer for call in self.entries[entry].calls for view in call.views}
        used.update(self.entries[entry].data)
        order = (Role.OUTPUT, Role.INPUT, Role.TARGET, Role.SCALAR)
        found = [b for b in self.buffers.values() if b.name in used and b.role.external]
        return tuple(sorted(found, key=lambda b: order.index(b.role)))
