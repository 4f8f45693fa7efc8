# SPDX-License-Identifier: Apache-2.0
"""The declaration of an operator: all that any stage knows about it stands in one `Op`.

Names that appear in an operator's functions and in the argument lists of its C kernels are *dims*
(the capital letters of its signature) and *attributes* (the fields of its attribute dataclass). A
function takes whichever of them it names: `macs=lambda N, C, K: N * C * K`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate.kernels.cut import Cut
from acclimate.kernels.pulp.work import Generator

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
DTYPES: Mapping[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "s32": np.dtype(np.int32),
    "s16": np.dtype(np.int16),
    "u8": np.dtype(np.uint8),
    "s8": np.dtype(np.int8),
    "u1": np.dtype(np.uint8),  # of the bytes that hold the bits
}


def bits_of(dtype: str) -> int:
    """Bits of one element in memory. Of `u1` a byte holds eight, the first in its lowest bit."""
    return 1 if dtype == "u1" else 8 * DTYPES[dtype].itemsize


def bytes_of(dtype: str, count: int) -> int:
    """Bytes of `count` elements that lie one after the other."""
    return -(-count * bits_of(dtype) // 8)


@dataclass(frozen=True)
class NoAttrs:
    """Attributes of an operator that has none."""


@dataclass(frozen=True)
class Operand:
    """One tensor of a signature, e.g. `b[K]?` or `target[N]:s32`."""

    name: str
    dims: tuple[str, ...]
    dtype: str = "f32"
    optional: bool = False


@dataclass(frozen=True)
class Signature:
    """Operands of an operator. An output with the name of an input is updated in place."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    @staticmethod
    @cache
    def parse(text: str) -> Signature:
        """Reads `x[N,C], w[K,C], b[K]? -> y[N,K]`; a dim `C/G` stands for the number C / G."""
        left, right = text.split("->")
        return Signature(_operands(left), _operands(right))

    def inplace(self, output: int) -> int | None:
        """Index of the input that output number `output` overwrites, or None."""
        names = [operand.name for operand in self.inputs]
        name = self.outputs[output].name
        return names.index(name) if name in names else None


_OPERAND = re.compile(r"(\w+)\[([^\]]*)\](?::(\w+))?(\?)?")


def _operands(text: str) -> tuple[Operand, ...]:
    found = _OPERAND.findall(text)
    return tuple(
        Operand(
            name, tuple(d.strip() for d in dims.split(",") if d.strip()), dtype or "f32", opt == "?"
        )
        for name, dims, dtype, opt in found
    )


