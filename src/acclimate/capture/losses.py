# SPDX-License-Identifier: Apache-2.0
"""Losses by name. Each takes (outputs, target) and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from acclimate.errors import BadOption, nearest
from acclimate.kernels.op import Array

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


@dataclass(frozen=True)
class LwF:
    """Learning without forgetting: a loss that also keeps what the model said before a task.

    loss(z, y) + alpha * KL(softmax(z_old / T) || softmax(z / T)) over the old classes, mean over
    the batch. Its target is (y, z_old): a device computes z_old[N,classes] with `predict` before it
    learns the task, and `LwF.targets` leaves the old classes in it. The memory is that of z_old.

    Source: Li and Hoiem, "Learning without forgetting", ECCV 2016; without their factor T^2.

    Args:
        loss: of the task, a name or a function of (outputs, y).
        alpha: weight of what is kept.
        temperature: T.
    """

    ABSENT: ClassVar[float] = -1e9  # score of a class that was not there

    loss: str | Loss = "cross_entropy"
    alpha: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and self.temperature > 0):
            raise BadOption(
                f"alpha = {self.alpha}, temperature = {self.temperature}",
                hint="alpha is at least 0, temperature above 0",
            )
        find_loss(self.loss)

    def __call__(self, scores: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
        """Loss of scores z[N,classes] for (y, z_old[N,classes])."""
        if not isinstance(target, (tuple, list)) or len(target) != 2:
            raise BadOption(
                "LwF compares with two targets", hint="example=(x, (y, torch.zeros(1, classes)))"
            )
        y, old = target
        known = old > 0.5 * self.ABSENT
        absent = torch.full_like(scores, self.ABSENT)
        p = F.log_softmax(torch.where(known, scores / self.temperature, absent), dim=1)
        q = F.log_softmax(torch.where(known, old / self.temperature, absent), dim=1)
        kept = (q.exp() * (q - p)).sum(1).mean()
        return find_loss(self.loss)(scores, y) + self.alpha * kept

    @classmethod
    def targets(cls, scores: Array, old_classes: Sequence[int]) -> Array:
        """z_old[N,classes] from what `predict` gave: all but the old classes are absent."""
        kept = np.full_like(scores, cls.ABSENT)
        chosen = list(old_classes)
        kept[:, chosen] = scores[:, chosen]
        return kept


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
