# SPDX-License-Identifier: Apache-2.0
"""PyTorch in the place of a device: what the generated C is compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from acclimate.data.clips import F32, I64


class TorchDevice:
    """Trains a classifier by plain SGD, batch norm frozen, as the generated C does.

    Args:
        model: changes in place; what learns is what requires grad.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()
        self._learns = [p for p in model.parameters() if p.requires_grad]

    def train(self, x: F32, y: I64, lr: float) -> float:
        """One step on the mean cross entropy of x[N,...], y[N]; returns the loss before it."""
        loss = F.cross_entropy(self.model(torch.from_numpy(x)), torch.from_numpy(y))
        gradients = torch.autograd.grad(loss, self._learns)
        with torch.no_grad():
            for parameter, gradient in zip(self._learns, gradients, strict=True):
                parameter.sub_(lr * gradient)
        return loss.item()

    def predict(self, x: F32) -> F32:
        """Scores of x[N,...]: s[N,classes]."""
        with torch.no_grad():
            scores: F32 = self.model(torch.from_numpy(x)).numpy()
        return scores
