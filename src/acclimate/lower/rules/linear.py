# SPDX-License-Identifier: Apache-2.0
"""Matrix products. The strides of the operands tell which of them is transposed."""

from __future__ import annotations

from acclimate.kernels.linear.op import LINEAR_BWD_W, LINEAR_BWD_X, LINEAR_FWD, Clamp
from acclimate.kernels.loop.expr import Expr
from acclimate.kernels.matmul.op import MATMUL_NN, MATMUL_NT, MATMUL_TN
from acclimate.lower.context import Lowering, Value
from acclimate.lower.registry import rule
from acclimate.program import Phase, View

_FAMILY = "linear"


def _transposed(view: View) -> View:
    axes = [*range(len(view.shape) - 2), len(view.shape) - 1, len(view.shape) - 2]
    return view.permute(axes)


def _product(ctx: Lowering, a: View, b: View, bias: View | None = None) -> View:
    """a[M,K] b[K,N] as linear_fwd (b transposed), linear_bwd_x (neither) or linear_bwd_w (a)."""
    M, N = a.shape[0], b.shape[1]
    backward = ctx.phase is Phase.BACKWARD
    out = ctx.new("mm" if backward else "linear", (M, N))
    if (
        bias is None
        and backward
        and _transposed(a).contiguous
        and b.contiguous
        and _is_weight(ctx, a, b)
    ):
        ctx.call(LINEAR_BWD_W, [out, None], [_transposed(a), b])
        return out
    if _transposed(b).contiguous and (bias is not None or not b.contiguous or not backward):
        ctx.call(LINEAR_FWD, [out], [ctx.contiguous(a), _transposed(b), bias], Clamp())
        return out
    if bias is None and _transposed(a).contiguous and not a.contiguous:
        ctx.call(LINEAR_BWD_W, [out, None], [_transposed(a), ctx.contiguous(b)])
        return out
    if bias is None:
        ctx.call(LINEAR_BWD_X, [out], [ctx.contiguous(a), ctx.contiguous(b)])
        return out
    weight = ctx.copy(_transposed(b))
    ctx.call(LINEAR_FWD, [out], [ctx.contiguous(a), weight, bias], Clamp())
    return out


def _is_weight(ctx: Lowering, a: View, b: View) -> bool:
    """With batch 1 all operands look transposed; autograd writes the weight gradient as t(dy) x."""
    node = ctx.node.args[0] if ctx.node is not None else None
    return "aten.t." in str(getattr(node, "target", ""))


@rule("mm.default", family=_FAMILY)
def _mm(ctx: Lowering, a: Value, b: Value) -> View:
    return _product(ctx, ctx.view(a), ctx.view(b))


@rule("addmm.default", family=_FAMILY)
def _addmm(
    ctx: Lowering, c: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1
) -> View:
    vector = len(c.shape) == 1 and isinstance(c, View)
    if vector and beta == alpha == 1:
        assert isinstance(c, View)
        return _product(ctx, ctx.view(a), ctx.view(b), ctx.contiguous(c))
    product = _product(ctx, ctx.view(a), ctx.view(b))

    def combine(x: Expr, y: Expr) -> Expr:
        return beta * x + alpha * y

    return ctx.map("addmm", combine, [c, product])


@rule("mv.default", family=_FAMILY)
def _mv(ctx: Lowering, a: Value, x: Value) -> Value:
    column = ctx.reshape(x, (x.shape[0], 1))
    return ctx.reshape(_product(ctx, ctx.view(a), ctx.view(column)), (a.shape[0],))


@rule("dot.default", family=_FAMILY)
def _dot(ctx: Lowering, a: Value, b: Value) -> View:
    return ctx.reduce("dot", "sum", lambda x, y: x * y, [a, b], [0])


@rule("bmm.default", family=_FAMILY)
def _bmm(ctx: Lowering, a: Value, b: Value) -> View:
    left, right = ctx.view(a), ctx.view(b)
    out = ctx.new("matmul", (left.shape[0], left.shape[1], right.shape[2]))
    if not right.contiguous and _transposed(right).contiguous:
        ctx.call(MATMUL_NT, [out], [ctx.contiguous(left), _transposed(right)])
    elif not left.contiguous and _transposed(left).contiguous:
        ctx.call(MATMUL_TN, [out], [_transposed(left), ctx.contiguous(right)])
    else:
        ctx.call(MATMUL_NN, [out], [ctx.contiguous(left), ctx.contiguous(right)])
    return out


@rule("baddbmm.default", family=_FAMILY)
def _baddbmm(
    ctx: Lowering, c: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1
) -> View:
    return ctx.map("baddbmm", lambda x, y: beta * x + alpha * y, [c, _bmm(ctx, a, b)])
