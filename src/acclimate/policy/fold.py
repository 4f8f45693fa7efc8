# SPDX-License-Identifier: Apache-2.0
"""Folds BatchNorm into the layers that get a branch: between the two the branch would hide it."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from acclimate.capture import export, fold_batch_norm
from acclimate.policy.draft import Draft

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def fold_norms(draft: Draft, layers: Collection[nn.Module]) -> None:
    """Scales the weights of layers that a BatchNorm in eval mode follows; the norm disappears.

    Which norm belongs to which layer, and whether it may be folded, is decided on the graph, as
    `compile` does it. Parameters stay the same objects, so what is marked stays marked.
    """
    for parameter in draft.model.parameters():
        parameter.requires_grad_(draft.trained(parameter))
    if not any(isinstance(module, Norm) for module in draft.model.modules()):
        return
    forward = export(draft.model, _no_loss, draft.inputs, torch.zeros(1))
    for change in fold_batch_norm(forward):
        layer, norm = map(draft.model.get_submodule, change.split(" <- "))
        if layer in layers and isinstance(norm, Norm):
            _fold(draft, layer, norm)
            draft.replace(norm, nn.Identity())


def _no_loss(outputs: object, target: Tensor) -> Tensor:
    """The graph needs a scalar; it tells nothing about the model."""
    return target.sum()


def _fold(draft: Draft, layer: nn.Module, norm: Norm) -> None:
    """W' = W gamma / sigma, b' = beta + (b - mean) gamma / sigma, in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, nn.Parameter)
    with torch.no_grad():
        scale = torch.rsqrt(norm.running_var.double() + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight.double()
        shift = -norm.running_mean.double() * scale
        shift = shift if norm.bias is None else shift + norm.bias.double()
        if isinstance(bias, nn.Parameter):
            shift = shift + bias.double() * scale
            if norm.bias is not None and draft.trained(norm.bias):
                draft.train(bias)
        else:
            bias = nn.Parameter(torch.empty_like(norm.running_mean))
            bias = bias if norm.bias is None else norm.bias
            layer.register_parameter("bias", bias)
        weight.copy_(weight.double() * scale.reshape(-1, *[1] * (weight.ndim - 1)))
        bias.copy_(shift)
