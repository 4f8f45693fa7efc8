# SPDX-License-Identifier: Apache-2.0
"""Auto-encoders of fully connected layers, for anomaly detection in machine sounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class DeepAutoEncoder(nn.Module):
    """Fully connected auto-encoder x[N,widths[0]] -> y[N,widths[-1]].

    The default is the one of MLPerf Tiny: 128 mel bins of 5 frames, squeezed to 8 numbers.

    Args:
        widths: sizes from the input to the output.
        batch_norm: puts a batch norm before the ReLU of each hidden layer.

    Source: mlcommons/tiny, benchmark/training/anomaly_detection/keras_model.py.
    """

    def __init__(
        self,
        widths: Sequence[int] = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640),
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for C, K in pairwise(widths[:-1]):
            layers.append(nn.Linear(C, K))
            layers += [nn.BatchNorm1d(K)] if batch_norm else []
            layers.append(nn.ReLU())
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-2], widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """x[N,C] -> y[N,C]."""
        y: Tensor = self.output(self.hidden(x))
        return y


def tiny_autoencoder() -> DeepAutoEncoder:
    """The auto-encoder 128-64-32-64-64-32-64-128 of published cycle counts; no batch norm."""
    return DeepAutoEncoder((128, 64, 32, 64, 64, 32, 64, 128), batch_norm=False)
