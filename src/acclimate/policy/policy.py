# SPDX-License-Identifier: Apache-2.0
"""What every policy can do: choose, be combined, and print itself as code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from acclimate.capture import Update
from acclimate.errors import BadOption
from acclimate.policy.draft import Draft


class Policy(ABC):
    """Chooses what learns. `a | b` trains what either of them trains.

    A policy decides alone: what the model's own `requires_grad` says does not count. The model is
    copied, never changed. Its text is the Python that makes it.
    """

    wraps: ClassVar[bool] = False  # True for policies that put modules around layers

    @abstractmethod
    def mark(self, draft: Draft) -> None:
        """Marks what learns on a copy of the model."""

    def choose(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> Update:
        """A copy of the model in which what learns requires grad.

        Args:
            model: of the user.
            inputs: of one example, for the order and the shapes of the layers.

        Raises:
            BadOption: the model has no such layer, or the layer cannot learn that way.
            NothingToTrain: the policy finds nothing.
        """
        draft = Draft(model, inputs)
        self.mark(draft)
        return draft.finish()

    def __or__(self, other: Policy) -> Combine:
        if not isinstance(other, Policy):
            return NotImplemented
        return Combine(self, other)


class Combine(Policy):
    """Trains what any of several policies trains: `Combine(a, b)`, or `a | b`.

    A weight that one of them trains whole is trained whole; channels of two are joined.
    """

    parts: tuple[Policy, ...]

    def __init__(self, *parts: Policy) -> None:
        for part in parts:
            if not isinstance(part, Policy):
                raise BadOption(
                    "a combination is made of policies", found=repr(part), hint="ac.Head() | ..."
                )
        flat = [p for part in parts for p in (part.parts if isinstance(part, Combine) else [part])]
        self.parts = tuple(flat)

    def mark(self, draft: Draft) -> None:
        """Policies that put modules around layers come last, so that names are the model's."""
        for part in sorted(self.parts, key=lambda part: part.wraps):
            part.mark(draft)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.parts)) if self.parts else "Combine()"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Combine) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)
