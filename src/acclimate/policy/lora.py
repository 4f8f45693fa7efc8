# SPDX-License-Identifier: Apache-2.0
"""A policy that trains low-rank branches beside frozen layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from acclimate.errors import BadOption
from acclimate.policy.draft import Draft, Layer
from acclimate.policy.fold import fold_norms
from acclimate.policy.policy import Policy

_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class LowRank(nn.Module):
    """y = base(x) + scale up(down(x)); up starts at zero, so y starts as base(x)."""

    def __init__(self, base: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = _pair(base, rank)
        self.scale = scale
        nn.init.zeros_(self.up.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,...] -> y[N,K,...] of the base."""
        y: Tensor = self.base(x) + self.scale * self.up(self.down(x))
        return y


def _pair(base: nn.Module, rank: int) -> tuple[nn.Module, nn.Module]:
    """A[rank,C,R,S] with the geometry of the base, and B[K,rank]."""
    if isinstance(base, nn.Linear):
        return (
            nn.Linear(base.in_features, rank, bias=False),
            nn.Linear(rank, base.out_features, bias=False),
        )
    assert isinstance(base, (nn.Conv1d, nn.Conv2d))
    kind: type[nn.Conv1d | nn.Conv2d] = type(base)
    down = kind(
        base.in_channels,
        rank,
        base.kernel_size,  # type: ignore[arg-type]
        base.stride,  # type: ignore[arg-type]
        base.padding,  # type: ignore[arg-type]
        base.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=base.padding_mode,
    )
    return down, kind(rank, base.out_channels, 1, bias=False)


@dataclass(frozen=True)
class Lora(Policy):
    """Low-rank branches: y = W x + (alpha / rank) B (A x); A and B learn, W is frozen.

    B is zero and A is drawn from a seed, so the model starts as it was. A convolution has its
    geometry in A and a 1x1 convolution in B. BatchNorm in eval mode is folded into W first.

    Args:
        rank: rows of A.
        layers: names of Linear, Conv1d or Conv2d layers without groups; all of them by default.
        alpha: strength of the branch; None for alpha = rank.
        seed: of A.

    Source: Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685.
    """

    wraps: ClassVar[bool] = True
    rank: int
    layers: tuple[str, ...] | None = None
    alpha: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.rank, int) or self.rank < 1:
            raise BadOption(f"the rank is {self.rank!r}", hint="ac.Lora(4)")
        object.__setattr__(self, "layers", names_of(self.layers, 'ac.Lora(4, layers=("fc1",))'))

    def mark(self, draft: Draft) -> None:
        """Puts branches beside the layers and marks their weights.

        Raises:
            BadOption: no such layer, or a layer that takes no branch.
        """
        if self.layers is None:
            chosen = [layer for layer in draft.layers if _problem(layer) is None]
        else:
            chosen = [_checked(draft.layer(name)) for name in self.layers]
        if not chosen:
            raise BadOption(
                "no layer takes a low-rank branch",
                found=", ".join(f"{x.name} {type(x.module).__name__}" for x in draft.layers),
                hint="Linear, Conv1d and Conv2d without groups do; or update=ac.Head()",
            )
        fold_norms(draft, {layer.module for layer in chosen})
        scale = 1.0 if self.alpha is None else self.alpha / self.rank
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for layer in chosen:
                branch = LowRank(layer.module, self.rank, scale)
                draft.replace(layer.module, branch)
                for module in (branch.down, branch.up):
                    for parameter in module.parameters():
                        draft.train(parameter)


def names_of(layers: object, hint: str) -> tuple[str, ...] | None:
    """Names of layers as a tuple.

    Raises:
        BadOption: something else was given.
    """
    if layers is None:
        return None
    names = (layers,) if isinstance(layers, str) else layers
    if not isinstance(names, (tuple, list)) or not all(isinstance(n, str) for n in names):
        raise BadOption("layers are given by their names", found=repr(layers), hint=hint)
    return tuple(names)


def _problem(layer: Layer) -> str | None:
    """Why a layer takes no branch."""
    module = layer.module
    if not isinstance(module, _KINDS):
        return f"{layer.name} is a {type(module).__name__}, which takes no low-rank branch"
    groups = getattr(module, "groups", 1)
    if groups != 1:
        return f"{layer.name} has {groups} groups: its weight is no product of two matrices"
    return None


def _checked(layer: Layer) -> Layer:
    problem = _problem(layer)
    if problem:
        raise BadOption(
            problem,
            found=repr(layer.module),
            hint="Linear, Conv1d or Conv2d without groups; ac.Lora(4) takes all of them",
        )
    return layer
