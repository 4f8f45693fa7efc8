# SPDX-License-Identifier: Apache-2.0
"""The graph of what a model answers, which is another one than what it does in training."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.capture.export import Forward, Slot, eval_mode, export
from acclimate.capture.fold import fold_batch_norm
from acclimate.capture.losses import Loss


def export_answers(
    model: nn.Module, loss: Loss, inputs: tuple[Tensor, ...], target: Any,
    forward: Forward, folded: Container[str],
) -> Forward:  # fmt: skip
    """Exports the model as after `model.eval()`; `forward` itself where that changes nothing.

    Args:
        model: keeps the mode that it has.
        loss: as for `export`.
        inputs: as for `export`.
        target: as for `export`.
        forward: what was exported in the mode that the model has.
        folded: what was folded in it, as `fold_batch_norm` says.
    """
    if not any(module.training for module in model.modules()):
        return forward
    with eval_mode(model):
        answers = export(model, loss, inputs, target)
    fold_batch_norm(answers, folded)
    _share_constants(answers, forward)
    return answers


def _share_constants(answers: Forward, forward: Forward) -> None:
    """Both graphs count their constants from zero: the same ones get the same names, others not."""
    known = [slot.name for slot in forward.slots.values() if slot.kind == "constant"]
    own = dict(answers.tensors)
    for node, slot in answers.slots.items():
        if slot.kind != "constant":
            continue
        value = own[slot.name]
        same = (name for name in known if torch.equal(forward.tensors[name], value))
        name = next(same, f"predict_{slot.name}")
        answers.slots[node] = Slot("constant", name)
        answers.tensors[name] = value
