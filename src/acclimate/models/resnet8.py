# SPDX-License-Identifier: Apache-2.0
"""ResNet8: the image classifier of MLPerf Tiny.

Source: mlcommons/tiny, benchmark/training/image_classification/keras_model.py; 16 filters is the
width of the benchmark up to v1. NOTE: strided layers pad one zero on every side, as PyTorch models
do; Keras pads only the far side. Parameters and MACs are the same.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from acclimate.models.separable import global_average


class ResidualStack(nn.Module):
    """Two 3x3 convolutions with a skip: x[N,C,H,W] -> y[N,K,H/stride,W/stride].

    The skip is the identity where the shape stays, else a 1x1 convolution without batch norm.
    """

    def __init__(self, C: int, K: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(C, K, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(K)
        self.conv2 = nn.Conv2d(K, K, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(K)
        self.skip = nn.Identity() if (C, stride) == (K, 1) else nn.Conv2d(C, K, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,H,W] -> y[N,K,H/stride,W/stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResNet8(nn.Module):
    """Image classifier x[N,3,32,32] -> logits[N,classes].

    Args:
        filters: channels of the first stack; the next two have twice and four times as many.
        classes: classes of images.
    """

    def __init__(self, filters: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, filters, 3, 1, 1)
        self.bn1 = nn.BatchNorm2d(filters)
        self.stacks = nn.Sequential(
            ResidualStack(filters, filters, 1),
            ResidualStack(filters, 2 * filters, 2),
            ResidualStack(2 * filters, 4 * filters, 2),
        )
        self.fc1 = nn.Linear(4 * filters, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,3,32,32] -> logits[N,classes]."""
        x = F.relu(self.bn1(self.conv1(x)))  # [N,f,32,32]
        logits: Tensor = self.fc1(global_average(self.stacks(x)))  # [N,4f,8,8] -> [N,4f]
        return logits
