# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's own decompositions of other operators end in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from acclimate.kernels.loop.expr import Expr, apply
from acclimate.lower.registry import rule
from acclimate.lower.rules.pointwise import Formula, divided, formula, maximum, minimum, pointwise

_SAME = (
    *("add", "sub", "mul", "neg", "abs", "exp", "log", "sqrt", "tanh", "erf", "pow"),
    *("lt", "le", "gt", "ge", "eq", "ne", "where", "sin", "cos", "expm1", "log1p"),
)


def _remainder(a: Expr, b: Expr | float) -> Expr:
    """What is left of a, with the sign of b."""
    return a - divided(a, b, "floor") * b


def _fmod(a: Expr, b: Expr | float) -> Expr:
    """What is left of a, with the sign of a."""
    quotient = apply("trunc", apply("f32", a) / apply("f32", b))
    return a - (apply("s32", quotient) if a.dtype == "s32" else quotient) * b


_PRIMS: Mapping[str, Formula] = {
    **{name: formula(name) for name in _SAME},
    "div": divided,
    "maximum": maximum,
    "minimum": minimum,
    "reciprocal": lambda x: 1.0 / x,
    "remainder": _remainder,
    "fmod": _fmod,
}
for _name, _formula in _PRIMS.items():
    _whole = f"prims.{_name}.default"
    rule(_whole, family="primitive")(partial(pointwise, _whole, _formula))
