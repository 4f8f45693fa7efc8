# SPDX-License-Identifier: Apache-2.0
"""Element-wise operators: each line of the table is the definition of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import log as log_of
from math import pi, sqrt
from typing import Any

from acclimate.kernels.loop.expr import Expr, apply
from acclimate.lower.context import Fill, Lowering, Value, broadcast, dtype_of
from acclimate.lower.registry import rule
from acclimate.program import View

Formula = Callable[..., Expr]


def formula(name: str) -> Formula:
    """That of a primitive."""
    return partial(apply, name)


exp, log, log1p, tanh, erf = (
    formula("exp"),
    formula("log"),
    formula("log1p"),
    formula("tanh"),
    formula("erf"),
)
lt, le, gt, ge, eq, ne = (
    formula("lt"),
    formula("le"),
    formula("gt"),
    formula("ge"),
    formula("eq"),
    formula("ne"),
)
both, either, where = formula("and"), formula("or"), formula("where")


def _whole(*operands: Expr | float) -> bool:
    """Whether they are whole numbers, which the float functions of C are not for."""
    return any(isinstance(v, Expr) and v.dtype == "s32" for v in operands)


def maximum(a: Expr | float, b: Expr | float) -> Expr:
    """The larger one."""
    return where(gt(a, b), a, b) if _whole(a, b) else apply("max", a, b)


def minimum(a: Expr | float, b: Expr | float) -> Expr:
    """The smaller one."""
    return where(lt(a, b), a, b) if _whole(a, b) else apply("min", a, b)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp(-x))


def clamp(x: Expr, lo: float | None = None, hi: float | None = None) -> Expr:
    """min(max(x, lo), hi)."""
    x = x if lo is None else maximum(x, lo)
    return x if hi is None else minimum(x, hi)


def _power(x: Expr, exponent: float) -> Expr:
    simple: Mapping[float, Formula] = {
        0.5: formula("sqrt"),
        1.0: lambda x: x,
        2.0: lambda x: x * x,
        3.0: lambda x: x * x * x,
        -0.5: lambda x: 1.0 / apply("sqrt", x),
        -1.0: lambda x: 1.0 / x,
        -2.0: lambda x: 1.0 / (x * x),
    }
    return simple[exponent](x) if exponent in simple else apply("pow", x, exponent)


_GELU = sqrt(2.0 / pi)


def _gelu(x: Expr, approximate: str = "none") -> Expr:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + tanh(_GELU * (x + 0.044715 * (x * x * x))))
    return x * 0.5 * (1.0 + erf(x * sqrt(0.5)))


def _gelu_backward(dy: Expr, x: Expr, approximate: str = "none") -> Expr:
    if approximate == "tanh":
        t = tanh(_GELU * (x + 0.044715 * (x * x * x)))
        slope = _GELU * (1.0 + 3.0 * 0.044715 * (x * x))
        return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
    density = exp(-0.5 * (x * x)) * (1.0 / sqrt(2.0 * pi))
    return dy * (0.5 * (1.0 + erf(x * sqrt(0.5))) + x * density)


def _silu_backward(dy: Expr, x: Expr) -> Expr:
    s = sigmoid(x)
    return dy * (s * (1.0 + x * (1.0 - s)))


def _elu(x: Expr, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Expr:
    return where(gt(x, 0.0), x * scale, apply("expm1", x * input_scale) * (alpha * scale))


def _elu_backward(
    dy: Expr, alpha: float, scale: float, input_scale: float, is_result: bool, x: Expr
) -> Expr:
    low = alpha * scale
    slope = (x + low) * input_scale if is_result else exp(x * input_scale) * (input_scale * low)
    return where(le(x, 0.0), dy * slope, dy * scale)


def _softplus(x: Expr, beta: float = 1.0, threshold: float = 20.0) -> Expr:
    return where(gt(x * beta, threshold), x, log1p(exp(x * beta)) / beta)


def _softplus_backward(dy: Expr, x: Expr, beta: float, threshold: float) -> Expr:
    return where(gt(x * beta, threshold), dy, dy * sigmoid(x * beta))


def _mish_backward(dy: Expr, x: Expr) -> Expr:
    t = tanh(_softplus(x))
    return dy * (t + x * sigmoid(x) * (1.0 - t * t))


def _hardswish_backward(dy: Expr, x: Expr) -> Expr:
    return where(le(x, -3.0), 0.0, where(lt(x, 3.0), dy * (x / 3.0 + 0.5), dy))


def divided(a: Expr, b: Expr | float, rounding_mode: str | None = None) -> Expr:
    """a / b, or the next whole number below it."""
    if rounding_mode == "floor":
        if _whole(a):
            return apply("s32", apply("floor", apply("f32", a) / apply("f32", b)))
        return apply("floor", apply("div", a, b))
    if isinstance(b, (int, float)):
        return apply("mul", a, 1.0 / b) if _exact_reciprocal(b) else apply("div", a, b)
    return apply("div", a, b)


def _exact_reciprocal(value: float) -> bool:
    """Division by a power of two is a multiplication without rounding."""
    mantissa = abs(value).hex().partition("p")[0] if isinstance(value, float) else ""
    return mantissa in ("0x1.0000000000000",) or (
        isinstance(value, int) and value & (value - 1) == 0 < value
    )


def _sinh(x: Expr) -> Expr:
    """By e^x - 1, which keeps its digits near zero."""
    grown = apply("expm1", x)
    return 0.5 * (grown + grown / (grown + 1.0))


def _linear_pair(name: str, a: Expr | float, b: Expr | float, alpha: float = 1.0) -> Expr:
    return apply(name, a, b if alpha == 1 else apply("mul", b, alpha))


ACTIVATIONS: Mapping[str, Formula] = {
    "relu.default": lambda x: maximum(x, 0.0),
    "threshold_backward.default": lambda dy, y, t: where(le(y, t), 0.0, dy),
    "hardtanh.default": lambda x, lo=-1.0, hi=1.0: clamp(x, lo, hi),
    "hardtanh_backward.default": lambda dy, x, lo, hi: where(either(le(x, lo), ge(x, hi)), 0.0, dy),
    "leaky_relu.default": lambda x, slope=0.01: where(gt(x, 0.0), x, x * slope),
    "leaky_relu_backward.default": lambda dy, x, slope, _: where(gt(x, 0.0), dy, dy * slope),
    "sigmoid.default": sigmoid,
    "sigmoid_backward.default": lambda dy, y: dy * ((1.0 - y) * y),
    "tanh.default": tanh,
    "tanh_backward.default": lambda dy, y: dy * (1.0 - y * y),
    "gelu.default": _gelu,
    "gelu_backward.default": _gelu_backward,
    "silu.default": lambda x: x / (1.0 + exp(-x)),
    "silu_backward.default": _silu_backward,
    "hardswish.default": lambda x: x * clamp(x + 3.0, 0.0, 6.0) / 6.0,
    "hardswish_backward.default": _hardswish_backward,
    "hardsigmoid.default": lambda x: clamp(x + 3.0, 0.0, 6.0) / 6.0,
    "hardsigmoid_backward.default": lambda dy, x: where(
        both(gt(x, -3.0), lt(x, 3.0)), dy / 6.0, 0.0
    ),
    "elu.default": _elu,
    "elu_backward.default": _elu_backward,
    "softplus.default": _softplus,
    "softplus_backward.default": _softplus_backward,
    "log_sigmoid_backward.default": lambda dy, x, _: dy * sigmoid(-x),
    "mish.default": lambda x: x * tanh(_softplus(x)),
    "mish_backward.default": _mish_backward,
}
ARITHMETIC: Mapping[str, Formula] = {
    "add.Tensor": partial(_linear_pair, "add"),
    "add.Scalar": partial(_linear_pair, "add"),
    "sub.Tensor": partial(_linear_pair, "sub"),
    "sub.Scalar": partial(_linear_pair, "sub"),
    "rsub.Scalar": lambda a, b, alpha=1: apply("sub", b, apply("mul", a, alpha)),
    "mul.Tensor": formula("mul"),
    "mul.Scalar": formula("mul"),
    "div.Tensor": divided,
    "div.Scalar": divided,
    "div.Tensor_mode": divided,
    "neg.default": formula("neg"),
    "abs.default": formula("abs"),
    "sgn.default": formula("sign"),
    "sign.default": formula("sign"),
    "exp.default": exp,
    "expm1.default": formula("expm1"),
    "log.default": log,
    "log1p.default": log1p,
    "sqrt.default": formula("sqrt"),
    "rsqrt.default": lambda x: 1.0 / apply("sqrt", x),
    "reciprocal.default": lambda x: 1.0 / x,
    "square.default": lambda x: x * x,
    "sin.default": formula("sin"),
    "cos.default": formula("cos"),
    "erf.default": erf,
    "floor.default": formula("floor"),
    "ceil.default": formula("ceil"),
    "trunc.default": formula("trunc"),
    "round.default": formula("round"),
    "log2.default": lambda x: log(x) * (1 / log_of(2.0)),
    "log10.default": lambda x: log(x) * (1 / log_of(10.0)),
    "exp2.default": lambda x: exp(x * log_of(2.0)),
    "tan.default": lambda x: apply("sin", x) / apply("cos", x),
    "sinh.default": _sinh,
    "cosh.default": lambda x: 0.5 * (exp(x) + exp(-x)),
    "erfc.default": lambda x: 1.0 - erf(x),
    "pow.Tensor_Scalar": _power,
    "maximum.default": maximum,
    "minimum.default": minimum,
    "clamp.default": clamp,
    "clamp_min.default": maximum,
    "clamp_max.default": minimum,
    "addcmul.default": lambda x, a, b, value=1.0: x + value * (a * b),
    "addcdiv.default": lambda x, a, b, value=1.0: x + value * (a / b),
    "lerp.Scalar": lambda a, b, weight: a + weight * (b - a),
    "native_dropout_backward.default": lambda dy, mask, scale: dy * (apply("f32", mask) * scale),
}
LOGIC: Mapping[str, Formula] = {
    **{
        f"{name}.{kind}": formula(name)
        for name in ("lt", "le", "gt", "ge", "eq", "ne")
        for kind in ("Tensor", "Scalar")
    },
    "logical_and.default": both,
    "logical_or.default": either,
    "logical_not.default": formula("not"),
    "bitwise_and.Tensor": both,
    "bitwise_or.Tensor": either,
    "bitwise_not.default": formula("not"),
    "where.self": where,
    "where.ScalarOther": where,
    "where.ScalarSelf": where,
    "masked_fill.Scalar": lambda x, mask, value: where(mask, value, x),
    "masked_fill.Tensor": lambda x, mask, value: where(mask, value, x),
}


def _label(name: str) -> str:
    return (
        name.partition(".")[0]
        .replace("_backward", "_bwd")
        .replace("native_", "")
        .replace("threshold", "relu")
    )


def pointwise(name: str, formula: Formula, ctx: Lowering, *args: Any, **kwargs: Any) -> Value:
    """Runs a formula: tensors become inputs of one loop, numbers stay numbers."""
    kwargs.pop("memory_format", None)
    tensors = [arg for arg in args if isinstance(arg, Value)]
    assert ctx.node is not None
    result = dtype_of(ctx.node.meta["val"].dtype, ctx.source)
    floats = result == "f32" or any(ctx.dtype(tensor) == "f32" for tensor in tensors)

    def function(*exprs: Expr) -> Expr:
        rest = iter(exprs)
        operands: list[Any] = []
        for arg in args:
            operand: Any = next(rest) if isinstance(arg, Value) else arg
            is_mask = (
                isinstance(operand, Expr) and operand.dtype == "u8" and name.startswith(_MASKED)
            )
            if isinstance(operand, Expr) and operand.dtype != "f32" and floats and not is_mask:
                operand = apply("f32", operand)
            operands.append(operand)
        return formula(*operands, **kwargs)

    shape = broadcast(*(tensor.shape for tensor in tensors))
    if tensors and all(isinstance(tensor, Fill) for tensor in tensors):
        folded = _fold(function, tensors, shape, result)
        if folded is not None:
            return folded
    return ctx.map(_label(name), function, tensors, shape, dtype=result)


_MASKED = ("where", "prims.where", "masked_fill", "native_dropout_backward", "logical", "bitwise")


def _fold(function: Formula, fills: list[Any], shape: tuple[int, ...], dtype: str) -> Fill | None:
    """A formula of constants is a constant."""
    from acclimate.kernels.loop.expr import Const

    expr = function(*(Const(fill.value, fill.dtype) for fill in fills))
    return Fill(expr.value, shape, dtype) if isinstance(expr, Const) else None


def _remember(name: str, ctx: Lowering, x: Value, *args: Any) -> Value:
    """Keeps the result of an activation whose gradient can be told from it, so that x can go."""
    y = pointwise(name, ACTIVATIONS[name], ctx, x, *args)
    if isinstance(x, View) and isinstance(y, View):
        ctx.activated[(name, x, *args[:2])] = y
    return y


def _from_result(name: str, forward: str, ctx: Lowering, dy: Value, x: Value, *args: Any) -> Value:
    """lo < x < hi exactly where lo < y < hi, and x > 0 exactly where y > 0: y serves for x."""
    parameters = args[: 2 if forward == "hardtanh.default" else 1]
    if isinstance(x, View):
        x = ctx.activated.get((forward, x, *parameters), x)
    return pointwise(name, ACTIVATIONS[name], ctx, dy, x, *args)


_OWN = {
    "hardtanh.default": partial(_remember, "hardtanh.default"),
    "hardtanh_backward.default": partial(
        _from_result, "hardtanh_backward.default", "hardtanh.default"
    ),
    "leaky_relu.default": partial(_remember, "leaky_relu.default"),
    "leaky_relu_backward.default": partial(
        _from_result, "leaky_relu_backward.default", "leaky_relu.default"
    ),
}

for _family, _table in (
    ("activation", ACTIVATIONS), ("arithmetic", ARITHMETIC), ("logic", LOGIC),
):  # fmt: skip
    for _name, _formula in _table.items():
        rule(_name, family=_family)(_OWN.get(_name) or partial(pointwise, _name, _formula))


@rule("log_sigmoid_forward.default", family="activation")
def _log_sigmoid(ctx: Lowering, x: Value) -> tuple[Value, Value]:
    """min(x, 0) - log(1 + e^-|x|); the second result is a buffer that no gradient needs here."""
    y = ctx.map("log_sigmoid", lambda v: minimum(v, 0.0) - log1p(exp(-apply("abs", v))), [x])
    return y, x
