# SPDX-License-Identifier: Apache-2.0
"""A policy that trains small branches at half resolution, biases and the head (TinyTL)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acclimate.errors import BadOption, nearest
from acclimate.policy.draft import Draft
from acclimate.policy.fold import fold_norms
from acclimate.policy.lora import names_of
from acclimate.policy.policy import Policy
from acclimate.policy.select import BiasOnly, Head


@dataclass(frozen=True)
class Axis:
    """One axis of a branch: windows of the input, each of which serves `factor` outputs.

    Args:
        window: size and stride of the average pooling.
        pad: of the pooling in front.
        count: number of windows.
        factor: of the upsampling.
        skip: upsampled elements in front of the first output.
        size: of the output.
    """

    window: int
    pad: int
    count: int
    factor: int
    skip: int
    size: int


def fit_axis(given: int, wanted: int) -> Axis | None:
    """The windows of one axis that halve the resolution of the output; None where none do.

    The upsampling is by a whole factor. So an odd axis starts with half a window of padding, which
    the average does not count, and drops the first upsampled element.
    """
    factor = min(2, wanted)
    stride = max(1, round(given / wanted))
    count = -(-wanted // factor)
    window = min(factor * stride, given)
    for pad in range(window // 2 + 1):
        windows = (given + 2 * pad - window) // window + 1
        if windows >= count:
            skip = factor * count - wanted if pad else 0
            return Axis(window, pad, count, factor, skip, wanted)
    return None


class LiteBranch(nn.Module):
    """y = base(x) + upsample(point(relu(group(pool(x))))); point starts at zero."""

    def __init__(self, base: nn.Module, C: int, K: int, axes: tuple[Axis, Axis], size: int) -> None:
        super().__init__()
        self.base = base
        self.axes = axes
        height, width = (_odd(min(size, axis.count)) for axis in axes)
        groups = 1 if C % 2 else 2
        self.group = nn.Conv2d(
            C, C, (height, width), padding=(height // 2, width // 2), groups=groups
        )
        self.point = nn.Conv2d(C, K, 1)
        nn.init.zeros_(self.point.weight)
        assert self.point.bias is not None
        nn.init.zeros_(self.point.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,H,W] -> y[N,K,P,Q] of the base."""
        rows, columns = self.axes
        windows, pads = (rows.window, columns.window), (rows.pad, columns.pad)
        z = F.avg_pool2d(x, windows, windows, pads, count_include_pad=False)
        z = z[:, :, : rows.count, : columns.count]
        z = self.point(F.relu(self.group(z)))  # [N,K,rows,columns]
        y: Tensor = self.base(x)
        factors = (rows.factor, columns.factor)
        if (rows.size, columns.size) == (rows.count * factors[0], columns.count * factors[1]):
            # Broadcasting is the upsampling, so the upsampled map is never in memory.
            cells = y.reshape(*z.shape[:3], factors[0], z.shape[3], factors[1])
            sums: Tensor = cells + z.unsqueeze(3).unsqueeze(5)
            return sums.reshape(y.shape)
        z = F.interpolate(z, scale_factor=tuple(map(float, factors)))
        below, right = rows.skip + rows.size, columns.skip + columns.size
        return y + z[:, :, rows.skip : below, columns.skip : right]


def _odd(size: int) -> int:
    return size if size % 2 else size - 1


@dataclass(frozen=True)
class LiteResidual(Policy):
    """TinyTL: biases, the head, and a small branch at half resolution beside frozen layers.

    The branch is a 2x2 average pool, a convolution in 2 groups, ReLU, a 1x1 convolution whose
    weights start at zero, and upsampling to the size of the layer's output, to which it is added.

    Departures from the paper. Upsampling is nearest-neighbour, not bilinear: its backward is a
    sum, and on a map of even size it is part of the addition and takes no memory. The branch has no
    BatchNorm: with one sample at a time there are no statistics, so the 1x1 convolution starts at
    zero in place of a scale of a norm. A stride of the layer is in the pool, not in the
    convolution. By default every Conv2d without groups gets a branch; name the blocks of a model to
    have one per block, as in the paper. BatchNorm in eval mode is folded into a layer that gets a
    branch.

    Args:
        layers: names of modules x[N,C,H,W] -> y[N,K,P,Q], layers or blocks.
        kernel: side of the convolution, at most the pooled map; the paper has 3 and 5. Its weights
            learn, so they lie in RAM.
        seed: of its weights.

    Source: Cai et al., "TinyTL: reduce memory, not parameters", arXiv:2007.11622.
    """

    wraps: ClassVar[bool] = True
    layers: tuple[str, ...] | None = None
    kernel: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, int) or self.kernel < 1 or self.kernel % 2 == 0:
            raise BadOption(f"kernel={self.kernel!r}", hint="kernel=3: an odd number")
        names = names_of(self.layers, 'ac.LiteResidual(layers=("block1",))')
        object.__setattr__(self, "layers", names)

    def mark(self, draft: Draft) -> None:
        """Puts branches beside the layers; marks them, the biases and the head.

        Raises:
            BadOption: no such module, or it does not map images to images.
        """
        Head().mark(draft)
        if any("bias" in name for name, _ in draft.model.named_parameters()):
            BiasOnly().mark(draft)
        chosen = self._chosen(draft)
        fold_norms(draft, {module for module, *_ in chosen})
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for module, C, K, axes in chosen:
                branch = LiteBranch(module, C, K, axes, self.kernel)
                draft.replace(module, branch)
                for part in (branch.group, branch.point):
                    for parameter in part.parameters():
                        draft.train(parameter)

    def _chosen(self, draft: Draft) -> list[tuple[nn.Module, int, int, tuple[Axis, Axis]]]:
        """Modules with the channels and axes of their branches."""
        if self.layers is not None:
            return [_site(draft, name) for name in self.layers]
        plain = [
            layer.name
            for layer in draft.layers
            if isinstance(layer.module, nn.Conv2d) and layer.module.groups == 1
            if _axes(layer.input, layer.output) is not None
        ]
        if not plain:
            raise BadOption(
                "the model has no Conv2d without groups",
                found=", ".join(f"{x.name} {type(x.module).__name__}" for x in draft.layers),
                hint='ac.LiteResidual(layers=("block1",)), or update=ac.BiasOnly(head=True)',
            )
        return [_site(draft, name) for name in plain]


def _axes(given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Axis, Axis] | None:
    if len(given) != 4 or len(wanted) != 4:
        return None
    rows, columns = fit_axis(given[2], wanted[2]), fit_axis(given[3], wanted[3])
    return None if rows is None or columns is None else (rows, columns)


def _site(draft: Draft, name: str) -> tuple[nn.Module, int, int, tuple[Axis, Axis]]:
    if name not in draft.runs or not name:
        raise BadOption(f"the model has no module {name!r}", hint=nearest(name, draft.runs))
    run = draft.runs[name]
    axes = _axes(run.input, run.output)
    if axes is None:
        raise BadOption(
            f"{name} takes no branch: it does not map an image to one that is no larger",
            found=f"{list(run.input)} -> {list(run.output)}",
            hint="ac.LiteResidual() takes every Conv2d without groups",
        )
    return run.module, run.input[1], run.output[1], axes
