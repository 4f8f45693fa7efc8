# SPDX-License-Identifier: Apache-2.0
"""Prints a scalar expression as C."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf, isnan

from acclimate.kernels.loop.expr import PRIMITIVES, Apply, Arg, Const, Expr, Index

_ZERO = Const(0.0, "f32")
C_TYPES: Mapping[str, str] = {
    "f32": "float",
    "s32": "int32_t",
    "s16": "int16_t",
    "u8": "uint8_t",
    "s8": "int8_t",
    "u1": "uint8_t",
}


def c_float(value: float) -> str:
    """The shortest decimal that reads back as the same float32: `0.5f`, `-INFINITY`."""
    import numpy as np

    if value in (inf, -inf) or isnan(value):
        return "NAN" if isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    text = str(np.float32(value))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def c_number(value: float | int | bool, dtype: str = "f32") -> str:
    """A literal of an element type."""
    return c_float(float(value)) if dtype == "f32" else str(int(value))


def print_expr(
    expr: Expr, args: Mapping[int, str], coordinate: Callable[[int], str], *, plain: bool = False
) -> str:
    """The C text of an expression, with as few parentheses as C needs to mean the same.

    Args:
        expr: what to print.
        args: C of the inputs.
        coordinate: C of the coordinate along an axis.
        plain: for a reader; else choices of zero are calls that some processors compute faster.
    """
    return _Printer(args, coordinate, {}, plain).text(expr)[0]


def print_with_locals(
    exprs: tuple[Expr, ...],
    args: Mapping[int, str],
    coordinate: Callable[[int], str],
    known: Mapping[Expr, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Statements that compute shared subexpressions once, and the C text of every expression.

    Those in `known` have names already.

    Before: `y = a * expf(b); z = expf(b)`. After: `const float t0 = expf(b); y = a * t0; z = t0`.
    """
    uses: Counter[Expr] = Counter()
    for expr in exprs:
        _count(expr, uses)
    named: dict[Expr, str] = dict(known or {})
    before = len(named)
    statements: list[str] = []
    printer = _Printer(args, coordinate, named)
    order = [
        node
        for node, count in uses.items()
        if count > 1 and isinstance(node, Apply) and node not in named
    ]
    for node in sorted(order, key=_depth):
        text, _ = printer.text(node)
        local = "int32_t" if node.dtype in ("u8", "s32") else "float"
        name = f"t{len(named) - before}"
        statements.append(f"const {local} {name} = {text};")
        named[node] = name
    return statements, [printer.text(expr)[0] for expr in exprs]


def _count(expr: Expr, uses: Counter[Expr]) -> None:
    uses[expr] += 1
    if isinstance(expr, Apply) and uses[expr] == 1:
        for arg in expr.args:
            _count(arg, uses)


def _depth(expr: Expr) -> int:
    return 1 + max((_depth(arg) for arg in expr.args), default=0) if isinstance(expr, Apply) else 0


class _Printer:
    def __init__(
        self,
        args: Mapping[int, str],
        coordinate: Callable[[int], str],
        named: Mapping[Expr, str],
        plain: bool = False,
    ) -> None:
        self.args, self.coordinate, self.named, self.plain = args, coordinate, named, plain

    def text(self, expr: Expr) -> tuple[str, int]:
        """C text and its precedence."""
        if expr in self.named:
            return self.named[expr], 15
        if isinstance(expr, Arg):
            return self.args[expr.index], 15
        if isinstance(expr, Index):
            return self.coordinate(expr.axis), 15
        if isinstance(expr, Const):
            return c_number(expr.value, expr.dtype), 14 if expr.value < 0 else 15
        assert isinstance(expr, Apply)
        if self.is_choice_of_zero(expr):
            return self.zero_if(*expr.args), 15
        primitive = PRIMITIVES[expr.name]
        parts = []
        for arg, least in zip(expr.args, primitive.args, strict=False):
            text, level = self.text(arg)
            parts.append(f"({text})" if level < least else text)
        return primitive.c.format(*parts), primitive.level

    def is_choice_of_zero(self, expr: Apply) -> bool:
        """True for a choice between zero and something that is computed."""
        if self.plain or expr.name != "where" or expr.dtype != "f32":
            return False
        values = expr.args[1:]
        return _ZERO in values and not all(isinstance(value, Const) for value in values)

    def zero_if(self, condition: Expr, then: Expr, other: Expr) -> str:
        """A choice between zero and a value, for processors where a branch costs more than both."""
        if then == _ZERO:
            return f"ac_zero_if_f32({self.text(condition)[0]}, {self.text(other)[0]})"
        text, level = self.text(condition)
        return f"ac_zero_if_f32(!{text if level >= 15 else f'({text})'}, {self.text(then)[0]})"
