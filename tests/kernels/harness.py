# SPDX-License-Identifier: Apache-2.0
"""Compiles the kernels, calls them through ctypes on guarded memory, bounds their errors."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

import sounds
from acclimate.kernels.avg_pool2d import op as avg_pool2d
from acclimate.kernels.conv2d import op as conv2d
from acclimate.kernels.linear import op as linear
from acclimate.kernels.log_mel import op as log_mel
from acclimate.kernels.matmul import op as matmul
from acclimate.kernels.max_pool2d import op as max_pool2d
from acclimate.kernels.op import DTYPES, Array, Kernel, Op, Operand, pick, resolve

OPS = (
    *linear.OPS,
    *matmul.OPS,
    *conv2d.OPS,
    *max_pool2d.OPS,
    *avg_pool2d.OPS,
    *log_mel.OPS,
)
KERNELS = Path(linear.__file__).parent.parent
WARNINGS = (
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wshadow",
    "-Werror",
)
FAST = ("-O3", "-march=native")
# NOTE: not for this machine: tiles have fewer rows, and few loops are vectorised.
SANITIZED = (
    "-O1",
    "-fsanitize=undefined",
    "-fsanitize-trap=undefined",
    "-fno-sanitize-recover=all",
)
CANARY = 17  # words; odd, so that operands are aligned to their element and no more
UNIT_ROUNDOFF = 2.0**-24


@dataclass(frozen=True, repr=False)
class Example:
    """One operator with sizes and inputs."""

    op: Op
    values: Mapping[str, Any]
    attrs: Any
    inputs: tuple[Array | None, ...]

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(f'{k}={v}' for k, v in self.values.items())})"

    @property
    def optional_outputs(self) -> bool:
        """False if the example leaves out the optional operands."""
        operands = zip(self.op.signature.inputs, self.inputs, strict=True)
        return not any(operand.optional and array is None for operand, array in operands)


def build(folder: Path, flags: Sequence[str], ops: Sequence[Op] = OPS) -> Path:
    """Compiles all kernels into one shared library."""
    sources = sorted({op.folder / kernel.source for op in ops for kernel in in_c(op)})
    library = folder / "kernels.so"
    includes = [f"-I{KERNELS}", *(f"-I{folder}" for folder in sorted({op.folder for op in ops}))]
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c99", *WARNINGS, *flags, *includes]
    subprocess.run(
        [*command, "-shared", "-fPIC", *map(str, sources), "-o", str(library)], check=True
    )
    return library


def case_ids() -> Iterator[tuple[Op, int]]:
    """Every operator with the number of every one of its cases."""
    for op in OPS:
        yield from ((op, number) for number in range(len(op.cases)))


def example(op: Op, case: Mapping[str, Any], seed: int, optional: bool = True) -> Example:
    """The case with random inputs."""
    values, attrs = op.case_values(case)
    if op in log_mel.OPS:
        dtype = DTYPES[op.signature.inputs[0].dtype]
        return Example(op, values, attrs, tuple(sounds.operands(dtype, values, seed)))
    rng = np.random.default_rng(seed)
    arrays = [
        None if operand.optional and not optional else _random(operand, values, rng)
        for operand in op.signature.inputs
    ]
    if op is max_pool2d.MAX_POOL2D_FWD:
        arrays[0] = np.round(arrays[0] * 2)  # many equal maxima
    if op is max_pool2d.MAX_POOL2D_BWD:
        forward = example(max_pool2d.MAX_POOL2D_FWD, case, seed)
        arrays[1] = forward.op.evaluate(attrs, forward.inputs, values)[1]
    return Example(op, values, attrs, tuple(arrays))


def _random(operand: Operand, values: Mapping[str, Any], rng: np.random.Generator) -> Array:
    if not operand.dims:
        return np.float32(0.05)
    shape = [resolve(dim, values) for dim in operand.dims]
    return rng.standard_normal(shape).astype(DTYPES[operand.dtype])


def variants(op: Op, values: Mapping[str, Any]) -> list[Kernel]:
    """Kernels that may be used for these sizes."""
    return [kernel for kernel in in_c(op) if pick(kernel.when, values)]


def in_c(op: Op) -> list[Kernel]:
    """Kernels that are functions in C; those that are written for each call have other tests."""
    return [kernel for kernel in op.kernels if kernel.generator is None]


def reference(ex: Example) -> tuple[list[Array | None], list[Array | None]]:
    """The outputs in float64 and the bound of the error of their sums in float32.

    A sum of n products has in any order an error of at most n u / (1 - n u) times the sum of the
    absolute products, u = 2^-24 (Higham 2002, Accuracy and Stability of Numerical Algorithms,
    section 3.1). The 8 more operations are the product, the bias, the division and the update.
    Clamping does not make an error larger.
    """
    wide = [
        None if a is None else a.astype(np.float64) if a.dtype == np.float32 else a
        for a in ex.inputs
    ]
    outputs = ex.op.evaluate(ex.attrs, wide, ex.values)
    if ex.op in log_mel.OPS:
        return [*outputs], [sounds.error_bound(ex.attrs, wide, ex.values)]
    sizes: list[Array | None] = [None if a is None else np.abs(a) for a in wide]
    names = [operand.name for operand in ex.op.signature.inputs]
    if "lr" in names:
        sizes[names.index("lr")] *= -1
    unclamped = replace(ex.attrs, lo=-inf, hi=inf) if hasattr(ex.attrs, "lo") else ex.attrs
    sums = ex.op.evaluate(unclamped, sizes, ex.values)
    relative = relative_error(ex)
    present = [not o.optional or ex.optional_outputs for o in ex.op.signature.outputs]
    exact = [
        operand.dtype == "u8" or ex.op.name == "max_pool2d_fwd"
        for operand in ex.op.signature.outputs
    ]
    return (
        [out if here else None for out, here in zip(outputs, present, strict=True)],
        [
            None if not here or s is None else np.zeros(s.shape) if e else relative * s
            for s, e, here in zip(sums, exact, present, strict=True)
        ],
    )


def relative_error(ex: Example) -> float:
    """Bound of the error of a sum, relative to the sum of its absolute terms."""
    return (pick(TERMS[ex.op.name], ex.values) + 8) * UNIT_ROUNDOFF


TERMS: Mapping[str, Callable[..., int]] = {
    "linear_fwd": lambda C: C,
    "linear_bwd_x": lambda K: K,
    "linear_bwd_w": lambda N: N,
    "linear_step": lambda N: N,
    "linear_bwd_step": lambda N, K: K if K > N else N,
    "matmul_nn": lambda K: K,
    "matmul_nt": lambda K: K,
    "matmul_tn": lambda K: K,
    "conv2d_fwd": lambda C, R, S, groups: C // groups * R * S,
    "conv2d_bwd_x": lambda K, R, S, groups: K // groups * R * S,
    "conv2d_bwd_w": lambda N, P, Q: N * P * Q,
    "conv2d_step": lambda N, P, Q: N * P * Q,
    "max_pool2d_fwd": lambda: 0,
    "max_pool2d_bwd": lambda R, S: R * S,
    "avg_pool2d_fwd": lambda R, S: R * S,
    "avg_pool2d_bwd": lambda R, S: R * S,
}


class Heap:
    """Memory between canaries."""

    def __init__(self) -> None:
        self._blocks: list[tuple[Array, int]] = []

    def copy(self, array: Array) -> Array:
        """A copy of `array` between two canaries."""
        margin = CANARY * array.itemsize
        block = np.full(array.nbytes + 2 * margin, 0xA5, np.uint8)
        self._blocks.append((block, margin))
        inner: Array = block[margin : margin + array.nbytes].view(array.dtype).reshape(array.shape)
        inner[...] = array
        return inner

    def check(self) -> None:
        """Raises AssertionError if a canary was overwritten."""
        for block, margin in self._blocks:
            assert (block[:margin] == 0xA5).all() and (block[-margin:] == 0xA5).all(), (
                "wrote out of bounds"
            )


def call(
    library: ctypes.CDLL,
    kernel: Kernel,
    ex: Example,
    cores: Sequence[int] = (0,),
    base: Sequence[Array | None] | None = None,
    make_heap: Callable[[], Heap] = Heap,
) -> list[Array | None]:
    """Outputs of one kernel, called for the cores in this order.

    Outputs and scratch hold NaN before, unless they are inputs as well, or `base` gives their old
    values: then the kernel accumulates.
    """
    heap = make_heap()
    signature = ex.op.signature
    inputs = [None if array is None else heap.copy(np.asarray(array)) for array in ex.inputs]
    outputs: list[Array | None] = []
    for number, operand in enumerate(signature.outputs):
        place = signature.inplace(number)
        if place is not None:
            outputs.append(inputs[place])
        elif operand.optional and not ex.optional_outputs:
            outputs.append(None)
        elif base is not None:
            outputs.append(heap.copy(base[number]))
        else:
            shape = [resolve(dim, ex.values) for dim in operand.dims]
            poison = np.nan if operand.dtype == "f32" else np.iinfo(DTYPES[operand.dtype]).max
            outputs.append(heap.copy(np.full(shape, poison, DTYPES[operand.dtype])))
    updated = [signature.inplace(number) for number in range(len(outputs))]
    kept = [i for i, array in enumerate(inputs) if array is not None and i not in updated]
    arguments = [_pointer(array) for array in outputs]
    for number, (operand, array) in enumerate(zip(signature.inputs, inputs, strict=True)):
        if number not in updated:
            arguments.append(_pointer(array) if operand.dims else ctypes.c_float(float(array)))
    words = pick(kernel.scratch, ex.values)
    scratch = heap.copy(np.full((len(cores), words), np.nan, np.float32))
    if words:
        arguments.append(_pointer(scratch))
    sizes = [ex.values[name] for name in ex.op.sizes]
    arguments += [ctypes.c_float(v) if isinstance(v, float) else ctypes.c_int32(v) for v in sizes]
    if ex.op.accumulates:
        arguments.append(ctypes.c_int32(base is not None))
    function = library[kernel.symbol]
    function.restype = None
    for core in cores:
        others = np.delete(scratch, core, axis=0)
        function(*arguments, ctypes.c_int32(core), ctypes.c_int32(len(cores)))
        left = np.delete(scratch, core, axis=0)
        assert np.array_equal(others, left, equal_nan=True), "wrote to the scratch of another core"
    heap.check()
    for number in kept:
        assert np.array_equal(inputs[number], ex.inputs[number], equal_nan=True), (
            "wrote to an input"
        )
    return outputs


def _pointer(array: Array | None) -> Any:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def check(
    library: ctypes.CDLL, ex: Example, make_heap: Callable[[], Heap] = Heap, trace: bool = False
) -> None:
    """Compares every kernel that may be used with the meaning, in all ways of calling it.

    A core that reads what another one writes shows in one of the two orders of the cores.

    Raises:
        AssertionError: names the kernel and the largest error in units of the bound.
    """
    expected, bounds = reference(ex)
    base = [None if e is None else np.ones(e.shape, np.float32) for e in expected]
    added = [ex.op.signature.inplace(number) is None for number in range(len(expected))]
    sums = [e if e is None or not adds else e + 1 for e, adds in zip(expected, added, strict=True)]
    one = relative_error(ex) if ex.op.accumulates else 0.0
    wider = [None if b is None else b + one for b in bounds]
    for kernel in variants(ex.op, ex.values):
        if trace:
            print(kernel.symbol, dict(ex.values), file=sys.stderr, flush=True)
        for cores in ((0,), (0, 1, 2), (2, 1, 0)):
            found = call(library, kernel, ex, cores, None, make_heap)
            _compare(kernel, cores, found, expected, bounds)
            if ex.op.accumulates:
                found = call(library, kernel, ex, cores, base, make_heap)
                _compare(kernel, cores, found, sums, wider)


def _compare(
    kernel: Kernel,
    cores: Sequence[int],
    found: Sequence[Array | None],
    expected: Sequence[Array | None],
    bounds: Sequence[Array | None],
) -> None:
    for have, want, bound in zip(found, expected, bounds, strict=True):
        if want is None or bound is None:
            assert have is None
            continue
        same = np.isnan(have) & np.isnan(want) | (have == want)
        with np.errstate(invalid="ignore"):  # inf - inf
            bad = ~same & ~(np.abs(have.astype(np.float64) - want) <= bound)
        assert not bad.any(), (
            f"{kernel.symbol}, cores {cores}: {bad.sum()} of {bad.size} wrong, first at "
            f"{np.argwhere(bad)[0]}: {have[bad][0]}, not {want[bad][0]} +- {bound[bad][0]}"
        )
