# SPDX-License-Identifier: Apache-2.0
"""uPyD-Net: depth from one 48 x 48 colour image.

Source: arXiv:2512.00086; the layers of
idsia-robotics/ultralow-power-monocular-depth-ondevice-learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

SLOPE = 0.125  # of every leaky ReLU


def conv_chain(
    channels: Sequence[int], stride: int = 1, last: nn.Module | None = None
) -> nn.Sequential:
    """3x3 convolutions and leaky ReLU, the first one strided; `last` replaces the last ReLU."""
    layers: list[nn.Module] = []
    for i, (C, K) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(C, K, 3, stride if i == 0 else 1, 1), nn.LeakyReLU(SLOPE)]
    if last is not None:
        layers[-1] = last
    return nn.Sequential(*layers)


class UPyDNet(nn.Module):
    """Disparity map x[N,3,48,48] -> y[N,1,48,48], not negative.

    The parts are the units that a sparse update freezes: encoder; decoder0 with ups0; decoder1 with
    ups1; decoder2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            [conv_chain((3, 8, 8)), conv_chain((8, 16, 16), 2), conv_chain((16, 32, 32), 2)]
        )
        self.decoder0 = conv_chain((32, 32, 32, 32), last=nn.Identity())
        self.ups0 = nn.ConvTranspose2d(32, 32, 2, 2)
        self.decoder1 = conv_chain((48, 32, 32, 32), last=nn.Identity())
        self.ups1 = nn.ConvTranspose2d(32, 32, 2, 2)
        self.decoder2 = conv_chain((40, 32, 32, 1), last=nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """x[N,3,48,48] -> y[N,1,48,48]."""
        skip8 = self.encoder[0](x)  # [N,8,48,48]
        skip16 = self.encoder[1](skip8)  # [N,16,24,24]
        x = self.decoder0(self.encoder[2](skip16))  # [N,32,12,12]
        x = self.decoder1(torch.cat((skip16, self.ups0(x)), 1))  # [N,32,24,24]
        y: Tensor = self.decoder2(torch.cat((skip8, self.ups1(x)), 1))
        return y
