# SPDX-License-Identifier: Apache-2.0
"""PULP-Frontnet: where a person is, seen from a nano-drone.

Source: Palossi et al. 2021, arXiv:2103.10873; idsia-robotics/pulp-frontnet, PyTorch/Frontnet.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from acclimate.errors import BadOption, nearest


@dataclass(frozen=True)
class FrontnetSize:
    """One variant: height and width of the grey image, channels of the first layer."""

    height: int
    width: int
    channels: int


FRONTNET_SIZES = {
    "160x32": FrontnetSize(96, 160, 32),
    "160x16": FrontnetSize(96, 160, 16),
    "80x32": FrontnetSize(48, 80, 32),
}


class FrontnetBlock(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, without skip: x[N,C,H,W] -> y[N,K,H/2,W/2]."""

    def __init__(self, C: int, K: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(C, K, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(K)
        self.conv2 = nn.Conv2d(K, K, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(K)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,H,W] -> y[N,K,H/2,W/2]."""
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class Frontnet(nn.Module):
    """Pose of a person x[N,1,H,W] -> y[N,4]: x, y, z [m] and phi [rad].

    Args:
        size: "160x32", "160x16" or "80x32".
        dropout: share of features dropped while the model is in train mode.
    """

    def __init__(self, size: str = "160x32", dropout: float = 0.5) -> None:
        super().__init__()
        if size not in FRONTNET_SIZES:
            raise BadOption(f"Frontnet has no size {size!r}", hint=nearest(size, FRONTNET_SIZES))
        spec = FRONTNET_SIZES[size]
        C, H, W = spec.channels, spec.height // 4, spec.width // 4
        for _ in range(3):  # an odd side is rounded up: 3x3, stride 2, one zero on every side
            H, W = -(-H // 2), -(-W // 2)
        self.conv1 = nn.Conv2d(1, C, 5, 2, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(C)
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(
            FrontnetBlock(C, C), FrontnetBlock(C, 2 * C), FrontnetBlock(2 * C, 4 * C)
        )
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(4 * C * H * W, 4)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,1,H,W] -> y[N,4]."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))  # [N,C,H/4,W/4]
        y: Tensor = self.fc1(self.dropout(torch.flatten(self.blocks(x), 1)))
        return y
