# SPDX-License-Identifier: Apache-2.0
"""Strided windows on buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Protocol

from acclimate.kernels.op import Shape


class Storage(Protocol):
    """What a view needs to know of a buffer."""

    @property
    def name(self) -> str:
        """C identifier."""
        ...

    @property
    def shape(self) -> Shape:
        """Sizes, row-major."""
        ...

    @property
    def size(self) -> int:
        """Number of elements."""
        ...


def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Row-major strides in elements."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@dataclass(frozen=True)
class View:
    """A strided window on a buffer; offset and strides count elements. Stride 0 broadcasts.

    The stride of an axis of size 1 is 0, so that equal windows are equal views.
    """

    buffer: str
    shape: Shape
    strides: Shape
    offset: int = 0

    def __post_init__(self) -> None:
        if 1 in self.shape:
            pairs = zip(self.shape, self.strides, strict=True)
            object.__setattr__(self, "strides", tuple(0 if n == 1 else s for n, s in pairs))

    @staticmethod
    def whole(buffer: Storage) -> View:
        """The view of all of a buffer in its own shape."""
        return View(buffer.name, buffer.shape, contiguous_strides(buffer.shape))

    @property
    def size(self) -> int:
        """Number of elements of the view."""
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """True if the elements lie one after the other in row-major order."""
        expected = contiguous_strides(self.shape)
        return all(
            size == 1 or have == want
            for size, have, want in zip(self.shape, self.strides, expected, strict=True)
        )

    def span(self) -> tuple[int, int]:
        """First and last element of the buffer that the view may touch."""
        ends = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        return self.offset + sum(min(e, 0) for e in ends), self.offset + sum(
            max(e, 0) for e in ends
        )

    def covers(self, buffer: Storage) -> bool:
        """True if the view is exactly the whole buffer, in row-major order."""
        return self.contiguous and self.offset == 0 and self.size == buffer.size

    def reshape(self, shape: Shape) -> View | None:
        """The same elements in another shape, or None where that takes a copy or others."""
        if prod(shape) != self.size:
            return None
        strides = _reshaped_strides(self.shape, self.strides, shape)
        return None if strides is None else replace(self, shape=shape, strides=strides)

    def permute(self, axes: Sequence[int]) -> View:
        """The axes in another order."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            strides=tuple(self.strides[axis] for axis in axes),
        )

    def expand(self, shape: Shape) -> View:
        """Broadcasts to `shape` as PyTorch does, new axes in front."""
        lead = len(shape) - len(self.shape)
        sizes, steps = (1,) * lead + self.shape, (0,) * lead + self.strides
        strides = tuple(
            0 if have == 1 and want != 1 else step
            for have, want, step in zip(sizes, shape, steps, strict=True)
        )
        return replace(self, shape=shape, strides=strides)

    def slice(self, axis: int, start: int, length: int, step: int = 1) -> View:
        """Every `step`-th element of one axis from `start`."""
        return View(
            self.buffer,
            (*self.shape[:axis], length, *self.shape[axis + 1 :]),
            (*self.strides[:axis], self.strides[axis] * step, *self.strides[axis + 1 :]),
            self.offset + start * self.strides[axis],
        )

    def drop(self, axis: int) -> View:
        """Without an axis of size 1."""
        return replace(
            self,
            shape=self.shape[:axis] + self.shape[axis + 1 :],
            strides=self.strides[:axis] + self.strides[axis + 1 :],
        )

    def __str__(self) -> str:
        text = f"{self.buffer}[{','.join(map(str, self.shape))}]"
        plain = self.contiguous and self.offset == 0
        return text if plain else f"{text}@{self.offset}/{','.join(map(str, self.strides))}"


def _reshaped_strides(old: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Strides of `new` over the same memory: axes are grouped where their sizes multiply up."""
    dims = [(size, step) for size, step in zip(old, strides, strict=True) if size != 1]
    result: list[int] = []
    i = 0
    rest = list(new)
    while rest:
        size = rest.pop(0)
        if size == 1:
            result.append(0)
            continue
        group, i = [dims[i]], i + 1
        wanted = [size]
        while prod(n for n, _ in group) != prod(wanted):
            if prod(n for n, _ in group) < prod(wanted):
                group.append(dims[i])
                i += 1
            else:
                wanted.append(rest.pop(0))
        if any(a[1] != b[0] * b[1] for a, b in pairwise(group)):
            return None
        step = group[-1][1]
        steps: list[int] = []
        for n in reversed(wanted):
            steps.append(step if n != 1 else 0)
            step *= n
        result += reversed(steps)
    return tuple(result)
