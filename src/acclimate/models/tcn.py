# SPDX-License-Identifier: Apache-2.0
"""A small temporal convolutional network: causal, dilated, with skips.

Source: Bai et al. 2018, arXiv:1803.01271, with one convolution per level and no weight norm.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CausalBlock(nn.Module):
    """Dilated causal convolution, ReLU and skip: x[N,C,T] -> y[N,C,T]."""

    def __init__(self, C: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.pad = nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0)
        self.conv = nn.Conv1d(C, C, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,T] -> y[N,C,T]; y at t sees x up to t."""
        return x + F.relu(self.conv(self.pad(x)))


class TCN(nn.Module):
    """Classifier of a signal x[N,C,T] -> logits[N,classes].

    Args:
        C: channels of the signal.
        hidden: channels inside.
        levels: blocks; dilations are 1, 2, 4, ...
        classes: classes of the last step.
    """

    def __init__(self, C: int = 6, hidden: int = 16, levels: int = 4, classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(C, hidden, 1)
        self.blocks = nn.Sequential(*(CausalBlock(hidden, 3, 2**i) for i in range(levels)))
        self.fc1 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C,T] -> logits[N,classes], read at the last step."""
        x = self.blocks(F.relu(self.conv1(x)))  # [N,hidden,T]
        logits: Tensor = self.fc1(x[:, :, -1])
        return logits
