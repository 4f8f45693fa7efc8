# SPDX-License-Identifier: Apache-2.0
"""Updates a weight while its gradient is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_STEP, ConvStep
from acclimate.kernels.linear.op import LINEAR_BWD_W, LINEAR_STEP, Decay
from acclimate.kernels.loop.expr import Apply, Arg, Const, Expr
from acclimate.passes.uses import Uses, rewrite_until_done, single_map, uses, whole, written_between
from acclimate.program import Buffer, Call, Phase, Program, View

_STEPS = {CONV2D_BWD_W: CONV2D_STEP, LINEAR_BWD_W: LINEAR_STEP}


def fuse_update(program: Program) -> tuple[Program, list[str]]:
    """Weight gradient + plain gradient descent in one kernel: no gradient buffer exists.

    Before: dW = dy^T x; W = W - lr dW. After: W = linear_step(W, dy, x, lr).
    """
    return rewrite_until_done(program, _step)


@dataclass(frozen=True)
class _Descent:
    """w <- w - lr * (g + decay * w), at a call."""

    number: int
    weight: View
    gradient: View
    rate: View
    decay: float


def _descent(number: int, call: Call) -> _Descent | None:
    attrs = single_map(call)
    if attrs is None or call.phase is not Phase.UPDATE or len(call.inputs) != 3:
        return None
    decay = _decay(attrs.exprs[0])
    weight, gradient, rate = call.inputs
    if (
        decay is None
        or weight is None
        or gradient is None
        or rate is None
        or call.outputs[0] != weight
    ):
        return None
    return _Descent(number, weight, gradient, rate, decay)


def _decay(expr: Expr) -> float | None:
    """The decay of `a0 - a2 * a1` or `a0 - a2 * (a1 + decay * a0)`; None for anything else."""
    w, g, lr = Arg(0), Arg(1), Arg(2)
    if not (isinstance(expr, Apply) and expr.name == "sub" and expr.args[0] == w):
        return None
    step = expr.args[1]
    if not (isinstance(step, Apply) and step.name == "mul" and step.args[0] == lr):
        return None
    slope = step.args[1]
    if slope == g:
        return 0.0
    if isinstance(slope, Apply) and slope.name == "add" and slope.args[0] == g:
        term = slope.args[1]
        if isinstance(term, Apply) and term.name == "mul" and term.args[1] == w:
            factor = term.args[0]
            return float(factor.value) if isinstance(factor, Const) else None
    return None


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    table = uses(calls)
    descents = {
        d.gradient.buffer: d for d in (_descent(i, c) for i, c in enumerate(calls)) if d is not None
    }
    for number, call in enumerate(calls):
        if call.op in _STEPS and not call.accumulate:
            done = _fuse(calls, number, descents, buffers, table)
            if done:
                return done
    return None


def _find(
    view: View | None, descents: dict[str, _Descent], buffers: dict[str, Buffer], table: Uses
) -> _Descent | None:
    """The update that is the only reader of a gradient, and reads it in the order of its buffer."""
    if view is None or not whole(view, buffers) or view.buffer not in descents:
        return None
    descent = descents[view.buffer]
    if not whole(descent.gradient, buffers):  # the model permutes its weight
        return None
    return descent if table.readers[view.buffer] == [descent.number] else None


def _fuse(
    calls: list[Call],
    number: int,
    descents: dict[str, _Descent],
    buffers: dict[str, Buffer],
    table: Uses,
) -> str | None:
    call = calls[number]
    dw, db = call.outputs
    weight, bias = _find(dw, descents, buffers, table), _find(db, descents, buffers, table)
    if weight is None or dw is None or (db is not None and bias is None):
        return None
    if bias is None and call.op is LINEAR_BWD_W:
        bias = _bias_of_one_row(call, descents)
    if bias is not None and bias.decay != weight.decay:
        return None
    last = max(weight.number, bias.number if bias else 0, number)
    names = {view.buffer for view in call.inputs if view is not None}
    if written_between(calls, names, number, last):
        return None
    w = weight.weight.reshape(dw.shape)
    if w is None or not w.contiguous:  # channels of a weight
        return None
    b = bias.weight.reshape((bias.weight.size,)) if bias else None
    attrs = _attrs(call, weight.decay)
    step = replace(
        call,
        op=_STEPS[call.op],
        outputs=(w, b),
        inputs=(w, b, *call.inputs, replace(weight.rate, shape=(), strides=())),
        attrs=attrs,
        phase=Phase.UPDATE,
    )
    gone = {number, weight.number} | ({bias.number} if bias else set())
    rest = [(step if i == last else c) for i, c in enumerate(calls) if i == last or i not in gone]
    calls[:] = rest
    return f"update of {weight.weight.buffer}"


def _bias_of_one_row(call: Call, descents: dict[str, _Descent]) -> _Descent | None:
    """With one row the bias gradient is dy itself, so its update reads dy."""
    dy = call.inputs[0]
    if dy is None or dy.shape[0] != 1 or dy.buffer not in descents:
        return None
    descent = descents[dy.buffer]
    same = descent.gradient.offset == dy.offset and descent.gradient.size == dy.size
    return descent if same and descent.gradient.contiguous else None


def _attrs(call: Call, decay: float) -> Decay | ConvStep:
    if call.op is LINEAR_BWD_W:
        return Decay(decay)
    a = call.attrs
    return ConvStep(
        a.stride_h,
        a.stride_w,
        a.pad_top,
        a.pad_left,
        a.dilation_h,
        a.dilation_w,
        a.groups,
        weight_decay=decay,
    )