def pick(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Calls `function` with those of `values` that it names as parameters."""
    return function(**{name: values[name] for name in _parameters(function)})


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


@cache
def _keyword_only(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _always() -> bool:
    return True


def _none() -> int:
    return 0


@dataclass(frozen=True)
class Kernel:
    """One C implementation of an operator.

    Args:
        symbol: C function; its arguments are outputs, inputs that are not outputs, scratch when
            there is any, then `Op.sizes`.
        source: C file beside the declaration.
        needs: features that the target must have, e.g. {"simd"}.
        when: of dims and attributes; False where this variant does not apply.
        scratch: of dims and attributes; number of f32 words it needs besides its operands.
        generator: writes the code of each call, where no one function serves all shapes; then there
            is no source, and the generator knows the scratch.
    """

    symbol: str
    source: str
    needs: frozenset[str] = frozenset()
    when: Callable[..., bool] = _always
    scratch: Callable[..., int] = _none
    generator: Generator | None = None


@dataclass(frozen=True)
class Op:
    """One operator: its meaning, its cost, its kernels and its test cases.

    Args:
        name: `<family>_<fwd|bwd_x|bwd_w|step>`.
        signature: operands with dims, see `Signature.parse`.
        meaning: NumPy definition: `meaning(attrs, *inputs)` returns an array, or a tuple of arrays
            in the order of the outputs. An absent optional input is None. Dims that the inputs
            do not determine are keyword-only parameters; `evaluate` fills them in.
        doc: one sentence for the reference page.
        macs: multiply-accumulates, of dims and attributes.
        sizes: names of the scalar arguments of every kernel of this operator, in C order. A name
            that is neither a dim nor an attribute is looked up in `derived`.
        kernels: variants, fastest first; the last one is portable and has no conditions.
        accumulates: the kernels take a last argument `accumulate`; 1 adds to the outputs, except to
            those that are updated in place.
        attrs: attribute dataclass.
        infer: of the dims and attributes that a case gives; returns the other dims.
        derived: scalars computed from dims and attributes.
        cases: dims and attributes of the test cases, each a mapping.
        cuts: ways to compute a call part by part.
        folder: folder of the C files.
        generated: the C is written for each call from its attributes, operands are not checked
            against a signature, and views may be strided.
    """

    name: str
    signature: Signature
    meaning: Callable[..., Any]
    doc: str
    folder: Path
    macs: Callable[..., int] = _none
    sizes: tuple[str, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    accumulates: bool = False
    attrs: type = NoAttrs
    infer: Callable[..., Mapping[str, int]] | None = None
    derived: Mapping[str, Callable[..., int | float]] = field(default_factory=dict)
    cases: Sequence[Mapping[str, Any]] = ()
    cuts: tuple[Cut, ...] = ()
    generated: bool = False

    def __post_init__(self) -> None:
        if self.kernels:
            last = self.kernels[-1]
            if last.needs or last.when is not _always:
                raise ValueError(f"{self.name}: the last kernel must be the portable one")

    def __hash__(self) -> int:
        return hash(self.name)

    def bind(
        self, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], attrs: Any
    ) -> dict[str, Any]:
        """Values of all dims, attributes and derived scalars for these operand shapes.

        Raises:
            ValueError: the shapes contradict the signature.
        """
        values: dict[str, Any] = {f.name: getattr(attrs, f.name) for f in fields(attrs)}
        if self.generated:
            return values
        pairs = [*zip(self.signature.inputs, inputs, strict=True)]
        pairs += [*zip(self.signature.outputs, outputs, strict=True)]
        ratios: list[tuple[str, int, str]] = []
        for operand, shape in pairs:
            if shape is None:
                if not operand.optional:
                    raise ValueError(f"{self.name}: operand {operand.name} is missing")
                continue
            if len(shape) != len(operand.dims):
                raise ValueError(f"{self.name}: {operand.name}{list(shape)} is not {operand.dims}")
            for dim, size in zip(operand.dims, shape, strict=True):
                if dim.isdigit():
                    values.setdefault(dim, int(dim))
                if "/" in dim:
                    ratios.append((dim, size, operand.name))
                elif values.setdefault(dim, size) != size:
                    raise ValueError(
                        f"{self.name}: {operand.name} has {dim}={size}, not {values[dim]}"
                    )
        for dim, size, name in ratios:
            whole, part = dim.split("/")
            if values[whole] != size * values[part]:
                raise ValueError(
                    f"{self.name}: {name} has {dim}={size}, not {values[whole]}/{values[part]}"
                )
        for name, function in self.derived.items():
            values[name] = pick(function, values)
        return values

    def evaluate(
        self, attrs: Any, inputs: Sequence[Array | None], values: Mapping[str, Any]
    ) -> tuple[Array | None, ...]:
        """The outputs of `meaning`; `values` are the dims and attributes that `bind` returns."""
        sized = {name: values[name] for name in _keyword_only(self.meaning)}
        result = self.meaning(attrs, *inputs, **sized)
        return result if isinstance(result, tuple) else (result,)

    def case_values(self, case: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Dims and attribute object of one test case."""
        names = {f.name for f in fields(self.attrs)}
        attrs = self.attrs(**{name: value for name, value in case.items() if name in names})
        values: dict[str, Any] = {f.name: getattr(attrs, f.name) for f in fields(attrs)} | dict(
            case
        )
        if self.infer is not None:
            values |= pick(self.infer, values)
        return values, attrs


def resolve(dim: str, values: Mapping[str, Any]) -> int:
    """Size of one dim of a signature: `C`, `C/G`, or a number."""
    if dim.isdigit():
        return int(dim)
    whole, _, part = dim.partition("/")
    return int(values[whole] // values[part]) if part else int(values[whole])
