# SPDX-License-Identifier: Apache-2.0
"""What learns, as an object that chooses it from a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Update:
    """A model with what learns in it.

    Args:
        model: what requires grad learns.
        channels: input channels that learn, by name of a weight, in rising order; of the weights
            that are not listed all do.
    """

    model: nn.Module
    channels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class UpdatePolicy(Protocol):
    """Chooses what learns."""

    def choose(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Update:
        """Works on a copy: the model is not changed.

        Args:
            model: of the user.
            inputs: of one example, for the order and the shapes of its layers.
        """
