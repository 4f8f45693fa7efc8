# SPDX-License-Identifier: Apache-2.0
"""A policy that trains some input channels of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from acclimate.errors import BadOption, nearest
from acclimate.policy.draft import Draft, Layer
from acclimate.policy.policy import Policy

RULES = ("magnitude", "magnitude-", "random")


@dataclass(frozen=True, repr=False)
class SparseChannels(Policy):
    """A fraction of the input channels of weights, and the biases of these layers.

    Of C input channels, max(1, round(fraction C)) learn. The gradient needs the layer's input at
    these channels only, so the rest of it is not kept; gradient and optimizer state shrink too. The
    norms are those of the weights as they are now, before a BatchNorm is folded.

    Args:
        layers: fraction of the input channels by name of a Conv1d, Conv2d or Linear without groups;
            1 takes the whole weight of any layer.
        by: "magnitude" for those with the largest L2 norm, "magnitude-" for the smallest, or
            "random".
        seed: of the random choice.
        bias: biases of the layers learn too.

    Source: Lin et al., "On-device training under 256KB memory", arXiv:2206.15472; "magnitude-" and
    "random" are its ablations.
    """

    layers: Mapping[str, float]
    by: str = "magnitude"
    seed: int = 0
    bias: bool = True

    def __post_init__(self) -> None:
        if self.by not in RULES:
            raise BadOption(f"unknown rule {self.by!r} for channels", hint=nearest(self.by, RULES))
        if not isinstance(self.layers, Mapping) or not self.layers:
            raise BadOption(
                "SparseChannels takes fractions by layer",
                found=repr(self.layers),
                hint='SparseChannels({"conv2": 0.25})',
            )
        for name, fraction in self.layers.items():
            if not 0 < fraction <= 1:
                raise BadOption(
                    f"the fraction of {name} is {fraction}",
                    hint=f"SparseChannels({{{name!r}: 0.25}}): above 0, at most 1",
                )

    def mark(self, draft: Draft) -> None:
        """Marks the channels and the biases.

        Raises:
            BadOption: no such layer, or it is no Conv1d, Conv2d or Linear, or it has groups.
        """
        generator = torch.Generator().manual_seed(self.seed)
        for name, fraction in self.layers.items():
            layer = draft.layer(name)
            if fraction < 1:
                check_sliceable(layer)
            draft.train(weight_of(layer), self._pick(weight_of(layer), fraction, generator))
            bias = getattr(layer.module, "bias", None)
            if self.bias and isinstance(bias, nn.Parameter):
                draft.train(bias)

    def _pick(self, weight: nn.Parameter, fraction: float, generator: torch.Generator) -> list[int]:
        C = weight.shape[1]
        count = max(1, round(fraction * C))
        if self.by == "random":
            order = torch.randperm(C, generator=generator)
        else:
            norms = weight.detach().transpose(0, 1).flatten(1).norm(dim=1)  # [C]
            order = torch.argsort(norms, descending=self.by == "magnitude", stable=True)
        return sorted(order[:count].tolist())

    def __repr__(self) -> str:
        parts = [repr(dict(self.layers))]
        parts += [f"by={self.by!r}"] if self.by != "magnitude" else []
        parts += [f"seed={self.seed}"] if self.by == "random" else []
        parts += [] if self.bias else ["bias=False"]
        return f"SparseChannels({', '.join(parts)})"


def weight_of(layer: Layer) -> nn.Parameter:
    """The matrix of weights of a layer.

    Raises:
        BadOption: it has no parameter of that name.
    """
    weight = getattr(layer.module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.ndim < 2:
        raise BadOption(
            f"{layer.name} has no matrix of weights",
            found=type(layer.module).__name__,
            hint=f"ac.Layers({layer.name!r}) trains all of it",
        )
    return weight


def check_sliceable(layer: Layer) -> None:
    """Accepts layers whose input channels can learn one by one.

    Raises:
        BadOption: another kind of layer, or a convolution with groups.
    """
    module = layer.module
    if not isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
        raise BadOption(
            f"{layer.name} has no input channels to choose from",
            found=type(module).__name__,
            hint=f"Conv1d, Conv2d or Linear; ac.Layers({layer.name!r}) trains all of it",
        )
    if getattr(module, "groups", 1) != 1:
        raise BadOption(
            f"{layer.name} is a convolution with {module.groups} groups: "
            "an output reads only the channels of its group",
            found=f"weight {list(module.weight.shape)}",
            hint=f"ac.Layers({layer.name!r}) trains all of it",
        )
