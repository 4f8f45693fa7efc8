# SPDX-License-Identifier: Apache-2.0
"""Losses by name. Each takes (outputs, target) and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from acclimate.errors import BadOption, nearest

Loss = Callable[..., Tensor]


def berhu(prediction: Tensor, target: Tensor) -> Tensor:
    """Reverse Huber loss: |r| below C, (r^2 + C^2) / (2 C) above it, C = 0.2 max |r|; mean.

    NOTE: one published implementation has r^2 - C^2, which makes the value jump at C; its gradient
    is the same.

    Source: Laina et al., "Deeper depth prediction with fully convolutional residual networks",
    2016.
    """
    error = (prediction - target).abs()
    limit = (0.2 * error.max()).detach()
    quadratic = (error * error + limit * limit) / (2.0 * limit + 1e-12)
    return torch.where(error <= limit, error, quadratic).mean()


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "berhu": berhu,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
}


def find_loss(loss: str | Loss) -> Loss:
    """Returns the loss of that name, or the callable itself.

    Raises:
        BadOption: no loss has that name.
    """
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise BadOption(
            f"unknown loss {loss!r}",
            hint=f"{nearest(str(loss), LOSSES)}; or pass a function of (outputs, target)",
        )
    return LOSSES[loss]
