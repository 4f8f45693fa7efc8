# SPDX-License-Identifier: Apache-2.0
"""Computes the bias gradient of a linear layer together with its weight gradient."""

from __future__ import annotations

from dataclasses import replace

from acclimate.kernels.linear.op import LINEAR_BWD_W
from acclimate.kernels.loop.expr import Arg
from acclimate.kernels.loop.op import IDENTITY, Reduce
from acclimate.passes.uses import movable, rewrite_until_done
from acclimate.program import Buffer, Call, Program


def fuse_bias_gradient(program: Program) -> tuple[Program, list[str]]:
    """One pass over dy gives dW and db.

    Before: dW = dy^T x; db = sum of dy over N. After: dW, db = linear_bwd_w(dy, x).
    """
    return rewrite_until_done(program, _step)


def _is_column_sum(call: Call) -> bool:
    attrs = call.attrs
    return (
        isinstance(attrs, Reduce)
        and attrs.kind == "sum"
        and attrs.axes == (0,)
        and len(attrs.shape) == 2
        and attrs.expr == Arg(0)
        and attrs.post == IDENTITY
        and call.writes[0].contiguous
    )


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    sums = {call.inputs[0]: number for number, call in enumerate(calls) if _is_column_sum(call)}
    for number, call in enumerate(calls):
        if call.op is not LINEAR_BWD_W or call.outputs[1] is not None or call.inputs[0] not in sums:
            continue
        other = sums[call.inputs[0]]
        if calls[other].accumulate != call.accumulate:
            continue
        db = calls[other].writes[0]
        shaped = db.reshape((db.size,))
        if shaped is None or not call.writes:
            continue
        merged = replace(call, outputs=(call.outputs[0], shaped))
        early, late = sorted((number, other))
        if movable(calls, late, early):
            at, gone = early, late
        elif movable(calls, early, late):
            at, gone = late, early
        else:
            continue
        calls[at] = merged
        del calls[gone]
        return f"db of {call.source.module}"
    return None
