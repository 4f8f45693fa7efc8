# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers as contractions on a PULP core.

Rows are samples, so that a batch of one keeps one input in a register and streams the weights of
many outputs past it.
"""

from __future__ import annotations

from itertools import pairwise

from acclimate.kernels.loop.print_c import c_float
from acclimate.kernels.pulp.contract import Contraction, grid, line
from acclimate.kernels.pulp.partition import bounds
from acclimate.kernels.pulp.recipe import (
    Apart,
    Barrier,
    Contractions,
    Form,
    Recipe,
    Statement,
    loops,
    scaled,
    unrolled,
)
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request

_WORD = 4
_LEAST_PART = 4  # inputs of a core
_BANKS = 16
_SKEW = 2  # words


def _sizes(request: Request) -> tuple[int, int, int]:
    v = request.values
    return int(v["N"]), int(v["C"]), int(v["K"])


def _forward(request: Request, choice: Choice) -> list[Recipe]:
    n, c, k = _sizes(request)
    v = request.values
    b = "b" in request.operands
    cores = request.core.cores
    if n == 1 and cores > 1 and k <= 2 * cores and c >= _LEAST_PART * cores:
        return _few_outputs(request, choice)
    problem = Contraction(
        (line(n, c), line(n, k)),
        (grid((1, 0), (k, c)), grid((1, 0), (k, 1))),
        unrolled((0,), (0,), loops((c, 1, 1)), choice["unroll"]),
        Result("set", v["lo"], v["hi"], bias="columns" if b else ""),
        ("x", "w", "y", "b" if b else "", ""),
    )
    return [Recipe([problem])]


def _few_outputs(request: Request, choice: Choice) -> list[Recipe]:
    """Fewer outputs than would keep all cores busy: each core sums a part of the inputs."""
    _, c, k = _sizes(request)
    v, cores = request.values, request.core.cores
    cuts = _apart(c, cores)
    parts = []
    for part, (first, end) in enumerate(pairwise(cuts)):
        parts.append(
            Contraction(
                (line(1, 0) + first * _WORD, line(1, 0) + part * k * _WORD),
                (grid((1, 0), (k, c)) + first * _WORD, grid((1, 0), (k, 1))),
                unrolled((0,), (0,), loops((end - first, 1, 1)), choice["unroll"]),
                Result("set"),
                ("x", "w", "scratch", "", ""),
            )
        )
    bias = "b" if "b" in request.operands else "NULL"
    limits = ", ".join(c_float(v[name]) for name in ("lo", "hi"))
    text = f"ac_add_parts_f32(y, scratch, {bias}, {k}, {cores}, {limits}, core, {cores});"
    steps = (Apart(tuple(parts)), Barrier(), Statement(text, 40 + 3.0 * cores * -(-k // cores)))
    return [Recipe(steps, None, k * cores)]


def _apart(count: int, cores: int) -> list[int]:
    """Bounds of the parts of cores. Parts of whole rounds of banks would let all cores want the
    same bank: a little more for each core but the last, and they begin in different ones."""
    each = count // cores
    if each % _BANKS:
        return bounds(count, cores)
    return [*(core * (each + _SKEW) for core in range(cores)), count]


def _input_gradient(request: Request, choice: Choice) -> list[Recipe]:
    n, c, k = _sizes(request)
    problem = Contraction(
        (line(n, k), line(n, c)),
        (grid((1, 0), (c, 1)), grid((1, 0), (c, 1))),
        unrolled((0,), (0,), loops((k, 1, c)), choice["unroll"]),
        Result("set"),
        ("dy", "w", "dx", "", ""),
    )
    return [Recipe([problem])]


def _weight_gradient(request: Request, choice: Choice) -> list[Recipe]:
    """dw, or with `lr` among the operands the updated weights. One sample is no contraction."""
    n, c, k = _sizes(request)
    if n == 1:
        return []
    step, in_terms = "lr" in request.operands, bool(choice.get("scaled", 0))
    weight, bias = ("w", "b") if step else ("dw", "db")
    sums = bias in request.operands
    kind = "set" if not (step or request.accumulate) else "step" if step > in_terms else "add"
    decay = request.values["weight_decay"] if step else 0.0
    before = scaled("dy", n * k, 0, (), request.core) if in_terms else []
    problem = Contraction(
        (line(k, 1), line(k, c)),
        (grid((1, 0), (c, 1)), grid((1, 0), (c, 1))),
        unrolled((0,), (0,), loops((n, k, c)), choice["unroll"]),
        Result(kind, decay=decay, sums=sums),
        ("scratch" if in_terms else "dy", "x", weight, bias if sums else "", "&lr" if step else ""),
    )
    return [Recipe([*before, problem], None, n * k if in_terms else 0)]


def _weight_forms(request: Request) -> list[Form]:
    """An update may have the rate in its terms."""
    return [{}, {"scaled": 1}] if "lr" in request.operands else [{}]


FORWARD = Contractions(_forward)
INPUT_GRADIENT = Contractions(_input_gradient)
WEIGHT_GRADIENT = Contractions(_weight_gradient, _weight_forms)
