# SPDX-License-Identifier: Apache-2.0
"""Runs a program in NumPy: the meaning of the C that is generated from it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from acclimate.kernels.op import DTYPES, Array
from acclimate.program.ir import Call, Program, Role
from acclimate.program.view import View


class Interpreter:
    """Keeps the persistent buffers of a program and runs its entry points.

    Args:
        program: what to run.
        real: float type of every f32 buffer; float64 shows which differences are rounding.
        offsets: place of every arena buffer in bytes, by entry point; with it those of one
            memory share a block as they do in C, so that a wrong plan gives wrong numbers. Needs
            float32.
    """

    def __init__(
        self,
        program: Program,
        real: type[np.floating[Any]] = np.float32,
        offsets: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self.program = program
        self.real = np.dtype(real)
        self.offsets = offsets
        self.persistent: dict[str, Array] = {
            name: np.ascontiguousarray(program.values[name], dtype=self._dtype(name))
            .reshape(-1)
            .copy()
            for name, buffer in program.buffers.items()
            if buffer.role.persistent
        }

    def _dtype(self, name: str) -> np.dtype[Any]:
        dtype = self.program.buffers[name].dtype
        return self.real if dtype == "f32" else DTYPES[dtype]

    def value(self, name: str) -> Array:
        """A copy of a persistent buffer in its own shape."""
        return self.persistent[name].reshape(self.program.buffers[name].shape).copy()

    def run(self, entry: str, **externals: Any) -> dict[str, Array]:
        """Runs one entry point.

        Args:
            entry: its name.
            externals: inputs, targets and scalars by buffer name.

        Returns:
            The outputs by buffer name.
        """
        memory = dict(self.persistent)
        outputs: dict[str, Array] = {}
        for buffer in self.program.interface(entry):
            if buffer.role is Role.OUTPUT:
                outputs[buffer.name] = memory[buffer.name] = np.zeros(
                    buffer.size, self._dtype(buffer.name)
                )
            else:
                given = np.asarray(externals[buffer.name], dtype=self._dtype(buffer.name))
                memory[buffer.name] = given.reshape(-1)
        self._place_arena(entry, memory)
        bits = {name for name, b in self.program.buffers.items() if b.dtype == "u1"}
        for call in self.program.entries[entry].calls:
            run_call(call, memory, bits)
        return {
            name: array.reshape(self.program.buffers[name].shape) for name, array in outputs.items()
        }

    def _place_arena(self, entry: str, memory: dict[str, Array]) -> None:
        """Arena buffers start as NaN, so that a value that nobody wrote shows."""
        used = {view.buffer for call in self.program.entries[entry].calls for view in call.views}
        buffers = [self.program.buffers[name] for name in used]
        placed = [b for b in buffers if b.role.in_arena and self.offsets is not None]
        for buffer in buffers:
            if buffer not in placed and (buffer.role.in_arena or buffer.role is Role.L3):
                memory[buffer.name] = np.full(buffer.length, _poison(self._dtype(buffer.name)))
        places = self.offsets[entry] if self.offsets is not None else {}
        for name in {buffer.memory for buffer in placed}:
            inside = [buffer for buffer in placed if buffer.memory == name]
            arena = np.full(max(places[b.name] + b.size_bytes for b in inside), 0xFF, np.uint8)
            for b in inside:
                piece = arena[places[b.name] : places[b.name] + b.size_bytes]
                memory[b.name] = piece.view(DTYPES[b.dtype])


def _poison(dtype: np.dtype[Any]) -> Any:
    return dtype.type(np.nan) if dtype.kind == "f" else dtype.type(np.iinfo(dtype).max)


def _elements(view: View, memory: Mapping[str, Array], bits: Set[str]) -> Array:
    """The elements of the buffer of a view: its memory, of bits a copy."""
    flat = memory[view.buffer]
    return np.unpackbits(flat, bitorder="little") if view.buffer in bits else flat


def strided(view: View, flat: Array) -> Array:
    """The NumPy window of a view on the elements of its buffer."""
    step = flat.itemsize
    return np.lib.stride_tricks.as_strided(
        flat[view.offset :], view.shape, [stride * step for stride in view.strides]
    )


def run_call(call: Call, memory: Mapping[str, Array], bits: Set[str] = frozenset()) -> None:
    """Computes one call from its operator's NumPy meaning.

    Args:
        call: what is computed.
        memory: flat arrays by buffer name.
        bits: buffers of which a byte holds eight elements.
    """
    inputs = [
        None if view is None else strided(view, _elements(view, memory, bits))
        for view in call.inputs
    ]
    result = call.op.evaluate(call.attrs, inputs, call.values())
    results = result if isinstance(result, tuple) else (result,)
    for number, (view, value) in enumerate(zip(call.outputs, results, strict=True)):
        if view is None:
            continue
        flat = _elements(view, memory, bits)
        window = strided(view, flat)
        if call.accumulate and (call.op.generated or call.op.signature.inplace(number) is None):
            window += value
        else:
            window[...] = value
        if view.buffer in bits:
            memory[view.buffer][:] = np.packbits(flat, bitorder="little")
