# SPDX-License-Identifier: Apache-2.0
"""DS-CNN: depthwise separable convolutions that spot keywords in 49 x 10 MFCC.

Source: Zhang et al. 2017, arXiv:1711.07128; layer lists of ARM-software/ML-KWS-for-MCU. MLPerf Tiny
uses size S. Convolutions keep their bias beside the batch norm, as in the domain-adaptation system
whose storage column (23.7, 138.1, 416.7 kB) counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from acclimate.errors import BadOption, nearest
from acclimate.models.separable import DepthwiseSeparable, global_average, same_conv2d

FRAMES, COEFFICIENTS = 49, 10


@dataclass(frozen=True)
class DscnnSize:
    """One size: channels, stride of conv1 in (time, frequency), stride of each block, input."""

    channels: int
    conv1_stride: tuple[int, int]
    block_strides: tuple[tuple[int, int], ...]
    shape: tuple[int, int] = (FRAMES, COEFFICIENTS)


DSCNN_SIZES = {
    # 195,136 multiply-accumulates a step, as TrainDeeploy's: it follows that maps have 32 pixels.
    "XS": DscnnSize(16, (2, 2), ((1, 1),) * 4, (16, 8)),
    "S": DscnnSize(64, (2, 2), ((1, 1),) * 4),
    "M": DscnnSize(172, (2, 1), ((2, 2), *((1, 1),) * 3)),
    "L": DscnnSize(276, (2, 1), ((2, 2), *((1, 1),) * 4)),
}


class DSCNN(nn.Module):
    """Keyword spotter x[N,1,49,10] -> logits[N,classes]; size XS takes x[N,1,16,8].

    Args:
        size: "XS", "S", "M" or "L".
        classes: keywords, silence and unknown.
    """

    def __init__(self, size: str = "S", classes: int = 12) -> None:
        super().__init__()
        if size not in DSCNN_SIZES:
            raise BadOption(f"DSCNN has no size {size!r}", hint=nearest(size, DSCNN_SIZES))
        spec = DSCNN_SIZES[size]
        C, (step_t, step_f) = spec.channels, spec.conv1_stride
        H, W = spec.shape
        self.pad1, self.conv1 = same_conv2d(1, C, (10, 4), spec.conv1_stride, (H, W))
        self.bn1 = nn.BatchNorm2d(C)
        H, W = -(-H // step_t), -(-W // step_f)
        blocks = []
        for stride in spec.block_strides:
            blocks.append(DepthwiseSeparable(C, C, stride, same_size=(H, W)))
            H, W = -(-H // stride[0]), -(-W // stride[1])
        self.blocks = nn.Sequential(*blocks)
        self.fc1 = nn.Linear(C, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x[N,1,*shape] -> logits[N,classes]."""
        x = F.relu(self.bn1(self.conv1(self.pad1(x))))  # [N,C,25,5] (S), [N,C,25,10] (M, L)
        logits: Tensor = self.fc1(global_average(self.blocks(x)))
        return logits
