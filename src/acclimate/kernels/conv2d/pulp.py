# SPDX-License-Identifier: Apache-2.0
"""Convolution as contractions on a PULP core: no im2col, any stride, padding, dilation and group.

A tap of a kernel is an offset. Padding is the one thing that an offset cannot do. Either an operand
with padding is first copied onto a canvas with zeros around it, or pixels at the border are
contractions of their own over the taps that they see; the form of a choice says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acclimate.kernels.conv2d.pulp_geometry import Canvas, Geometry, Piece, canvas
from acclimate.kernels.loop.print_c import c_float
from acclimate.kernels.pulp.contract import Contraction, grid, line
from acclimate.kernels.pulp.pointers import Taps
from acclimate.kernels.pulp.recipe import (
    Barrier,
    Contractions,
    Form,
    Recipe,
    Statement,
    Step,
    Together,
    loops,
    most_taps,
    unrolled,
)
from acclimate.kernels.pulp.result import Result
from acclimate.kernels.pulp.work import Choice, Request

_WORD = 4
_MOST_ROW = 8  # pixels of a row that is a loop body
_MOST_PIECES = 100  # contractions of a call: each is code
_ROWS, _COLUMNS = 1, 2  # bits of the form `exact`: axes whose borders are computed apart


def _exact(choice: Choice) -> tuple[bool, bool]:
    bits = choice.get("exact", 0)
    return bool(bits & _ROWS), bool(bits & _COLUMNS)


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


def _samples(g: Geometry, steps: Sequence[Step], image: Canvas) -> list[Recipe]:
    """Steps in a loop over samples; a canvas may not be overwritten while others read it."""
    if g.n == 1:
        return [Recipe(steps, None, image.words)]
    after = [Barrier()] if image.copy else []
    return [Recipe([*steps, *after], ("n", 0, g.n), image.words)]


def _at(g: Geometry, name: str, sample: int = 0, group: int = 0) -> str:
    """C of an operand in the loops over samples and groups, given the words of each."""
    text = f"{name} + n * {sample}" if sample and g.n > 1 else name
    return f"{text} + g * {group}" if group and g.groups > 1 else text


def _in_groups(g: Geometry, steps: Sequence[Step]) -> list[Step]:
    """Steps in a loop over groups."""
    return [*steps] if g.groups == 1 else [Recipe(steps, ("g", 0, g.groups))]


@dataclass(frozen=True)
class _Images:
    """A convolution as it is seen from the image that it makes.

    Args:
        g: the geometry.
        made: operand, channels of a group, rows and columns.
        seen: operand, channels of a group, rows and columns.
        weights: words of w from a channel made to the next, and from a channel seen to the next.
    """

    g: Geometry
    made: tuple[str, int, tuple[int, int]]
    seen: tuple[str, int, tuple[int, int]]
    weights: tuple[int, int]

    @staticmethod
    def of(request: Request, forward: bool) -> _Images:
        """Of a forward pass or of an input gradient."""
        g = Geometry.of(request.values)
        kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
        x, y = (channels, (g.h, g.w)), (kernels, (g.p, g.q))
        if forward:
            return _Images(g, ("y", *y), ("x", *x), (channels * size, size))
        return _Images(g, ("dx", *x), ("dy", *y), (size, channels * size))

    def pieces(self, exact: tuple[bool, bool]) -> tuple[list[Piece], list[Piece]]:
        """Rows and columns that are computed alike."""
        return self.g.outputs(exact) if self.made[0] == "y" else self.g.inputs(exact)

    def forms(self) -> list[Form]:
        """Which borders may be computed apart: those where taps see the outside."""
        axes = self.pieces((False, False))
        apart = [bit for bit, axis in zip((_ROWS, _COLUMNS), axes, strict=True) if _outside(axis)]
        found: list[Form] = [{}]
        for bits in sorted({*apart, sum(apart)} - {0}):
            down, right = self.pieces((bool(bits & _ROWS), bool(bits & _COLUMNS)))
            if len(down) * len(right) <= _MOST_PIECES:
                found.append({"exact": bits})
        return found


def _outside(axis: Sequence[Piece]) -> bool:
    return any(not piece.whole for piece in axis)


def _image(request: Request, choice: Choice, images: _Images) -> list[Recipe]:
    """The image that a convolution makes, piece by piece."""
    g = images.g
    name, channels, size = images.seen
    out, made, (high, wide) = images.made
    down, right = images.pieces(_exact(choice))
    pieces = [(rows, columns) for rows in down for columns in right]
    seen = [(rows, columns) for rows, columns in pieces if rows.taps and columns.taps]
    if not seen:  # all that the kernel sees is padding
        return []
    first = min(rows.seen[0] for rows, _ in seen), min(columns.seen[0] for _, columns in seen)
    last = max(rows.seen[1] for rows, _ in seen), max(columns.seen[1] for _, columns in seen)
    wanted = last[0] - first[0] + 1, last[1] - first[1] + 1
    at = _at(g, name, channels * g.groups * size[0] * size[1])
    image = canvas(request, at, channels * g.groups, size, first, wanted)
    steps: list[Step] = [*image.copy]
    if len(seen) < len(pieces):
        steps = [_untouched(request, images), *(image.copy or (Barrier(),))]
    v, b = request.values, "b" in request.operands
    result = Result("set", v["lo"], v["hi"], bias="rows" if b else "")
    names = (
        _at(g, "w", 0, g.k // g.groups * (g.c // g.groups) * g.r * g.s),
        _at(g, image.name, 0, channels * image.plane),
        _at(g, out, made * g.groups * high * wide, made * high * wide),
        _at(g, "b", 0, made) if b else "",
        "",
    )
    origin = image.origin - first[0] * image.row - first[1]
    problems = []
    for rows, columns in seen:
        window = [
            (r * g.s + s, origin + p * image.row + q) for r, p in rows.taps for s, q in columns.taps
        ]
        # Windows of one form are one kernel, wherever they begin.
        (a0, b0), inner = window[0], (channels, images.weights[1], image.plane)
        taps = _kernel_taps(
            [(a - a0, b - b0) for a, b in window],
            len(columns.taps), inner, choice["unroll"], most_taps(request.core),
        )  # fmt: skip
        there = (rows.first * wide + columns.first) * _WORD
        problems.append(
            Contraction(
                (line(made, images.weights[0]) + a0 * _WORD, line(made, high * wide)),
                (
                    grid((rows.count, rows.move * image.row), (columns.count, columns.move))
                    + b0 * _WORD,
                    grid((rows.count, rows.step * wide), (columns.count, columns.step)) + there,
                ),
                taps,
                result,
                names,
            )
        )
    return _samples(g, [*steps, *_in_groups(g, [Together(tuple(problems))])], image)


def _untouched(request: Request, images: _Images) -> Statement:
    """What the pixels are that see no tap; those that do are set afterwards."""
    v, cores, g = request.values, request.core.cores, images.g
    out, channels, (high, wide) = images.made
    channels *= g.groups
    words = channels * high * wide
    name = _at(g, out, words)
    core = f"core, {cores}" if cores > 1 else "0, 1"
    if "b" not in request.operands and v["lo"] <= 0.0 <= v["hi"]:
        return Statement(f"ac_clear_f32({name}, {words}, {core});", 1.5 * words / cores)
    bias = "b" if "b" in request.operands else "NULL"
    limits = ", ".join(c_float(v[name]) for name in ("lo", "hi"))
    sizes = f"{channels}, {high * wide}, {limits}"
    return Statement(f"ac_fill_f32({name}, {bias}, {sizes}, {core});", 1.5 * words / cores)


def _weight_gradient(request: Request, choice: Choice) -> list[Recipe]:
    """dw, or with `lr` among the operands the updated weights."""
    v = request.values
    g = Geometry.of(v)
    step = "lr" in request.operands
    x = _at(g, "x", g.c * g.h * g.w)
    by_tap = bool(choice.get("exact", 0))
    image = Canvas(x, 0, g.h * g.w, g.w) if by_tap else g.input_canvas(request, x)
    decay = v.get("weight_decay", 0.0)
    kind = "step" if step else "add" if request.accumulate else "set"
    first = Result(kind, decay=decay if step else 0.0)
    rest = Result("step" if step else "add")
    found = []
    for result, samples in ((first, (0, 1)), (rest, (1, g.n))):
        if by_tap:
            problems = tuple(_weights_by_tap(request, g, image, result, choice["unroll"]))
        else:
            problems = (_weights(request, g, image, result, choice["unroll"]),)
        weights = _in_groups(g, [Together(problems)])
        after = [Barrier()] if image.copy and g.n > 1 else []
        loop = ("n", *samples) if g.n > 1 else None
        if samples[0] < samples[1]:
            found.append(Recipe([*image.copy, *weights, *after], loop, image.words))
    return found


def _weight_names(
    request: Request, g: Geometry, image: Canvas, sums: bool
) -> tuple[str, str, str, str, str]:
    kernels, channels = g.k // g.groups, g.c // g.groups
    step = "lr" in request.operands
    weight, bias = ("w", "b") if step else ("dw", "db")
    return (
        _at(g, "dy", g.k * g.p * g.q, kernels * g.p * g.q),
        _at(g, image.name, 0, channels * image.plane),
        _at(g, weight, 0, kernels * channels * g.r * g.s),
        _at(g, bias, 0, kernels) if sums else "",
        "&lr" if step else "",
    )


def _weights(
    request: Request, g: Geometry, image: Canvas, result: Result, unroll: int
) -> Contraction:
    """All weights at once: columns are channels and taps of the kernel."""
    (sh, sw), (dh, dw) = g.stride, g.dilation
    kernels, channels, size = g.k // g.groups, g.c // g.groups, g.r * g.s
    sums = bool({"b", "db"} & request.operands)
    taps = _pixels(request, (g.p, g.q), (g.q, sh * image.row, sw), unroll)
    window = [r * dh * image.row + s * dw for r in range(g.r) for s in range(g.s)]
    pixels = grid((channels, image.plane), (1, 0)) + _array(window) * _WORD
    return Contraction(
        (line(kernels, g.p * g.q), line(kernels, channels * size)),
        (pixels + image.origin * _WORD, grid((channels, size), (size, 1))),
        taps,
        replace(result, sums=sums),
        _weight_names(request, g, image, sums),
    )


def _weights_by_tap(
    request: Request, g: Geometry, image: Canvas, result: Result, unroll: int
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
                _weight_names(request, g, image, sums),
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
    sees the input everywhere."""
    g = Geometry.of(request.values)
    down, right = _spans(g)
    counts = [[count for _, count in axis] for axis in (down, right)]
    padded = min(counts[0]) < g.p or min(counts[1]) < g.q
    whole = max(counts[0]) == g.p and max(counts[1]) == g.q
    if padded and whole and min(map(min, counts)) > 0 and g.r * g.s <= _MOST_PIECES:
        return [{}, {"exact": _ROWS | _COLUMNS}]
    return [{}]


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


def _array(words: Sequence[int]) -> Any:
    return np.array(words, np.int64)[None, :]


FORWARD = Contractions(
    lambda request, choice: _image(request, choice, _Images.of(request, True)),
    lambda request: _Images.of(request, True).forms(),
)
INPUT_GRADIENT = Contractions(
    lambda request, choice: _image(request, choice, _Images.of(request, False)),
    lambda request: _Images.of(request, False).forms(),
)
WEIGHT_GRADIENT = Contractions(_weight_gradient, _weight_forms)
