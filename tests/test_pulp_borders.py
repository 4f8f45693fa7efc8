# SPDX-License-Identifier: Apache-2.0
"""Pieces of images: which cells see which taps, and what is computed at borders."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.kernels.conv2d.op import CONV2D_BWD_W, CONV2D_BWD_X, CONV2D_FWD
from acclimate.kernels.conv2d.pulp import FORWARD, INPUT_GRADIENT
from acclimate.kernels.conv2d.pulp_geometry import Piece, split
from acclimate.kernels.conv2d.pulp_weights import WEIGHT_GRADIENT
from acclimate.kernels.pulp.contract import Contraction
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.recipe import Contractions, Together
from acclimate.kernels.pulp.work import Choice, Request
from acclimate.program import OpCase, operator_program
from acclimate.tune.select import most_promising, request_of

FUZZ = settings(deadline=None, max_examples=150, derandomize=True, database=None)
PADDED = {
    "N": 1, "C": 16, "H": 8, "W": 8, "K": 16, "R": 3, "S": 3, "P": 8, "Q": 8, "groups": 1,
    "stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1, "dilation_h": 1, "dilation_w": 1,
}  # fmt: skip


def request(op: Any, case: dict[str, int], without: str = "") -> Request:
    (call,) = (
        operator_program("x", {"run": [OpCase(op, case, frozenset(without.split()))]})
        .entries["run"]
        .calls
    )
    return request_of(call, Core(8))


def problems(generator: Contractions, asked: Request, **form: int) -> list[Contraction]:
    recipes = generator.recipes(asked, Choice.of(**form, unroll=1))
    steps = [step for recipe in recipes for step, _ in recipe.flat()]
    (shared,) = [step for step in steps if isinstance(step, Together)]
    return [*shared.problems]


def terms(found: list[Contraction]) -> int:
    return sum(p.taps.count * p.columns[0].size * len(p.rows[0]) for p in found)


def seen(piece: Piece, size: int) -> list[tuple[int, int]]:
    """(cell, tap) of all products, those with the outside left out."""
    return [
        (piece.first + n * piece.step, tap)
        for n in range(piece.count)
        for tap, at in piece.taps
        if 0 <= at + n * piece.move < size
    ]


@FUZZ
@given(
    st.integers(0, 5), st.integers(1, 20), st.integers(1, 3), st.integers(1, 6), st.integers(-6, 6),
    st.integers(1, 4), st.integers(1, 20),
)  # fmt: skip
def test_exact_pieces_see_what_is_inside_and_nothing_else(
    first: int, count: int, step: int, taps: int, origin: int, move: int, size: int
) -> None:
    places = [(tap, origin + 2 * tap) for tap in range(taps)]
    exact = split((first, count, step), places, move, size, True)
    (whole,) = split((first, count, step), places, move, size, False)
    cells = [piece.first + n * piece.step for piece in exact for n in range(piece.count)]
    assert cells == [first + n * step for n in range(count)]
    assert all(
        0 <= at + n * piece.move < size
        for piece in exact
        for n in range(piece.count)
        for _, at in piece.taps
    )
    products = [pair for piece in exact for pair in seen(piece, size)]
    assert sorted(products) == sorted(seen(whole, size))
    assert whole.whole == (len(exact) == 1 and len(exact[0].taps) == len(whole.taps))


def test_exact_borders_multiply_no_zeros_and_copy_nothing() -> None:
    inside = (3 * 8 - 2) ** 2  # of the 24 x 24 pairs of pixel and tap
    for op, generator in ((CONV2D_FWD, FORWARD), (CONV2D_BWD_X, INPUT_GRADIENT)):
        asked = request(op, PADDED)
        assert terms(problems(generator, asked)) == 16 * 16 * 24 * 24
        assert terms(problems(generator, asked, exact=3)) == 16 * 16 * inside
        assert terms(problems(generator, asked, exact=1)) == 16 * 16 * 24 * 22
        recipes = generator.recipes(asked, Choice.of(exact=3, unroll=1))
        assert all(recipe.scratch == 0 for recipe in recipes)
    asked = request(CONV2D_BWD_W, PADDED)
    found = problems(WEIGHT_GRADIENT, asked, exact=3)
    assert terms(found) == 16 * 16 * inside
    assert sum(problem.result.sums for problem in found) == 1  # db comes once


def test_exact_borders_are_taken_where_they_are_worth_it() -> None:
    for op in (CONV2D_FWD, CONV2D_BWD_X, CONV2D_BWD_W):
        kernel = next(k for k in op.kernels if k.symbol.endswith("_pulp"))
        found = most_promising(kernel, request(op, PADDED))
        assert found is not None and found[0].get("exact", 0) == 3, op.name
        valid = {**PADDED, "pad_top": 0, "pad_left": 0, "P": 6, "Q": 6}
        if op is CONV2D_FWD:  # nothing is outside: there is one form
            found = most_promising(kernel, request(op, valid))
            assert found is not None and found[0].get("exact", 0) == 0


def test_weights_that_see_only_padding_are_computed_with_the_rest() -> None:
    blind = {**PADDED, "H": 1, "P": 1, "pad_top": 1}  # the outer rows of the kernel see nothing
    assert WEIGHT_GRADIENT.forms(request(CONV2D_BWD_W, blind)) == [{}]
