# SPDX-License-Identifier: Apache-2.0
"""Convolution as contractions on a PULP core: no im2col, any stride, padding, dilation and group.

A tap of a kernel is an offset. Padding is the one thing that an offset cannot do. Either an operand
with padding is first copied onto a canvas with zeros around it, or pixels at the border are
contractions of their own over the taps that they see; the form of a choice says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    at = g.at(name, channels * g.groups * size[0] * size[1])
    image = canvas(request, at, channels * g.groups, size, first, wanted)
    steps: list[Step] = [*image.copy]
    if len(seen) < len(pieces):
        steps = [_untouched(request, images), *(image.copy or (Barrier(),))]
    names = (
        g.at("w", 0, g.k // g.groups * (g.c // g.groups) * g.r * g.s),
        g.at(image.name, 0, channels * image.plane),
        g.at(out, made * g.groups * high * wide, made * high * wide),
        g.at("b", 0, made) if "b" in request.operands else "",
        "",
    )
    image = replace(image, origin=image.origin - first[0] * image.row - first[1])
    problems = [
        _piece(request, choice, images, image, names, rows, columns) for rows, columns in seen
    ]
    return _samples(g, [*steps, *g.in_groups([Together(tuple(problems))])], image)


def _piece(
    request: Request,
    choice: Choice,
    images: _Images,
    image: Canvas,
    names: tuple[str, str, str, str, str],
    rows: Piece,
    columns: Piece,
) -> Contraction:
    """The pixels that see one set of taps; `image` has its origin at pixel (0, 0)."""
    g, v = images.g, request.values
    _, channels, _ = images.seen
    _, made, (high, wide) = images.made
    window = [
        (r * g.s + s, image.origin + p * image.row + q)
        for r, p in rows.taps
        for s, q in columns.taps
    ]
    (a0, b0), around = window[0], (channels, images.weights[1], image.plane)
    taps = _kernel_taps(
        [(a - a0, b - b0) for a, b in window],  # windows of one form are one kernel
        len(columns.taps), around, choice["unroll"], most_taps(request.core),
    )  # fmt: skip
    seen = grid((rows.count, rows.move * image.row), (columns.count, columns.move))
    made_at = grid((rows.count, rows.step * wide), (columns.count, columns.step))
    return Contraction(
        (line(made, images.weights[0]) + a0 * _WORD, line(made, high * wide)),
        (seen + b0 * _WORD, made_at + (rows.first * wide + columns.first) * _WORD),
        taps,
        Result("set", v["lo"], v["hi"], bias="rows" if names[3] else ""),
        names,
    )


def _untouched(request: Request, images: _Images) -> Statement:
    """What the pixels are that see no tap; those that do are set afterwards."""
    v, cores, g = request.values, request.core.cores, images.g
    out, channels, (high, wide) = images.made
    channels *= g.groups
    words = channels * high * wide
    name = g.at(out, words)
    core = f"core, {cores}" if cores > 1 else "0, 1"
    if "b" not in request.operands and v["lo"] <= 0.0 <= v["hi"]:
        return Statement(f"ac_clear_f32({name}, {words}, {core});", 1.5 * words / cores)
    bias = "b" if "b" in request.operands else "NULL"
    limits = ", ".join(c_float(v[name]) for name in ("lo", "hi"))
    sizes = f"{channels}, {high * wide}, {limits}"
    return Statement(f"ac_fill_f32({name}, {bias}, {sizes}, {core});", 1.5 * words / cores)


FORWARD = Contractions(
    lambda request, choice: _image(request, choice, _Images.of(request, True)),
    lambda request: _Images.of(request, True).forms(),
)
INPUT_GRADIENT = Contractions(
    lambda request, choice: _image(request, choice, _Images.of(request, False)),
    lambda request: _Images.of(request, False).forms(),
)
