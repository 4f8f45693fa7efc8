# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution on a PULP core: no im2col and no copies, whatever kernel and padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from acclimate.kernels.pulp import depthwise_calls, depthwise_plan
from acclimate.kernels.pulp.depthwise_axis import Axis
from acclimate.kernels.pulp.depthwise_plan import Problem
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request, Work


@dataclass(frozen=True)
class Depthwise:
    """Generator of the calls of one operator.

    Args:
        problem: what a request asks for.
    """

    problem: Callable[[Request], Problem]

    def choices(self, request: Request) -> Iterator[Choice]:
        """Ways to compute a call, the most promising first; none of other groups."""
        v = request.values
        if v["groups"] == v["C"] == v["K"]:
            yield from depthwise_plan.choices(self.problem(request), request.core)

    def write(self, request: Request, choice: Choice) -> Work:
        """The code of a call.

        Raises:
            OutOfRegisters: this choice does not fit the core.
        """
        return depthwise_calls.write(self.problem(request), choice, request.core)


def _axes(request: Request, back: bool) -> tuple[Axis, Axis]:
    """Rows and columns; back is from windows to cells."""
    v = request.values
    return (
        Axis(
            v["H"],
            v["P"],
            v["stride_h"],
            v["pad_top"],
            v["dilation_h"],
            (0, v["R"]),
            (0, v["H"] if back else v["P"]),
            back,
        ),
        Axis(
            v["W"],
            v["Q"],
            v["stride_w"],
            v["pad_left"],
            v["dilation_w"],
            (0, v["S"]),
            (0, v["W"] if back else v["Q"]),
            back,
        ),
    )


def _image(request: Request, back: bool, names: tuple[str, str]) -> Problem:
    v = request.values
    b = "b" if "b" in request.operands else ""
    cells, windows = (v["H"], v["W"]), (v["P"], v["Q"])
    return Problem(
        _axes(request, back),
        v["C"],
        v["N"],
        windows if back else cells,
        cells if back else windows,
        False,
        Result("set", v["lo"], v["hi"], bias="rows" if b else ""),
        (*names, "w", b, ""),
    )


def _forward(request: Request) -> Problem:
    return _image(request, False, ("x", "y"))


def _input_gradient(request: Request) -> Problem:
    return _image(request, True, ("dy", "dx"))


def _weight_gradient(request: Request) -> Problem:
    """dw, or with `lr` among the operands the updated weights."""
    v = request.values
    step = "lr" in request.operands
    w, b = ("w", "b") if step else ("dw", "db")
    b = b if b in request.operands else ""
    kind = "step" if step else "add" if request.accumulate else "set"
    decay = v["weight_decay"] if step else 0.0
    return Problem(
        _axes(request, False),
        v["C"],
        v["N"],
        (v["H"], v["W"]),
        (v["P"], v["Q"]),
        True,
        Result(kind, decay=decay, sums=bool(b)),
        ("x", "dy", w, b, "&lr" if step else ""),
    )


FORWARD = Depthwise(_forward)
INPUT_GRADIENT = Depthwise(_input_gradient)
WEIGHT_GRADIENT = Depthwise(_weight_gradient)
