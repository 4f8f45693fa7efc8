# SPDX-License-Identifier: Apache-2.0
"""Depthwise separable convolution, the block that DS-CNN and MobileNetV1 are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis so that its output has ceil(size / stride) steps.

    Source: the rule SAME of TensorFlow; an odd zero goes to the end.
    """
    steps = -(-size // stride)
    total = max((steps - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def same_conv2d(
    C: int,
    K: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    size: tuple[int, int],
    groups: int = 1,
) -> tuple[nn.Module, nn.Conv2d]:
    """Makes a convolution with SAME padding, and the layer that pads where `padding=` cannot.

    Args:
        C: input channels.
        K: output channels.
        kernel: height and width of the kernel.
        stride: step along height and width.
        size: height and width of the input map.
        groups: C for a depthwise convolution.

    Returns:
        The padding, `nn.Identity` where both ends of each axis get the same, and the convolution.
    """
    (top, bottom), (left, right) = (
        same_padding(*axis) for axis in zip(size, kernel, stride, strict=True)
    )
    if top == bottom and left == right:
        return nn.Identity(), nn.Conv2d(C, K, kernel, stride, (top, left), groups=groups)
    return nn.ZeroPad2d((left, right, top, bottom)), nn.Conv2d(C, K, kernel, stride, groups=groups)


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3, pointwise 1x1, each with batch norm and ReLU: x[N,C,H,W] -> y[N,K,H/s,W/s].

    Args:
        C: input channels.
        K: output channels.
        stride: step of the depthwise convolution along height and width.
        same_size: height and width of x for SAME padding; without it one zero on every side.
    """

    def __init__(
        self,
        C: int,
        K: int,
        stride: tuple[int, int] = (1, 1),
        same_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.pad: nn.Module = nn.Identity()
        self.depthwise = nn.Conv2d(C, C, 3, stride, 1, groups=C)
        if same_size is not None:
            self.pad, self.depthwise = same_conv2d(C, C, (3, 3), stride, same_size, groups=C)
        self.bn1 = nn.BatchNorm2d(C)
        self.pointwise = nn.Conv2d(C, K, 1)
        self.bn2 = nn.BatchNorm2d(K)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,H,W] -> y[N,K,H/s,W/s]."""
        x = F.relu(self.bn1(self.depthwise(self.pad(x))))
        y: Tensor = F.relu(self.bn2(self.pointwise(x)))
        return y


def global_average(x: Tensor) -> Tensor:
    """Mean over the whole map: x[N,C,H,W] -> y[N,C]."""
    return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
