# SPDX-License-Identifier: Apache-2.0
"""The weight gradient of a convolution as contractions on a PULP core, SGD included.

Columns are channels and taps of the kernel, terms are pixels. With padding there are two forms: x
on a canvas with zeros around it and all taps at once, or a contraction for each tap over those
pixels that see the input there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from acclimate.kernels.conv2d.pulp_geometry import Canvas, Geometry
from acclimate.kernels.pulp.contract import Contraction, grid, line
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.recipe import (
    Barrier,
    Contractions,
    Form,
    Recipe,
    Together,
    loops,
    most_taps,
    scaled,
    unrolled,
)
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request

_WORD = 4
_MOST_ROW = 8  # pixels of a row that is a loop body
_MOST_TAPS = 100  # of a kernel, if each is a contraction of its own: each is code
_LEAST_SHARE = 4  # weights of a kernel to one pixel of dy: scaling dy takes about so many cycles


def _weight_gradient(request: Request, choice: Choice) -> list[Recipe]:
    """dw, or with `lr` among the operands the updated weights."""
    v = request.values
    g = Geometry.of(v)
    step, in_terms = "lr" in request.operands, bool(choice.get("scaled", 0))
    x, dy = g.at("x", g.c * g.h * g.w), g.at("dy", g.k * g.p * g.q)
    by_tap = bool(choice.get("exact", 0))
    image = Canvas(x, 0, g.h * g.w, g.w) if by_tap else g.input_canvas(request, x)
    before, words = [*image.copy], image.words
    if in_terms:
        before = scaled(dy, g.k * g.p * g.q, words, before, request.core)
        dy, words = f"scratch + {words}" if words else "scratch", words + g.k * g.p * g.q
    decay = v.get("weight_decay", 0.0)
    kind = "step" if step > in_terms else "add"
    first = Result(kind if step or request.accumulate else "set", decay=decay if step else 0.0)
    found = []
    for result, samples in ((first, (0, 1)), (Result(kind), (1, g.n))):
        if by_tap:
            problems = tuple(_weights_by_tap(request, g, dy, image, result, choice["unroll"]))
        else:
            problems = (_weights(request, g, dy, image, result, choice["unroll"]),)
        weights = g.in_groups([Together(problems)])
        after = [Barrier()] if before and g.n > 1 else []
        loop = ("n", *samples) if g.n > 1 else None
        if samples[0] < samples[1]:
            found.append(Recipe([*before, *weights, *after], loop, words))
    return found


def _weight_names(
    request: Request, g: Geometry, dy: str, image: Canvas, sums: bool
) -> tuple[str, str, str, str, str]:
    kernels, channels = g.k // g.groups, g.c // g.groups
    step = "lr" in request.operands
    weight, bias = ("w", "b") if step else ("dw", "db")
    return (
        f"{dy} + g * {kernels * g.p * g.q}" if g.groups > 1 else dy,
        g.at(image.name, 0, channels * image.plane),
        g.at(weight, 0, kernels * channels * g.r * g.s),
        g.at(bias, 0, kernels) if sums else "",
        "&lr" if step else "",
    )


def _weights(
    request: Request, g: Geometry, dy: str, image: Canvas, result: Result, unroll: int
) -> Contraction:
    """All weights at once: columns are channels and taps of the kernel."""
    (sh, sw), (dh, dw) = g.stride, g.dilation
    kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
    sums = bool({"b", "db"} & request.operands)
    taps = _pixels(request, (g.p, g.q), (g.q, sh * image.row, sw), unroll)
    window = [r * dh * image.row + s * dw for r in range(g.r) for s in range(g.s)]
    pixels = grid((channels, image.plane), (1, 0)) + np.array(window)[None, :] * _WORD
    return Contraction(
        (line(kernels, g.p * g.q), line(kernels, channels * size)),
        (pixels + image.origin * _WORD, grid((channels, size), (size, 1))),
        taps,
        replace(result, sums=sums),
        _weight_names(request, g, dy, image, sums),
    )


def _weights_by_tap(
    request: Request, g: Geometry, dy: str, image: Canvas, result: Result, unroll: int
) -> Iterator[Contraction]:
    """A contraction for each tap of the kernel, over the pixels where it sees the input."""
    kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
    wants_sums = bool({"b", "db"} & request.operands)
    down, right = _spans(g)
    for r, (p, high) in enumerate(down):
        for s, (q, wide) in enumerate(right):
            sums = wants_sums and (high, wide) == (g.p, g.q)
            wants_sums = wants_sums and not sums
            row, column = (
                first * stride - pad + tap * dilation
                for first, stride, pad, tap, dilation in zip(
                    (p, q), g.stride, g.pad, (r, s), g.dilation, strict=True
                )
            )
            moves = (g.q, g.stride[0] * image.row, g.stride[1])
            yield Contraction(
                (
                    line(kernels, g.p * g.q) + (p * g.q + q) * _WORD,
                    line(kernels, channels * size),
                ),
                (
                    grid((1, 0), (channels, image.plane)) + (row * image.row + column) * _WORD,
                    grid((1, 0), (channels, size)) + (r * g.s + s) * _WORD,
                ),
                _pixels(request, (high, wide), moves, unroll),
                replace(result, sums=sums),
                _weight_names(request, g, dy, image, sums),
            )


def _spans(g: Geometry) -> list[list[tuple[int, int]]]:
    """Per axis and tap: the first output that sees the input there, and how many do."""
    found = []
    for outputs, taps, size, stride, pad, dilation in zip(
        (g.p, g.q), (g.r, g.s), (g.h, g.w), g.stride, g.pad, g.dilation, strict=True
    ):
        axis = []
        for tap in range(taps):
            inside = [n for n in range(outputs) if 0 <= n * stride - pad + tap * dilation < size]
            axis.append((inside[0] if inside else 0, len(inside)))
        found.append(axis)
    return found


def _weight_forms(request: Request) -> list[Form]:
    """By tap where taps see the outside, and each sees something; the sum of dy needs one that
    sees the input everywhere. An update may have the rate in its terms, where sums are short."""
    g = Geometry.of(request.values)
    down, right = _spans(g)
    counts = [[count for _, count in axis] for axis in (down, right)]
    padded = min(counts[0]) < g.p or min(counts[1]) < g.q
    whole = max(counts[0]) == g.p and max(counts[1]) == g.q
    forms: list[Form] = [{}]
    if padded and whole and min(map(min, counts)) > 0 and g.r * g.s <= _MOST_TAPS:
        forms.append({"exact": 3})
    if "lr" in request.operands and g.c // g.groups * g.r * g.s > _LEAST_SHARE * g.p * g.q:
        forms += [{**form, "scaled": 1} for form in forms]
    return forms


def _pixels(
    request: Request, count: tuple[int, int], moves: tuple[int, int, int], unroll: int
) -> Taps:
    """Taps of all pixels of a rectangle.

    Args:
        request: of the call.
        count: rows and columns.
        moves: words of dy and of x from row to row, and of x from column to column.
        unroll: taps of a body, where that is free.
    """
    (high, wide), (down, far, right) = count, moves
    if high == 1 or (wide == down and far == wide * right):  # they lie evenly: one loop over all
        return unrolled((0,), (0,), loops((high * wide, 1, right)), unroll)
    if wide <= min(_MOST_ROW, most_taps(request.core)):  # a row is a body
        row = range(wide)
        return unrolled(row, [q * right for q in row], loops((high, down, far)), unroll)
    return unrolled((0,), (0,), loops((wide, 1, right), (high, down, far)), unroll)


WEIGHT_GRADIENT = Contractions(_weight_gradient, _weight_forms)
