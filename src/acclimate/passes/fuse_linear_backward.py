# SPDX-License-Identifier: Apache-2.0
"""Learns in a fully connected layer in one pass over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from acclimate.kernels.linear.op import LINEAR_BWD_STEP, LINEAR_BWD_X, LINEAR_STEP
from acclimate.passes.uses import rewrite_until_done, written_between
from acclimate.program import Buffer, Call, Phase, Program


def fuse_linear_backward(program: Program) -> tuple[Program, list[str]]:
    """Input gradient and update of a layer of one sample: each weight is read and written once.

    Before: dx = dy W; ...; W = linear_step(W, dy, x, lr). After: W, dx = linear_bwd_step(W, dy, x,
    lr) where dx was computed. With more samples it is arithmetic that takes the time, not the
    weights, and both have kernels that make use of it.
    """
    return rewrite_until_done(program, _step)


def _step(calls: list[Call], buffers: dict[str, Buffer]) -> str | None:
    updates = {
        (call.inputs[0], call.inputs[2]): number
        for number, call in enumerate(calls)
        if call.op is LINEAR_STEP
    }
    for first, call in enumerate(calls):
        if call.op is not LINEAR_BWD_X:
            continue
        dy, w = call.inputs
        last = updates.get((w, dy), 0)
        if dy is None or dy.shape[0] != 1 or last <= first or not _joinable(calls, first, last):
            continue
        update = calls[last]
        calls[first] = replace(
            update,
            op=LINEAR_BWD_STEP,
            outputs=(*update.outputs, *call.outputs),
            phase=Phase.BACKWARD,
        )
        del calls[last]
        return f"update of {update.writes[0].buffer} with the gradient of its input"
    return None


def _joinable(calls: Sequence[Call], first: int, last: int) -> bool:
    """True if the update at `last` may as well happen with the input gradient at `first`."""
    update = calls[last]
    operands = {view.buffer for view in update.views}
    learned = {view.buffer for view in update.writes}
    between = calls[first + 1 : last]
    # Who reads the parameters in between reads their old values.
    if any(view.buffer in learned for call in between for view in call.reads):
        return False
    if any(view.buffer in operands for view in calls[first].writes):
        return False
    return not written_between(calls, operands, first, last)
