# SPDX-License-Identifier: Apache-2.0
"""Convolutions of eight-bit integers as contractions on a PULP core: terms are words of four bytes.

Of pixels [N,H,W,C] a row of a window is one run of S C bytes, as long as its columns lie side by
side; of planes it is a run of S bytes. What a run has too many for whole words meets weights that
are zero. x has its zeros around it, so that there are no borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from acclimate.kernels.pulp.contract import Contraction
from acclimate.kernels.pulp.partition import Numbers
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.recipe import Barrier, Contractions, Recipe, Statement, Step, most_taps
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request, Work

_WORD = 4
_CLEAR_CYCLES = 1.5  # per word


@dataclass(frozen=True)
class _Steps:
    """Bytes of x: from row to row, from column to column, of a channel's plane, of a sample."""

    row: int
    column: int
    plane: int
    sample: int


@dataclass(frozen=True)
class Int8Generator:
    """Generator of the calls of one operator.

    Args:
        depthwise: x is planes, each with a kernel of its own; else pixels.
        planes: y is planes.
        x: dtype.
        y: dtype.
    """

    depthwise: bool
    planes: bool
    x: str
    y: str

    def choices(self, request: Request) -> Iterator[Choice]:
        """Ways to compute a call, the most promising first; none where words leave a row of x."""
        if self._in_words(request):
            yield from Contractions(self._recipes).choices(request)

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: this choice does not fit the core.
        """
        return Contractions(self._recipes).write(request, choice)

    def _in_words(self, request: Request) -> bool:
        """Runs are whole words inside the rows of x, and columns of a window lie side by side."""
        v, steps = request.values, self._steps(request)
        if not self.depthwise and v["C"] % _WORD == 0:
            return True
        last = (v["first_w"] + (v["Q"] - 1) * v["stride_w"]) * steps.column + v["T"]
        return bool((v["dilation_w"] == 1 or v["S"] == 1) and last <= steps.row)

    def _steps(self, request: Request) -> _Steps:
        v = request.values
        depth = 1 if self.depthwise else v["C"]
        row = v["W"] * depth
        return _Steps(row, depth, v["H"] * row, v["C"] * v["H"] * v["W"])

    def _recipes(self, request: Request, choice: Choice) -> list[Recipe]:
        v, cores = request.values, request.core.cores
        made = v["C"] if self.depthwise else v["K"]
        image = made * v["U"] * v["V"]
        steps: list[Step] = []
        if (v["U"], v["V"]) != (v["P"], v["Q"]):
            core = f"core, {cores}" if cores > 1 else "0, 1"
            text = f"ac_clear_int8({_at('y', image, v['N'])}, {image}, {core});"
            spent = 40 + _CLEAR_CYCLES * image / _WORD / cores
            steps = [Statement(text, spent), Barrier()]
        steps.append(self._problem(request, made))
        return [Recipe(steps, None if v["N"] == 1 else ("n", 0, v["N"]))]

    def _problem(self, request: Request, made: int) -> Contraction:
        """One sample: rows are channels of y, columns its pixels."""
        v, x = request.values, self._steps(request)
        pixel, channel = v["y_pixel"], v["y_channel"]
        kernel = v["R"] * v["T"]
        first = v["first_h"] * x.row + v["first_w"] * x.column
        seen = _grid((v["P"], v["stride_h"] * x.row), (v["Q"], v["stride_w"] * x.column))
        put = _grid((v["P"], v["V"] * pixel), (v["Q"], pixel))
        channels = np.arange(made)
        return Contraction(
            (channels * kernel, channels * channel),
            (seen + first, put + (v["top"] * v["V"] + v["left"]) * pixel),
            self._taps(request),
            Result("int8", bias="rows", dtypes=(self.x, self.y)),
            (
                "w",
                _at("x", x.sample, v["N"]),
                _at("y", made * v["U"] * v["V"], v["N"]),
                "scale",
                "",
            ),
            channels * x.plane if self.depthwise else None,
        )

    def _taps(self, request: Request) -> Taps:
        """Words of a window, in a loop over them and one over the rows of the kernel."""
        v, x = request.values, self._steps(request)
        down = (v["R"], v["T"], v["dilation_h"] * x.row)
        if v["dilation_w"] > 1 and v["S"] > 1:  # a run for each column
            each = v["C"] if not self.depthwise else _WORD
            apart = range(v["S"])
            return Taps(
                tuple(s * each for s in apart),
                tuple(s * v["dilation_w"] * x.column for s in apart),
                _loops((each // _WORD, _WORD, _WORD), down),
            )
        words = v["T"] // _WORD
        if words * v["R"] <= most_taps(request.core):
            places = [(r, n) for r in range(v["R"]) for n in range(words)]
            return Taps(
                tuple(r * down[1] + n * _WORD for r, n in places),
                tuple(r * down[2] + n * _WORD for r, n in places),
                ((1, 0, 0),),
            )
        return Taps((0,), (0,), _loops((words, _WORD, _WORD), down))


def _loops(*counts: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """Those that run more than once, in bytes; one at least."""
    return tuple(loop for loop in counts if loop[0] > 1) or ((1, 0, 0),)


def _grid(*axes: tuple[int, int]) -> Numbers:
    """Byte offsets [lines, columns], from counts and steps."""
    (lines, down), (width, right) = axes
    return np.arange(lines)[:, None] * down + np.arange(width) * right


def _at(name: str, sample: int, samples: int) -> str:
    """C of an operand in the loop over samples, given the bytes of each."""
    return f"{name} + n * {sample}" if samples > 1 else name
