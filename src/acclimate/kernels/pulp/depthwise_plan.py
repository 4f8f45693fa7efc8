# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolutions as calls of kernels: ways to do it, and their cost.

Kernels with more taps than registers take several passes, each with some of the taps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from math import inf

import numpy as np

from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.depthwise_axis import Axis
from acclimate.kernels.pulp.depthwise_cut import depth, estimate, written
from acclimate.kernels.pulp.depthwise_strip import Pair
from acclimate.kernels.pulp.partition import bounds, even
from acclimate.kernels.pulp.recipe import BARRIER_CYCLES
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice

_WORD = 4
_WIDEST = 16
_MOST_TAPS = 22  # of a pass: fewer than registers
_MOST_PASSES = 16
_MOST_CODE = 8000  # instructions of a call
_SHARED_FORMS = 16  # for which sharing channels is looked at
_CHANNEL_SLOTS = 26.0
_CALL_SLOTS = 60.0
_CODE_SLOTS = 0.3  # to fetch an instruction for the first time
SUM_SLOTS = 8.0  # to add up the parts of one weight

_Form = tuple[int, int, int, int, int]  # a choice without its width


@dataclass(frozen=True)
class Problem:
    """A depthwise convolution.

    Args:
        axes: rows and columns, with all taps and all targets.
        channels: of both planes.
        samples: of both planes.
        source: rows and columns of the plane that is loaded.
        target: of the plane that is written, or that the gradient of the weights reads.
        weights: the gradient of the weights is wanted.
        result: what becomes of the sums; its bounds and its bias are for images only.
        names: operands of source, target, weights, bias and rate; empty for none.
    """

    axes: tuple[Axis, Axis]
    channels: int
    samples: int
    source: Pair
    target: Pair
    weights: bool
    result: Result
    names: tuple[str, str, str, str, str]

    @property
    def taps(self) -> Pair:
        """Rows and columns of the kernel."""
        return self.axes[0].taps[1], self.axes[1].taps[1]


@dataclass(frozen=True)
class Pass:
    """Some of the taps: their axes, along the walk and across, and what becomes of the sums."""

    walk: Axis
    across: Axis
    result: Result
    every: bool

    @property
    def per_target(self) -> float:
        """Accesses and other instructions per target."""
        result = self.result
        clamps = (result.lo > -inf) + (result.hi < inf)
        return 1.0 + (result.kind == "add" and not result.sums) + result.sums + clamps


def cut_axis(problem: Problem, along: int, cut: int) -> Axis:
    """The axis whose targets cores share."""
    return problem.axes[along if not cut else 1 - along]


def passes(problem: Problem, choice: Choice, targets: Pair | None = None) -> list[Pass]:
    """All passes of a choice; `targets` is a range of the axis that is cut."""
    walk, across = problem.axes[:: -1 if choice["along"] else 1]
    if targets is not None and choice["cut"]:
        across = replace(across, targets=targets)
    elif targets is not None:
        walk = replace(walk, targets=targets)
    groups = [
        [*pairwise(cuts)]
        for cuts in (
            _cuts(walk.taps[1], choice["tap_rows"]),
            _cuts(across.taps[1], choice["tap_columns"]),
        )
    ]
    found = []
    pairs = [*product(*groups)]
    last = len(pairs) - 1
    for number, (rows, columns) in enumerate(pairs):
        result = problem.result
        if problem.weights:
            result = replace(result, sums=result.sums and number == 0)
            every = result.sums
        else:
            every = number == 0 or (number == last and (result.lo, result.hi) != (-inf, inf))
            if number:
                result = replace(result, kind="add", bias="")
            if number < last:
                result = replace(result, lo=-inf, hi=inf)
        found.append(Pass(replace(walk, taps=rows), replace(across, taps=columns), result, every))
    return found


def _cuts(count: int, most: int) -> list[int]:
    return [0, *np.cumsum(even(count, most)).tolist()]


def widest(one: Pass, core: Core) -> int:
    """Most columns of a strip that fit into registers."""
    taps = (one.walk.taps[1] - one.walk.taps[0]) * (one.across.taps[1] - one.across.taps[0])
    result = one.result
    zero = not core.float_registers  # a bound of 0 needs no register
    bounds_ = sum(
        abs(limit) != inf and not (zero and limit == 0) for limit in (result.lo, result.hi)
    )
    free = (
        (32 if core.float_registers else 28) - taps - 2 - bounds_ - bool(result.bias or result.sums)
    )
    deep = depth(one.walk, one.every)
    return free // deep if deep else _WIDEST


def choices(problem: Problem, core: Core) -> Iterator[Choice]:
    """Ways to compute a problem, the most promising first."""
    score = _Scores(problem, core)
    whole = _ranked(score, _forms(problem, core))
    best = [dict(choice.items) for _, _, choice in whole[:_SHARED_FORMS]]
    shared = [
        Choice.of(**{**form, "cut": cut, "parts": parts})
        for form in best
        for cut, parts in _parts(problem, core, form["along"])
    ]
    for _, _, choice in sorted([*whole, *_ranked(score, shared)], key=lambda item: item[:2]):
        yield choice


