# SPDX-License-Identifier: Apache-2.0
"""A 1-D convolutional network that recognises activities from a 1-s window of motion.

Its layers are our own: they meet the published size of a feature extractor whose layer table is not
public (about 19 571 parameters and 1.2 MMAC on 6 x 100; here 19 537 and 1.13 M).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class HarCNN(nn.Module):
    """Activity classifier x[N,6,T] -> logits[N,classes]: 3 axes each of acceleration and rotation.

    Args:
        classes: of the last layer.
        channels: of the signal, 6 for the network above.

    `features` alone is the extractor (24 numbers) that forward learning puts its own classifier on.
    """

    def __init__(self, classes: int = 5, channels: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 20, 5, padding=2)
        self.conv2 = nn.Conv1d(20, 32, 7, padding=3)
        self.conv3 = nn.Conv1d(32, 48, 7, padding=3)
        self.conv4 = nn.Conv1d(48, 24, 3, padding=1)
        self.fc1 = nn.Linear(24, classes)

    def features(self, x: Tensor) -> Tensor:
        """x[N,6,T] -> features[N,24]."""
        x = F.relu(self.conv2(F.relu(self.conv1(x))))  # [N,32,T]
        x = F.max_pool1d(x, 2)  # [N,32,T/2]
        x = F.max_pool1d(F.relu(self.conv3(x)), 2)  # [N,48,T/4]
        return F.relu(self.conv4(x)).mean(2)  # [N,24]

    def forward(self, x: Tensor) -> Tensor:
        """x[N,6,T] -> logits[N,classes]."""
        logits: Tensor = self.fc1(self.features(x))
        return logits
