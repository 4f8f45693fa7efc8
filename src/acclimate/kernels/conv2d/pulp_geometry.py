# SPDX-License-Identifier: Apache-2.0
"""Where the pixels of a convolution lie, and which taps of the kernel they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from acclimate.kernels.pulp.recipe import Barrier, Recipe, Statement, Step
from acclimate.kernels.pulp.work import Request

_COPY_CYCLES = 2.5  # per element of a canvas


@dataclass(frozen=True)
class Canvas:
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


def canvas(
    request: Request,
    name: str,
    channels: int,
    size: tuple[int, int],
    first: tuple[int, int],
    wanted: tuple[int, int],
) -> Canvas:
    """A canvas of the pixels `first` .. `first + wanted` of planes of a size, zero outside."""
    (height, width), (top, left), (rows, columns) = size, first, wanted
    inside = top >= 0 and left >= 0 and top + rows <= height and left + columns <= width
    if inside:
        return Canvas(name, top * width + left, height * width, width)
    cores = request.core.cores
    numbers = (channels, height, width, -top, -left, rows, columns)
    core = f"core, {cores}" if cores > 1 else "0, 1"
    text = f"ac_canvas_f32(scratch, {name}, {', '.join(map(str, numbers))}, {core});"
    words = channels * rows * columns
    copy = Statement(text, 40 + _COPY_CYCLES * words / cores)
    return Canvas("scratch", 0, rows * columns, columns, (copy, Barrier()), words)


@dataclass(frozen=True)
class Geometry:
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
    def of(v: Any) -> Geometry:
        """From the values of a call."""
        return Geometry(
            **{
                name.lower(): int(v[name]) for name in ("N", "C", "H", "W", "K", "R", "S", "P", "Q")
            },
            stride=(v["stride_h"], v["stride_w"]),
            pad=(v["pad_top"], v["pad_left"]),
            dilation=(v["dilation_h"], v["dilation_w"]),
            groups=v["groups"],
        )

    def at(self, name: str, sample: int = 0, group: int = 0) -> str:
        """C of an operand in the loops over samples and groups, given the words of each."""
        text = f"{name} + n * {sample}" if sample and self.n > 1 else name
        return f"{text} + g * {group}" if group and self.groups > 1 else text

    def in_groups(self, steps: Sequence[Step]) -> list[Step]:
        """Steps in a loop over groups."""
        return [*steps] if self.groups == 1 else [Recipe(steps, ("g", 0, self.groups))]

    def input_canvas(self, request: Request, name: str) -> Canvas:
        """All that the outputs see of x."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        wanted = (
            (self.p - 1) * sh + (self.r - 1) * dh + 1,
            (self.q - 1) * sw + (self.s - 1) * dw + 1,
        )
        first = (-self.pad[0], -self.pad[1])
        return canvas(request, name, self.c, (self.h, self.w), first, wanted)

    def outputs(self, exact: tuple[bool, bool]) -> tuple[list[Piece], list[Piece]]:
        """Rows and columns of the output, and the input cells that they see."""
        axes = zip(
            (self.p, self.q), (self.r, self.s), (self.h, self.w),
            self.stride, self.pad, self.dilation, exact, strict=True,
        )  # fmt: skip
        down, right = (
            split(
                (0, outputs, 1), [(t, t * dilation - pad) for t in range(taps)], stride, size, cut
            )
            for outputs, taps, size, stride, pad, dilation, cut in axes
        )
        return down, right

    def inputs(self, exact: tuple[bool, bool]) -> tuple[list[Piece], list[Piece]]:
        """Rows and columns of the input, and the output cells that they reach.

        A stride larger than one splits an axis into phases: cells of one phase see the same taps.
        """
        axes = zip(
            (self.h, self.w), (self.r, self.s), (self.p, self.q),
            self.stride, self.pad, self.dilation, exact, strict=True,
        )  # fmt: skip
        found: list[list[Piece]] = [[], []]
        for axis, (size, taps, outputs, stride, pad, dilation, cut) in zip(
            found, axes, strict=True
        ):
            for first in range(min(stride, size)):
                reached = [(t, first + pad - t * dilation) for t in range(taps)]
                places = [(t, at // stride) for t, at in reached if at % stride == 0]
                cells = (first, -(-(size - first) // stride), stride)
                axis += split(cells, places, 1, outputs, cut)
        return found[0], found[1]


@dataclass(frozen=True)
class Piece:
    """Cells of an axis that are computed alike: every `step`-th from the first one on.

    Args:
        first: cell.
        count: of cells.
        step: from cell to cell.
        taps: (tap, cell of the other image that the first cell sees there).
        move: cells of the other image from cell to cell.
        whole: every cell sees all taps inside the other image.
    """

    first: int
    count: int
    step: int
    taps: tuple[tuple[int, int], ...]
    move: int
    whole: bool

    @property
    def seen(self) -> tuple[int, int]:
        """First and last cell of the other image that is seen."""
        first, last = self.taps[0][1], self.taps[-1][1]
        return min(first, last), max(first, last) + (self.count - 1) * self.move


def split(
    cells: tuple[int, int, int],
    places: Sequence[tuple[int, int]],
    move: int,
    size: int,
    exact: bool,
) -> list[Piece]:
    """Cells that see the same taps inside an image of a size; all in one piece if not `exact`.

    Args:
        cells: first, count, step.
        places: (tap, cell that the first one sees there).
        move: of what is seen, from cell to cell.
        size: cells of the other image.
        exact: one piece for each set of taps, rather than one that sees some of them outside.
    """
    first, count, step = cells
    seen = [tuple(tap for tap, at in places if 0 <= at + n * move < size) for n in range(count)]
    if not exact:
        used = {tap for taps in seen for tap in taps}
        kept = tuple((tap, at) for tap, at in places if tap in used or not used)
        return [Piece(first, count, step, kept, move, all(len(t) == len(kept) for t in seen))]
    found, done = [], 0
    for taps, run in groupby(seen):
        length = len(list(run))
        kept = tuple((tap, at + done * move) for tap, at in places if tap in taps)
        found.append(Piece(first + done * step, length, step, kept, move, True))
        done += length
    return found
