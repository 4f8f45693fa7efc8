# SPDX-License-Identifier: Apache-2.0
"""The Pareto front: what is not beaten in everything at once."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(costs: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Numbers of the points that no other point dominates.

    A point dominates another if no cost of it is larger and one is smaller; equal points stay.

    Args:
        costs: of every point, as many for each; less is better.
    """
    return tuple(
        number
        for number, mine in enumerate(costs)
        if not any(_dominates(other, mine) for other in costs)
    )


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
