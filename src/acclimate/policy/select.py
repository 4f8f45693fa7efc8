# SPDX-License-Identifier: Apache-2.0
"""Policies that train whole parameters."""

from __future__ import annotations

from dataclasses import dataclass

from acclimate.errors import BadOption
from acclimate.policy.draft import Draft, Layer
from acclimate.policy.policy import Policy


@dataclass(frozen=True)
class All(Policy):
    """Every parameter."""

    def mark(self, draft: Draft) -> None:
        """Marks all parameters."""
        for parameter in draft.model.parameters():
            draft.train(parameter)


@dataclass(frozen=True)
class Last(Policy):
    """The last k layers with weights, in the order in which they run, and the norms among them.

    Args:
        k: number of layers.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise BadOption(f"Last({self.k!r}) trains no layer", hint="Last(2)")

    def mark(self, draft: Draft) -> None:
        """Marks everything from the first of these layers on."""
        for layer in last_layers(draft, self.k):
            for parameter in layer.parameters:
                draft.train(parameter)


@dataclass(frozen=True)
class Head(Policy):
    """The last layer with weights, and a norm after it."""

    def mark(self, draft: Draft) -> None:
        """Marks the last layer."""
        Last(1).mark(draft)


@dataclass(frozen=True)
class BiasOnly(Policy):
    """Biases: gradients of biases need no input of their layer, so less is kept for backward.

    The beta of a norm is a bias too: a BatchNorm that is folded leaves it to the layer before.

    Args:
        head: train the weights of the last layer as well.
        last: only the biases of that many of the last layers; None for all.

    Source: Cai et al., "TinyTL: reduce memory, not parameters", arXiv:2007.11622.
    """

    head: bool = False
    last: int | None = None

    def __post_init__(self) -> None:
        if self.last is not None and (not isinstance(self.last, int) or self.last < 1):
            raise BadOption(f"last={self.last!r} leaves no layer", hint="BiasOnly(last=4)")

    def mark(self, draft: Draft) -> None:
        """Marks the biases.

        Raises:
            BadOption: there are none.
        """
        layers = draft.layers if self.last is None else last_layers(draft, self.last)
        learning = {id(parameter) for layer in layers for parameter in layer.parameters}
        found = [
            parameter
            for name, parameter in draft.model.named_parameters()
            if "bias" in name.rpartition(".")[2] and id(parameter) in learning
        ]
        if not found:
            raise BadOption(
                "none of the layers has a bias",
                found=", ".join(layer.name for layer in layers[-6:]),
                hint="nn.Conv2d(..., bias=True), or update=ac.Head()",
            )
        for parameter in found:
            draft.train(parameter)
        if self.head:
            Head().mark(draft)


class Layers(Policy):
    """The modules of these names with all that is in them: `Layers("decoder0", "ups0")`."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        if not names or not all(isinstance(name, str) for name in names):
            raise BadOption(
                "Layers takes names of modules", found=repr(names), hint='Layers("fc1")'
            )
        self.names = names

    def mark(self, draft: Draft) -> None:
        """Marks the parameters of the modules.

        Raises:
            BadOption: the model has no such module, or it has no parameters.
        """
        for name in self.names:
            parameters = list(draft.find(name).parameters())
            if not parameters:
                raise BadOption(
                    f"{name} has no parameters",
                    found=type(draft.find(name)).__name__,
                    hint=_hint(draft),
                )
            for parameter in parameters:
                draft.train(parameter)

    def __repr__(self) -> str:
        return f"Layers({', '.join(map(repr, self.names))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layers) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)


def _hint(draft: Draft) -> str:
    return f"layers with parameters: {', '.join(layer.name for layer in draft.layers)}"


def last_layers(draft: Draft, k: int) -> tuple[Layer, ...]:
    """The layers from the k-th last one with weights on.

    Raises:
        BadOption: the model has fewer layers with weights.
    """
    weighted = [i for i, layer in enumerate(draft.layers) if layer.weighted]
    if len(weighted) < k:
        raise BadOption(
            f"the model has {len(weighted)} layers with weights, not {k}",
            found=", ".join(draft.layers[i].name for i in weighted),
            hint=f"Last({len(weighted)})" if weighted else "ac.All()",
        )
    return draft.layers[weighted[-k] :]