def _ranked(score: _Scores, some: Iterable[Choice]) -> list[tuple[float, str, Choice]]:
    """Choices with their cost, the cheapest first, without those that take too much code."""
    scored = [(score.of(choice), str(choice), choice) for choice in some]
    return sorted((item for item in scored if item[0] < inf), key=lambda item: item[:2])


def _forms(problem: Problem, core: Core) -> Iterator[Choice]:
    """Choices in which no two cores share a channel."""
    for along, (rows, columns) in product((0, 1), product(*map(_group_sizes, problem.taps))):
        number = -(-problem.taps[0] // rows) * -(-problem.taps[1] // columns)
        if rows * columns <= _MOST_TAPS and number <= _MOST_PASSES:
            tap_rows, tap_columns = (columns, rows) if along else (rows, columns)
            form = {"along": along, "tap_rows": tap_rows, "tap_columns": tap_columns}
            yield from _widths(problem, core, {**form, "cut": 0, "parts": 1})


def _group_sizes(count: int) -> list[int]:
    return sorted({-(-count // parts) for parts in range(1, count + 1)}, reverse=True)


def _parts(problem: Problem, core: Core, along: int) -> Iterator[Pair]:
    """Axes that cores may share (0 along the walk, 1 across), and into how many ranges."""
    if problem.channels % core.cores == 0:
        return
    for cut in (0, 1):
        first, end = cut_axis(problem, along, cut).targets
        for parts in range(2, min(core.cores, end - first) + 1):
            if core.cores % parts == 0:
                yield cut, parts


def _widths(problem: Problem, core: Core, form: dict[str, int]) -> Iterator[Choice]:
    """A choice per number of strips."""
    every = passes(problem, Choice.of(**form, width=1))
    fits = [widest(one, core) for one in every]
    if min(fits) < 1:
        return
    first, end = every[0].across.targets
    largest = min(max(fits), _WIDEST, end - first)
    seen = set()
    for width in range(largest, 0, -1):
        strips = -(-(end - first) // width)
        if strips not in seen:
            seen.add(strips)
            yield Choice.of(**form, width=width)


@dataclass
class _Scores:
    """Rates choices, by issue slots of the busiest core.

    Args:
        problem: to compute.
        core: that runs a part.
    """

    problem: Problem
    core: Core
    _passes: dict[_Form, list[tuple[Pass, int]]] = field(default_factory=dict)

    def of(self, choice: Choice) -> float:
        """About; infinite where there is too much code."""
        problem, parts = self.problem, choice["parts"]
        source, target, _ = steps_of_cells(problem, choice["along"])
        total, fixed, code = 0.0, 0.0, 0.0
        for one, most in self._of(choice):
            args = (one.walk, one.across, min(choice["width"], most), one.every, one.per_target)
            total += problem.samples * estimate(*args, source, target) + _CHANNEL_SLOTS
            fixed += _CALL_SLOTS
            code += written(*args) * (1 if parts == 1 else min(parts, 3))
        if code > _MOST_CODE:
            return inf
        if problem.weights and parts > 1:
            fixed += BARRIER_CYCLES + SUM_SLOTS * sum_words(problem) / self.core.cores
        channels = -(-problem.channels // (self.core.cores // parts))
        return total * channels + fixed + _CODE_SLOTS * code

    def _of(self, choice: Choice) -> list[tuple[Pass, int]]:
        """Passes over the part in the middle, each with its widest strip: for all widths alike."""
        form = (
            choice["along"],
            choice["tap_rows"],
            choice["tap_columns"],
            choice["cut"],
            choice["parts"],
        )
        if form not in self._passes:
            parts = choice["parts"]
            first, end = cut_axis(self.problem, choice["along"], choice["cut"]).targets
            middle = [first + at for at in bounds(end - first, parts)[parts // 2 : parts // 2 + 2]]
            found = passes(self.problem, choice, (middle[0], middle[1]))
            self._passes[form] = [(one, widest(one, self.core)) for one in found]
        return self._passes[form]


def steps_of_cells(problem: Problem, along: int) -> tuple[Pair, Pair, Pair]:
    """Bytes from cell to cell of source, target and kernel, along the walk and across."""
    pairs = [
        (width * _WORD, _WORD) for width in (problem.source[1], problem.target[1], problem.taps[1])
    ]
    first, second, third = [(b, a) if along else (a, b) for a, b in pairs]
    return first, second, third


def sum_words(problem: Problem) -> int:
    """Words of the sums of one part: all weights, then all sums of dy."""
    return problem.channels * (problem.taps[0] * problem.taps[1] + problem.result.sums)
