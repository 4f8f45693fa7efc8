# SPDX-License-Identifier: Apache-2.0
"""Batched matrix products as contractions on a PULP core."""

from __future__ import annotations

from acclimate.kernels.pulp.contract import Contraction, grid, line
from acclimate.kernels.pulp.recipe import Contractions, Recipe, loops, unrolled
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request


def _product(request: Request, choice: Choice, a_turned: bool, b_turned: bool) -> list[Recipe]:
    batch, m, k, n = (int(request.values[name]) for name in ("B", "M", "K", "N"))
    by_row, by_tap = (1, m) if a_turned else (k, 1)
    by_column, down = (k, 1) if b_turned else (1, n)
    names = ("a", "b", "y")
    if batch > 1:
        names = (f"a + i * {m * k}", f"b + i * {k * n}", f"y + i * {m * n}")
    problem = Contraction(
        (line(m, by_row), line(m, n)),
        (grid((1, 0), (n, by_column)), grid((1, 0), (n, 1))),
        unrolled((0,), (0,), loops((k, by_tap, down)), choice["unroll"]),
        Result("set"),
        (*names, "", ""),
    )
    return [Recipe([problem], ("i", 0, batch) if batch > 1 else None)]


NN = Contractions(lambda request, choice: _product(request, choice, False, False))
NT = Contractions(lambda request, choice: _product(request, choice, False, True))
TN = Contractions(lambda request, choice: _product(request, choice, True, False))
