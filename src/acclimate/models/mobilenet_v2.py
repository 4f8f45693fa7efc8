# SPDX-License-Identifier: Apache-2.0
"""The inverted residual block of MobileNetV2, usable alone.

Source: Sandler et al. 2018, arXiv:1801.04381.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1: x[N,C,H,W] -> y[N,K,H/stride,W/stride].

    Convolutions have no bias; the last one has no activation. x is added where the shape stays.

    Args:
        C: input channels.
        K: output channels.
        stride: step of the depthwise convolution.
        expansion: hidden channels per input channel.
    """

    def __init__(self, C: int, K: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        E = C * expansion
        self.expand = nn.Conv2d(C, E, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(E)
        self.depthwise = nn.Conv2d(E, E, 3, stride, 1, groups=E, bias=False)
        self.bn2 = nn.BatchNorm2d(E)
        self.project = nn.Conv2d(E, K, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(K)
        self.keeps_shape = stride == 1 and C == K

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,H,W] -> y[N,K,H/stride,W/stride]."""
        y: Tensor = F.relu6(self.bn1(self.expand(x)))
        y = F.relu6(self.bn2(self.depthwise(y)))
        y = self.bn3(self.project(y))
        return x + y if self.keeps_shape else y
