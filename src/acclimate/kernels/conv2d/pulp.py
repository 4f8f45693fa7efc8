# SPDX-License-Identifier: Apache-2.0
"""Convolution as contractions on a PULP core: no im2col, any stride, padding, dilation and group.

A tap of a kernel is an offset. Padding is the one thing that an offset cannot do: an operand with
padding is first copied onto a canvas with zeros around it. A stride larger than one splits the
input gradient into phases: pixels of one phase see the same taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate.kernels.loop.print_c import c_float
from acclimate.kernels.pulp.contract import Contraction, grid, line
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.recipe import (
    Barrier,
    Contractions,
    Recipe,
    Statement,
    Step,
    loops,
    most_taps,
    unrolled,
)
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Request

_WORD = 4
_MOST_ROW = 8  # pixels of a row that is a loop body
_COPY_CYCLES = 3.0  # per element of a canvas


@dataclass(frozen=True)
class _Canvas:
    """Where pixels lie: in an operand itself, or in a copy with zeros around it.

    Args:
        name: operand or `scratch`.
        origin: words before the first pixel that is needed.
        plane: words of a channel.
        row: words of a row.
        copy: how it is made, for one sample.
        words: of the copy.
    """

    name: str
    origin: int
    plane: int
    row: int
    copy: tuple[Statement | Barrier, ...] = ()
    words: int = 0


def _canvas(
    request: Request,
    name: str,
    channels: int,
    size: tuple[int, int],
    first: tuple[int, int],
    wanted: tuple[int, int],
) -> _Canvas:
    """A canvas of the pixels `first` .. `first + wanted` of planes of a size, zero outside."""
    (height, width), (top, left), (rows, columns) = size, first, wanted
    inside = top >= 0 and left >= 0 and top + rows <= height and left + columns <= width
    if inside:
        return _Canvas(name, top * width + left, height * width, width)
    cores = request.core.cores
    numbers = (channels, height, width, -top, -left, rows, columns)
    core = f"core, {cores}" if cores > 1 else "0, 1"
    text = f"ac_canvas_f32(scratch, {name}, {', '.join(map(str, numbers))}, {core});"
    words = channels * rows * columns
    copy = Statement(text, 40 + _COPY_CYCLES * words / cores)
    return _Canvas("scratch", 0, rows * columns, columns, (copy, Barrier()), words)


@dataclass(frozen=True)
class _Geometry:
    """Dims and attributes of a convolution, by short names."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    p: int
    q: int
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @staticmethod
    def of(v: Any) -> _Geometry:
        """From the values of a call."""
        return _Geometry(
            **{
                name.lower(): int(v[name]) for name in ("N", "C", "H", "W", "K", "R", "S", "P", "Q")
            },
            stride=(v["stride_h"], v["stride_w"]),
            pad=(v["pad_top"], v["pad_left"]),
            dilation=(v["dilation_h"], v["dilation_w"]),
            groups=v["groups"],
        )

    def input_canvas(self, request: Request, name: str) -> _Canvas:
        """All that the outputs see of x."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        wanted = (
            (self.p - 1) * sh + (self.r - 1) * dh + 1,
            (self.q - 1) * sw + (self.s - 1) * dw + 1,
        )
        first = (-self.pad[0], -self.pad[1])
        return _canvas(request, name, self.c, (self.h, self.w), first, wanted)


def _kernel_taps(
    taps: Sequence[tuple[int, int]],
    by_row: int,
    channels: tuple[int, int, int],
    unroll: int,
    most: int,
) -> Taps:
    """Taps of a kernel window (offsets of w, offsets of pixels), in a loop over channels."""
    around = loops(channels)
    if len(taps) > most and len(taps) > by_row:
        down = (taps[by_row][0] - taps[0][0], taps[by_row][1] - taps[0][1])
        around = loops((len(taps) // by_row, *down), channels)
        taps = taps[:by_row]
    return unrolled([a for a, _ in taps], [b for _, b in taps], around, unroll, most)


def _samples(g: _Geometry, steps: Sequence[Step], canvas: _Canvas) -> list[Recipe]:
    """Steps in a loop over samples; a canvas may not be overwritten while others read it."""
    if g.n == 1:
        return [Recipe(steps, None, canvas.words)]
    after = [Barrier()] if canvas.copy else []
    return [Recipe([*steps, *after], ("n", 0, g.n), canvas.words)]


def _at(g: _Geometry, name: str, sample: int = 0, group: int = 0) -> str:
    """C of an operand in the loops over samples and groups, given the words of each."""
    text = f"{name} + n * {sample}" if sample and g.n > 1 else name
    return f"{text} + g * {group}" if group and g.groups > 1 else text


def _in_groups(g: _Geometry, steps: Sequence[Step]) -> list[Step]:
    """Steps in a loop over groups."""
    return [*steps] if g.groups == 1 else [Recipe(steps, ("g", 0, g.groups))]


def _forward(request: Request, unroll: int) -> list[Recipe]:
    v = request.values
    g = _Geometry.of(v)
    name = _at(g, "x", g.c * g.h * g.w)
    canvas = g.input_canvas(request, name)
    (sh, sw), (dh, dw) = g.stride, g.dilation
    kernels, channels = g.k // g.groups, g.c // g.groups
    window = [(r * g.s + s, r * dh * canvas.row + s * dw) for r in range(g.r) for s in range(g.s)]
    most = most_taps(request.core)
    taps = _kernel_taps(window, g.s, (channels, g.r * g.s, canvas.plane), unroll, most)
    b = "b" in request.operands
    problem = Contraction(
        (line(kernels, channels * g.r * g.s), line(kernels, g.p * g.q)),
        (
            grid((g.p, sh * canvas.row), (g.q, sw)) + canvas.origin * _WORD,
            grid((g.p, g.q), (g.q, 1)),
        ),
        taps,
        Result("set", v["lo"], v["hi"], bias="rows" if b else ""),
        (
            _at(g, "w", 0, kernels * channels * g.r * g.s),
            _at(g, canvas.name, 0, channels * canvas.plane),
            _at(g, "y", g.k * g.p * g.q, kernels * g.p * g.q),
            _at(g, "b", 0, kernels) if b else "",
            "",
        ),
    )
    return _samples(g, [*canvas.copy, *_in_groups(g, [problem])], canvas)


def _phases(
    size: int, taps: int, stride: int, pad: int, dilation: int
) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Per phase of input cells: first cell, how many, and (tap, first output cell) of its taps."""
    found = []
    for first in range(min(stride, size)):
        seen = [t for t in range(taps) if (first + pad - t * dilation) % stride == 0]
        places = [(t, (first + pad - t * dilation) // stride) for t in seen]
        found.append((first, -(-(size - first) // stride), places))
    return found


def _input_gradient(request: Request, unroll: int) -> list[Recipe]:
    v = request.values
    g = _Geometry.of(v)
    down = _phases(g.h, g.r, g.stride[0], g.pad[0], g.dilation[0])
    right = _phases(g.w, g.s, g.stride[1], g.pad[1], g.dilation[1])
    empty = any(not taps for _, _, taps in [*down, *right])
    rows = [(at, at + n) for _, n, taps in down for _, at in taps]
    columns = [(at, at + n) for _, n, taps in right for _, at in taps]
    if not rows or not columns:  # all that the kernel sees is padding
        return []
    top, left = min(at for at, _ in rows), min(at for at, _ in columns)
    wanted = (max(end for _, end in rows) - top, max(end for _, end in columns) - left)
    name = _at(g, "dy", g.k * g.p * g.q)
    canvas = _canvas(request, name, g.k, (g.p, g.q), (top, left), wanted)
    steps: list[Step] = [*canvas.copy]
    if empty:
        steps = [_untouched(request, g), *(canvas.copy or (Barrier(),))]
    phases = []
    for first_row, high, taps_r in down:
        for first_column, wide, taps_s in right:
            if taps_r and taps_s:
                window = [
                    (r * g.s + s, (p - top) * canvas.row + q - left)
                    for r, p in taps_r
                    for s, q in taps_s
                ]
                place = (first_row, first_column, high, wide, len(taps_s))
                phases.append(_phase(request, g, canvas, window, place, unroll))
    return _samples(g, [*steps, *_in_groups(g, phases)], canvas)


def _untouched(request: Request, g: _Geometry) -> Statement:
    """What the pixels of dx are that see no tap; those that do are set afterwards."""
    v, cores = request.values, request.core.cores
    out, words = _at(g, "dx", g.c * g.h * g.w), g.c * g.h * g.w
    core = f"core, {cores}" if cores > 1 else "0, 1"
    if "b" not in request.operands and v["lo"] <= 0.0 <= v["hi"]:
        return Statement(f"ac_clear_f32({out}, {words}, {core});", words / cores)
    bias = "b" if "b" in request.operands else "NULL"
    limits = ", ".join(c_float(v[name]) for name in ("lo", "hi"))
    sizes = f"{g.c}, {g.h * g.w}, {limits}"
    return Statement(f"ac_fill_f32({out}, {bias}, {sizes}, {core});", 2.0 * words / cores)


def _phase(
    request: Request,
    g: _Geometry,
    canvas: _Canvas,
    window: Sequence[tuple[int, int]],
    place: tuple[int, int, int, int, int],
    unroll: int,
) -> Contraction:
    """The pixels of dx that see one set of taps."""
    first_row, first_column, high, wide, per_row = place
    kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
    most = most_taps(request.core)
    taps = _kernel_taps(window, per_row, (kernels, channels * size, canvas.plane), unroll, most)
    (sh, sw), v = g.stride, request.values
    b = "b" in request.operands
    at = first_row * g.w + first_column
    return Contraction(
        (line(channels, size), line(channels, g.h * g.w)),
        (
            grid((high, canvas.row), (wide, 1)) + canvas.origin * _WORD,
            grid((high, sh * g.w), (wide, sw)) + at * _WORD,
        ),
        taps,
        Result("set", v["lo"], v["hi"], bias="rows" if b else ""),
        (
            _at(g, "w", 0, kernels * channels * size),
            _at(g, canvas.name, 0, kernels * canvas.plane),
            _at(g, "dx", g.c * g.h * g.w, channels * g.h * g.w),
            _at(g, "b", 0, channels) if b else "",
            "",
        ),
    )


def _weight_gradient(request: Request, unroll: int) -> list[Recipe]:
    """dw, or with `lr` among the operands the updated weights."""
    v = request.values
    g = _Geometry.of(v)
    step = "lr" in request.operands
    canvas = g.input_canvas(request, _at(g, "x", g.c * g.h * g.w))
    decay = v.get("weight_decay", 0.0)
    kind = "step" if step else "add" if request.accumulate else "set"
    first = Result(kind, decay=decay if step else 0.0)
    rest = Result("step" if step else "add")
    found = []
    for result, samples in ((first, (0, 1)), (rest, (1, g.n))):
        weights = _in_groups(g, [_weights(request, g, canvas, result, unroll)])
        after = [Barrier()] if canvas.copy and g.n > 1 else []
        loop = ("n", *samples) if g.n > 1 else None
        if samples[0] < samples[1]:
            found.append(Recipe([*canvas.copy, *weights, *after], loop, canvas.words))
    return found


def _weights(
    request: Request, g: _Geometry, canvas: _Canvas, result: Result, unroll: int
) -> Contraction:
    (sh, sw), (dh, dw) = g.stride, g.dilation
    kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
    step = "lr" in request.operands
    weight, bias = ("w", "b") if step else ("dw", "db")
    with_bias = bias in request.operands
    down, right = sh * canvas.row, sw
    if down == g.q * right:  # pixels lie evenly: one loop over all
        taps = unrolled((0,), (0,), loops((g.p * g.q, 1, right)), unroll)
    elif g.q <= min(_MOST_ROW, most_taps(request.core)):  # a row is a body
        row = range(g.q)
        taps = unrolled(row, [q * right for q in row], loops((g.p, g.q, down)), unroll)
    else:
        taps = unrolled((0,), (0,), loops((g.q, 1, right), (g.p, g.q, down)), unroll)
    window = [r * dh * canvas.row + s * dw for r in range(g.r) for s in range(g.s)]
    pixels = grid((channels, canvas.plane), (1, 0)) + _array(window) * _WORD
    return Contraction(
        (line(kernels, g.p * g.q), line(kernels, channels * size)),
        (pixels + canvas.origin * _WORD, grid((channels, size), (size, 1))),
        taps,
        replace(result, sums=with_bias),
        (
            _at(g, "dy", g.k * g.p * g.q, kernels * g.p * g.q),
            _at(g, canvas.name, 0, channels * canvas.plane),
            _at(g, weight, 0, kernels * channels * size),
            _at(g, bias, 0, kernels) if with_bias else "",
            "&lr" if step else "",
        ),
    )


def _array(words: Sequence[int]) -> Any:
    return np.array(words, np.int64)[None, :]


FORWARD = Contractions(_forward)
INPUT_GRADIENT = Contractions(_input_gradient)
WEIGHT_GRADIENT = Contractions(_weight_gradient)
