# SPDX-License-Identifier: Apache-2.0
"""Programs of single operators on random data: to measure them, and to check them on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acclimate.kernels.op import DTYPES, Array, Op, Operand, resolve
from acclimate.program.ir import Buffer, Call, Entry, Program, Role, Source
from acclimate.program.view import View


@dataclass(frozen=True)
class OpCase:
    """One call of an operator.

    Args:
        op: the operator.
        case: dims and attributes, as in `Op.cases`.
        without: optional operands that are left out.
        accumulate: add to the outputs instead of setting them.
        data: values of operands that random numbers do not fit.
    """

    op: Op
    case: Mapping[str, Any]
    without: frozenset[str] = frozenset()
    accumulate: bool = False
    data: Mapping[str, Array] = field(default_factory=dict)


def operator_program(name: str, entries: Mapping[str, Sequence[OpCase]], seed: int = 0) -> Program:
    """A program with an entry point per list of operator calls.

    Operands are static, so they lie where parameters would; within an entry point those of the same
    name and shape are one buffer. A scalar operand (the learning rate) is an argument.

    Args:
        name: prefix of the C symbols.
        entries: calls by entry point.
        seed: of the random values.
    """
    builder = _Builder(np.random.default_rng(seed), apart=len(entries) > 1)
    made = {
        entry: Entry(entry, tuple(builder.call(entry, case) for case in cases))
        for entry, cases in entries.items()
    }
    return Program(name, builder.buffers, made, builder.values)


class _Builder:
    """Collects buffers and their values."""

    def __init__(self, rng: np.random.Generator, apart: bool) -> None:
        self.rng, self.apart = rng, apart
        self.buffers: dict[str, Buffer] = {}
        self.values: dict[str, Array] = {}

    def call(self, entry: str, case: OpCase) -> Call:
        dims, attrs = case.op.case_values(case.case)
        signature = case.op.signature
        inputs = tuple(self.view(entry, operand, case, dims) for operand in signature.inputs)
        outputs = tuple(self.view(entry, operand, case, dims) for operand in signature.outputs)
        source = Source(module=entry)
        return Call(case.op, outputs, inputs, attrs, source=source, accumulate=case.accumulate)

    def view(
        self, entry: str, operand: Operand, case: OpCase, dims: Mapping[str, Any]
    ) -> View | None:
        if operand.name in case.without:
            return None
        shape = tuple(resolve(dim, dims) for dim in operand.dims)
        stem = f"{operand.name}_{entry}" if shape and self.apart else operand.name
        role = Role.STATE if shape else Role.SCALAR
        buffer = _buffer(self.buffers, stem, operand.dtype, shape, role)
        if shape and buffer.name not in self.values:
            given = case.data.get(operand.name)
            self.values[buffer.name] = _values(self.rng, buffer) if given is None else given
        return View.whole(buffer)


def _buffer(
    buffers: dict[str, Buffer], stem: str, dtype: str, shape: tuple[int, ...], role: Role
) -> Buffer:
    """The buffer of this name and shape; another shape gets a number."""
    name, count = stem, 1
    while name in buffers and buffers[name].shape != shape:
        count += 1
        name = f"{stem}{count}"
    return buffers.setdefault(name, Buffer(name, shape, dtype, role))


def _values(rng: np.random.Generator, buffer: Buffer) -> Array:
    """Normal numbers; integers are zero, which is valid wherever an operator takes them."""
    dtype = DTYPES[buffer.dtype]
    if dtype.kind != "f":
        return np.zeros(buffer.shape, dtype)
    return rng.standard_normal(buffer.shape).astype(dtype)
