# SPDX-License-Identifier: Apache-2.0
"""Loops: one scalar expression over all elements (`map`), or folded along axes (`reduce`).

Activations, arithmetic with broadcasting, copies, paddings, norms, softmax, losses and optimizers
are expressions in these two loops. Their C is generated per call, since the expression is in the
call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.kernels.loop.expr import Arg, Expr, evaluate
from acclimate.kernels.op import Array, Op, Shape, Signature

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Map:
    """y_k[i] = exprs[k](inputs at i) for every coordinate i of `shape`.

    Args:
        exprs: one per output.
        shape: of the loop nest and of every output; inputs are views broadcast to it.
        label: what it is, for names in the C code: `relu`, `add_relu_bwd`.
    """

    exprs: tuple[Expr, ...]
    shape: Shape
    label: str


@dataclass(frozen=True)
class Reduce:
    """y[kept] = post(fold of expr over `axes`).

    Args:
        expr: folded for every coordinate of `shape`.
        kind: sum, max, min, or argmax (row-major position of the first maximum).
        axes: folded axes; the output has the other axes in their order.
        shape: of the loop nest; inputs are views broadcast to it.
        post: of the folded value, which is Arg(0).
        label: what it is, for names in the C code.
    """

    expr: Expr
    kind: str
    axes: tuple[int, ...]
    shape: Shape
    post: Expr
    label: str

    @property
    def kept(self) -> tuple[int, ...]:
        """Axes of the output."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)


def _real(inputs: tuple[Array | None, ...]) -> np.dtype[Any]:
    floats = [a.dtype for a in inputs if a is not None and np.issubdtype(a.dtype, np.floating)]
    return np.dtype(np.result_type(*floats)) if floats else np.dtype(np.float32)


def _map(attrs: Map, *inputs: Array | None) -> tuple[Array, ...]:
    real = _real(inputs)
    return tuple(evaluate(expr, inputs, attrs.shape, real) for expr in attrs.exprs)


def _reduce(attrs: Reduce, *inputs: Array | None) -> Array:
    real = _real(inputs)
    values = evaluate(attrs.expr, inputs, attrs.shape, real)
    if attrs.kind == "argmax":
        order = (*attrs.kept, *attrs.axes)
        kept = [attrs.shape[axis] for axis in attrs.kept]
        rows = values.transpose(order).reshape(*kept, prod(attrs.shape[a] for a in attrs.axes))
        return np.asarray(np.argmax(rows, axis=-1), np.int32)
    folds: dict[str, Callable[..., Any]] = {"sum": np.sum, "max": np.max, "min": np.min}
    folded = np.asarray(folds[attrs.kind](values, axis=attrs.axes))
    return evaluate(attrs.post, [folded], folded.shape, real)


MAP = Op(
    name="map",
    doc="one expression for every element: activations, arithmetic, copies, optimizers",
    signature=Signature((), ()),
    meaning=_map,
    folder=_FOLDER,
    attrs=Map,
    generated=True,
)
REDUCE = Op(
    name="reduce",
    doc="an expression folded along axes by sum, max, min or argmax: means, norms, softmax, losses",
    signature=Signature((), ()),
    meaning=_reduce,
    folder=_FOLDER,
    attrs=Reduce,
    generated=True,
)
OPS = (MAP, REDUCE)
IDENTITY: Expr = Arg(0)
