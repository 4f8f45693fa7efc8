# SPDX-License-Identifier: Apache-2.0
"""MobileNetV1 of width 0.25: the person detector of MLPerf Tiny (visual wake words).

Source: Howard et al. 2017, arXiv:1704.04861; widths of the MLPerf Tiny model. NOTE: strided layers
pad one zero on every side, as PyTorch models do; Keras pads only the far side. MACs are the same.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from acclimate.models.separable import DepthwiseSeparable, global_average

# (output channels at width 1.0, stride) of the thirteen blocks.
BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


class MobileNetV1(nn.Module):
    """Image classifier x[N,3,H,W] -> logits[N,classes], made for 96x96.

    Args:
        width: scales every number of channels.
        classes: person or no person.
    """

    def __init__(self, width: float = 0.25, classes: int = 2) -> None:
        super().__init__()
        C = int(32 * width)
        self.conv1 = nn.Conv2d(3, C, 3, 2, 1)
        self.bn1 = nn.BatchNorm2d(C)
        blocks = []
        for channels, stride in BLOCKS:
            K = int(channels * width)
            blocks.append(DepthwiseSeparable(C, K, (stride, stride)))
            C = K
        self.blocks = nn.Sequential(*blocks)
        self.fc1 = nn.Linear(C, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,3,H,W] -> logits[N,classes]."""
        x = F.relu(self.bn1(self.conv1(x)))  # [N,8,48,48]
        logits: Tensor = self.fc1(global_average(self.blocks(x)))  # [N,256,3,3] -> [N,256]
        return logits
