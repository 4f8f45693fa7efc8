# SPDX-License-Identifier: Apache-2.0
"""Folds BatchNorm in eval mode into the layer before it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from acclimate.capture.export import Forward, Slot

_aten: Any = torch.ops.aten
_NORM = _aten._native_batch_norm_legit_no_training.default
# Layer -> axis of its weight that counts output channels.
_LAYERS = {
    _aten.conv1d.default: 0,
    _aten.conv2d.default: 0,
    _aten.conv1d.padding: 0,
    _aten.conv2d.padding: 0,
    _aten.convolution.default: 0,
    _aten.linear.default: 0,
    _aten.conv_transpose2d.input: 1,
}


def fold_batch_norm(forward: Forward, only: Container[str] | None = None) -> list[str]:
    """Replaces layer + BatchNorm by a layer with scaled weights; returns what was folded.

    With `only`, nothing else is: what another graph of the same model has folded.

    Before: y = gamma (W x + b - mean) / sigma + beta. After: y = W' x + b' with
    W' = W gamma / sigma and b' = beta + (b - mean) gamma / sigma.

    What is trained afterwards is W' and b': W' if W was trained, b' if any of b, beta was. A norm
    whose scale is trained over a frozen weight is left as it is, since W' could not stay frozen.
    """
    graph = forward.graph_module.graph
    folded = []
    for norm in list(graph.nodes):
        if norm.target is not _NORM or not _foldable(forward, norm):
            continue
        what = _described(forward, norm)
        if only is None or what in only:
            _fold(forward, norm)
            folded.append(what)
    graph.eliminate_dead_code()
    forward.graph_module.recompile()
    return folded


def _parameter(forward: Forward, node: Any) -> str | None:
    slot = forward.slots.get(node.name) if isinstance(node, Node) else None
    return (
        slot.name if slot is not None and slot.kind in ("parameter", "buffer", "constant") else None
    )


def _foldable(forward: Forward, norm: Node) -> bool:
    layer, gamma = norm.args[0], norm.args[1]
    if not isinstance(layer, Node) or layer.target not in _LAYERS or len(layer.users) != 1:
        return False
    weight = layer.args[1]
    name = _parameter(forward, weight)
    if name is None or not isinstance(weight, Node) or len(weight.users) != 1:
        return False
    if (
        len(layer.args) > 2
        and layer.args[2] is not None
        and _parameter(forward, layer.args[2]) is None
    ):
        return False
    if layer.target is _aten.linear.default and layer.meta["val"].ndim != 2:
        return False
    if layer.target is _aten.conv_transpose2d.input and len(layer.args) > 6 and layer.args[6] != 1:
        return False
    if any(isinstance(node, Node) and len(node.users) != 1 for node in norm.args[1:5]):
        return False
    scale_trained = _parameter(forward, gamma) in forward.trained
    return not (scale_trained and name not in forward.trained)


def _described(forward: Forward, norm: Node) -> str:
    layer = norm.args[0]
    assert isinstance(layer, Node) and isinstance(layer.args[1], Node)
    weight = _name(forward, layer.args[1])
    return f"{weight.rpartition('.')[0] or weight} <- {_norm_name(forward, norm)}"


def _fold(forward: Forward, norm: Node) -> None:
    layer, gamma, beta, mean, var, _, eps = norm.args
    assert isinstance(layer, Node) and isinstance(layer.args[1], Node)
    weight = _name(forward, layer.args[1])
    axis = _LAYERS[layer.target]
    channels = forward.tensors[weight].shape[axis]
    values = [_value(forward, node) for node in (gamma, beta, mean, var)]
    scale, shift = _affine(values, float(eps))  # type: ignore[arg-type]
    shape = [channels if a == axis else 1 for a in range(forward.tensors[weight].ndim)]
    forward.tensors[weight] = forward.tensors[weight] * scale.reshape(shape)
    learns = _parameter(forward, beta) in forward.trained
    old = layer.args[2] if len(layer.args) > 2 else None
    if isinstance(old, Node):
        bias_node, bias = old, _name(forward, old)
        shift = shift + forward.tensors[bias] * scale
        learns = learns or bias in forward.trained
    else:
        # The shift of the norm becomes the bias of the layer, named as a bias would be.
        bias_node = beta if isinstance(beta, Node) else mean  # type: ignore[assignment]
        bias = f"{weight.rpartition('.')[0]}.bias".lstrip(".")
        forward.slots[bias_node.name] = Slot("parameter", bias)
    forward.tensors[bias] = shift
    forward.trained -= {_parameter(forward, gamma), _parameter(forward, beta)}
    forward.trained |= {bias} if learns else set()
    _replace(norm, layer, bias_node)


def _name(forward: Forward, node: Node) -> str:
    name = _parameter(forward, node)
    assert name is not None
    return name


def _norm_name(forward: Forward, norm: Node) -> str:
    names = [_parameter(forward, node) for node in norm.args[1:4]]
    return next(name.rpartition(".")[0] for name in names if name)


def _value(forward: Forward, node: Any) -> Tensor | None:
    name = _parameter(forward, node)
    return None if name is None else forward.tensors[name]


def _affine(values: list[Tensor | None], eps: float) -> tuple[Tensor, Tensor]:
    """Scale and shift of a norm in float64, rounded once at the end."""
    gamma, beta, mean, var = (None if v is None else v.double() for v in values)
    assert mean is not None and var is not None
    scale = torch.rsqrt(var + eps)
    scale = scale if gamma is None else scale * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    return scale.float(), shift.float()


def _replace(norm: Node, layer: Node, bias: Node) -> None:
    """Gives the layer its bias and reads its result in place of the norm's first output."""
    layer.args = (*layer.args[:2], bias, *layer.args[3:])
    for user in list(norm.users):
        if user.args[1] == 0:
            user.replace_all_uses_with(layer)
