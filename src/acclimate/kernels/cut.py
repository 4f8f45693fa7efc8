# SPDX-License-Identifier: Apache-2.0
"""How a call of an operator is computed part by part, so that its operands fit a small memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Range = tuple[int, int]  # first index, and the one after the last


def _nothing() -> Mapping[str, Range | int]:
    return {}


def _always() -> bool:
    return True


def _one() -> int:
    return 1


@dataclass(frozen=True)
class Cut:
    """A dim of an operator whose range can be cut into parts.

    Args:
        dim: of the signature. Every operand that has it is cut with it.
        along: of dims, attributes, `start` and `stop` of a part; ranges of further dims that the
            part needs, and attributes (plain numbers) that differ from those of the whole.
        when: of dims and attributes; False where the dim cannot be cut.
        grain: of dims and attributes; parts start at multiples of it.
        adds: the parts share outputs that do not have the dim: every part after the first adds to
            them.
        once: optional operands that belong to the first part alone.
    """

    dim: str
    along: Callable[..., Mapping[str, Range | int]] = _nothing
    when: Callable[..., bool] = _always
    grain: Callable[..., int] = _one
    adds: bool = False
    once: frozenset[str] = frozenset()
