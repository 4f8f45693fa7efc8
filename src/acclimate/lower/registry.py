# SPDX-License-Identifier: Apache-2.0
"""Which function lowers which ATen operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from acclimate.lower.context import Lowering

Rule = Callable[..., Any]
_F = TypeVar("_F", bound=Rule)


@dataclass(frozen=True)
class Supported:
    """One line of the reference: an ATen operator and how it is computed."""

    aten: str
    family: str
    rule: Rule


RULES: dict[str, Supported] = {}


def rule(*names: str, family: str) -> Callable[[_F], _F]:
    """Registers a lowering rule: `rule(ctx, *args, **kwargs)` -> value or tuple of values.

    Args:
        names: ATen operators with overload, e.g. `relu.default`; tensors arrive as `Value`.
        family: heading in the reference.
    """

    def register(function: _F) -> _F:
        for name in names:
            if name in RULES:
                raise ValueError(f"two rules for {name}")
            RULES[name] = Supported(name, family, function)
        return function

    return register


__all__ = ["RULES", "Lowering", "Rule", "Supported", "rule"]
