# SPDX-License-Identifier: Apache-2.0
"""Scalar expressions: what a loop computes for one element.

One table, `PRIMITIVES`, gives every function its NumPy meaning and its C text side by side. The
same expression tree is evaluated by the interpreter and printed into the generated C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erf
from typing import Any

import numpy as np

from acclimate.kernels.op import Array, Shape


@dataclass(frozen=True)
class Primitive:
    """One scalar function.

    Args:
        meaning: on NumPy arrays.
        c: C text with {0}, {1}, ... for the arguments.
        level: C precedence of the text; 15 for calls and names.
        args: least precedence of each argument that needs no parentheses.
        result: element type of the result; "" for that of the first argument.
        costly: True where computing it twice costs more than keeping it.
    """

    meaning: Callable[..., Any]
    c: str
    level: int = 15
    args: tuple[int, ...] = (0, 0, 0)
    result: str = ""
    costly: bool = False


def _binary(meaning: Callable[..., Any], sign: str, level: int, result: str = "") -> Primitive:
    return Primitive(meaning, f"{{0}} {sign} {{1}}", level, (level, level + 1), result)


def _call(meaning: Callable[..., Any], name: str, arity: int = 1) -> Primitive:
    text = ", ".join(f"{{{i}}}" for i in range(arity))
    return Primitive(meaning, f"{name}({text})", costly=True)


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(erf, otypes=[x.dtype])(x))


def _uniform(seed: Array, index: Array) -> Array:
    """The counter-based generator of ac_uniform_f32 (kernels/loop/random.h), element by element."""
    word = (np.asarray(index, np.int64) * 0x9E3779B1 + np.asarray(seed, np.int64)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        word = ((word ^ (word >> shift)) * factor) & 0xFFFFFFFF
    word ^= word >> 15
    return ((word >> 8).astype(np.float32)) * np.float32(2.0**-24)


PRIMITIVES: Mapping[str, Primitive] = {
    "add": _binary(np.add, "+", 11),
    "sub": _binary(np.subtract, "-", 11),
    "mul": _binary(np.multiply, "*", 12),
    "div": _binary(np.divide, "/", 12),
    "lt": _binary(np.less, "<", 9, "u8"),
    "le": _binary(np.less_equal, "<=", 9, "u8"),
    "gt": _binary(np.greater, ">", 9, "u8"),
    "ge": _binary(np.greater_equal, ">=", 9, "u8"),
    "eq": _binary(np.equal, "==", 8, "u8"),
    "ne": _binary(np.not_equal, "!=", 8, "u8"),
    "and": _binary(np.logical_and, "&&", 4, "u8"),
    "or": Primitive(np.logical_or, "{0} || {1}", 3, (5, 5), "u8"),  # compilers want (a && b) || c
    "not": Primitive(np.logical_not, "!{0}", 14, (14,), "u8"),
    "neg": Primitive(np.negative, "-{0}", 14, (15,)),
    "where": Primitive(np.where, "{0} ? {1} : {2}", 2, (3, 3, 2)),
    "max": Primitive(np.maximum, "ac_max_f32({0}, {1})"),
    "min": Primitive(np.minimum, "ac_min_f32({0}, {1})"),
    "abs": Primitive(np.abs, "fabsf({0})"),
    "sign": Primitive(np.sign, "ac_sign_f32({0})"),
    "sqrt": _call(np.sqrt, "sqrtf"),
    "exp": _call(np.exp, "expf"),
    "log": _call(np.log, "logf"),
    "log1p": _call(np.log1p, "log1pf"),
    "expm1": _call(np.expm1, "expm1f"),
    "sin": _call(np.sin, "sinf"),
    "cos": _call(np.cos, "cosf"),
    "tanh": _call(np.tanh, "tanhf"),
    "erf": _call(_erf, "erff"),
    "pow": _call(np.power, "powf", 2),
    "floor": _call(np.floor, "floorf"),
    "ceil": _call(np.ceil, "ceilf"),
    "trunc": _call(np.trunc, "truncf"),
    "round": _call(np.rint, "rintf"),
    "f32": Primitive(lambda x: x.astype(np.float32), "(float){0}", 14, (14,), "f32"),
    "s32": Primitive(lambda x: x.astype(np.int32), "(int32_t){0}", 14, (14,), "s32"),
    "u8": Primitive(lambda x: (x != 0).astype(np.uint8), "{0} != 0", 8, (9,), "u8"),
    "u1": Primitive(lambda x: (x != 0).astype(np.uint8), "({0})", result="u1"),
    "uniform": Primitive(_uniform, "ac_uniform_f32({0}, {1})", result="f32", costly=True),
}


class Expr:
    """A scalar expression over the elements of the inputs of a loop; + - * / build larger ones."""

    dtype: str

    def walk(self) -> Iterator[Expr]:
        """This node and all below it."""
        yield self

    def __add__(self, other: Expr | float) -> Expr:
        return apply("add", self, other)

    def __radd__(self, other: float) -> Expr:
        return apply("add", other, self)

    def __sub__(self, other: Expr | float) -> Expr:
        return apply("sub", self, other)

    def __rsub__(self, other: float) -> Expr:
        return apply("sub", other, self)

    def __mul__(self, other: Expr | float) -> Expr:
        return apply("mul", self, other)

    def __rmul__(self, other: float) -> Expr:
        return apply("mul", other, self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return apply("div", self, other)

    def __rtruediv__(self, other: float) -> Expr:
        return apply("div", other, self)

    def __neg__(self) -> Expr:
        return apply("neg", self)


@dataclass(frozen=True)
class Arg(Expr):
    """The element of input number `index`."""

    index: int
    dtype: str = "f32"


@dataclass(frozen=True)
class Const(Expr):
    """A number."""

    value: float | int
    dtype: str = "f32"


@dataclass(frozen=True)
class Index(Expr):
    """The coordinate along one axis of the loop nest."""

    axis: int
    dtype: str = "s32"


@dataclass(frozen=True)
class Apply(Expr):
    """A primitive applied to expressions."""

    name: str
    args: tuple[Expr, ...]

    @cached_property
    def dtype(self) -> str:  # type: ignore[override]
        """Element type of the result."""
        primitive = PRIMITIVES[self.name]
        if primitive.result:
            return primitive.result
        return self.args[1 if self.name == "where" else 0].dtype

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.args))

    def __hash__(self) -> int:
        return self._hash

    def walk(self) -> Iterator[Expr]:
        """This node and all below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()


def apply(name: str, *args: Expr | float) -> Expr:
    """A primitive applied to expressions and numbers; constants and identities are folded."""
    exprs = tuple(_expr(arg) for arg in args)
    chosen = exprs[1:] if name == "where" else exprs  # the condition has a type of its own
    default = chosen[0].dtype if name == "where" else "f32"
    dtype = next((e.dtype for e in chosen if not isinstance(e, Const)), default)
    typed = (Const(e.value, dtype) if isinstance(e, Const) else e for e in chosen)
    exprs = (*exprs[: len(exprs) - len(chosen)], *typed)
    return _identity(name, exprs) or Apply(name, exprs)


def _expr(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Const(value)


_ZERO, _ONE = Const(0.0), Const(1.0)


def _identity(name: str, args: tuple[Expr, ...]) -> Expr | None:
    """x * 1 = x, x + 0 = x, and sums and products of constants.

    NOTE: x * 0 stays, since x may be infinite.
    """
    if name in ("f32", "s32") and args[0].dtype == name:
        return args[0]
    if name not in ("add", "sub", "mul", "div") or args[0].dtype != "f32":
        return None
    if all(isinstance(arg, Const) for arg in args):
        value = PRIMITIVES[name].meaning(*(np.float64(arg.value) for arg in args))  # type: ignore[attr-defined]
        return Const(float(value)) if np.isfinite(value) else None
    neutral = _ZERO if name in ("add", "sub") else _ONE
    if args[1] == neutral:
        return args[0]
    if args[0] == neutral and name in ("add", "mul"):
        return args[1]
    return None


def substitute(expr: Expr, args: Mapping[int, Expr], axes: Mapping[int, int] | None = None) -> Expr:
    """Replaces inputs, and renumbers the axes of coordinates."""
    if isinstance(expr, Arg):
        return args[expr.index]
    if isinstance(expr, Index) and axes is not None:
        return Index(axes[expr.axis])
    if isinstance(expr, Apply):
        return Apply(expr.name, tuple(substitute(arg, args, axes) for arg in expr.args))
    return expr


def used_args(expr: Expr) -> list[int]:
    """Indices of the inputs that the expression reads, in ascending order."""
    return sorted({node.index for node in expr.walk() if isinstance(node, Arg)})


def evaluate(
    expr: Expr, inputs: Sequence[Array | None], shape: Shape, real: np.dtype[Any]
) -> Array:
    """Value of the expression on whole arrays, broadcast to `shape`; `real` is the float type."""
    memo: dict[Expr, Array] = {}

    def value(node: Expr) -> Array:
        if node not in memo:
            memo[node] = compute(node)
        return memo[node]

    def compute(node: Expr) -> Array:
        if isinstance(node, Arg):
            array = inputs[node.index]
            assert array is not None
            return array
        if isinstance(node, Const):
            return np.asarray(node.value, dtype=real if node.dtype == "f32" else np.int32)
        if isinstance(node, Index):
            axis = np.arange(shape[node.axis], dtype=np.int32)
            return axis.reshape([-1 if i == node.axis else 1 for i in range(len(shape))])
        assert isinstance(node, Apply)
        result = np.asarray(PRIMITIVES[node.name].meaning(*(value(arg) for arg in node.args)))
        return result.astype(real) if node.dtype == "f32" and result.dtype != real else result

    with np.errstate(all="ignore"):
        return np.broadcast_to(value(expr), shape)
