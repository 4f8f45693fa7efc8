# SPDX-License-Identifier: Apache-2.0
"""Units that differ in names alone: what is found out about one of them holds for all."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from acclimate.kernels.op import Shape
from acclimate.program import Buffer, Call, Phase, Role, Source, View
from acclimate.stream.tiling import Tiling, Unit, tiling_of

_View = tuple[str, Shape, Shape, int] | None
_Call = tuple[str, str, bool, tuple[_View, ...], _View]
Key = tuple[tuple[_Call, ...], tuple[tuple[Shape, str, Role], ...]]


@dataclass(frozen=True, eq=False)
class Pattern:
    """A unit whose buffers have numbers for names, and whose calls come from nowhere.

    Args:
        unit: the calls, without kernels.
        buffers: by name.
    """

    unit: Unit
    buffers: Mapping[str, Buffer]


@dataclass(frozen=True)
class Alike:
    """A unit of a program, and the pattern that it follows.

    Args:
        unit: calls of the program.
        pattern: the same for all units that are alike.
        names: of the buffers of the pattern, by those of the program.
    """

    unit: Unit
    pattern: Pattern
    names: Mapping[str, str]

    def inner(self, inner: Set[str]) -> frozenset[str]:
        """Those of some buffers of the program that the unit uses, as the pattern names them."""
        return frozenset(mine for name, mine in self.names.items() if name in inner)

    def written(self, tiling: Tiling, buffers: Mapping[str, Buffer]) -> Tiling:
        """A tiling of the pattern as one of the unit.

        Args:
            tiling: of the pattern.
            buffers: of the program.
        """
        back = {mine: name for name, mine in self.names.items()}
        tiles = [
            tuple(_placed(part, whole, back) for part, whole in zip(tile, self.unit, strict=True))
            for tile in tiling.tiles
        ]
        return replace(tiling_of(tiling.cuts, tiles, buffers), ahead=tiling.ahead)


def match(unit: Unit, buffers: Mapping[str, Buffer], known: dict[Key, Pattern]) -> Alike:
    """The pattern of a unit.

    Args:
        unit: of a program.
        buffers: of that program.
        known: patterns of before; a new one is added.
    """
    names: dict[str, str] = {}
    for call in unit:
        for view in (*call.inputs, *call.outputs, call.scratch):
            if view is not None:
                names.setdefault(view.buffer, f"b{len(names)}")
    key = (
        tuple(_key(call, names) for call in unit),
        tuple((b.shape, b.dtype, b.role) for b in (buffers[name] for name in names)),
    )
    if key not in known:
        own = {mine: replace(buffers[name], name=mine) for name, mine in names.items()}
        known[key] = Pattern(tuple(_bare(call, names) for call in unit), own)
    return Alike(unit, known[key], names)


def _key(call: Call, names: Mapping[str, str]) -> _Call:
    views = tuple(_view(view, names) for view in (*call.inputs, *call.outputs))
    # NOTE: 0.0 and -0.0 are equal, but not the same text, which is what is written in C.
    return call.op.name, repr(call.attrs), call.accumulate, views, _view(call.scratch, names)


def _view(view: View | None, names: Mapping[str, str]) -> _View:
    if view is None:
        return None
    return names[view.buffer], view.shape, view.strides, view.offset


def _bare(call: Call, names: Mapping[str, str]) -> Call:
    """A call of a pattern."""
    scratch = call.scratch and replace(call.scratch, buffer=names[call.scratch.buffer])
    return replace(
        _renamed(call, names), phase=Phase.FORWARD, source=Source(), scratch=scratch,
        kernel=None, choice=None, work=None, origin=None,
    )  # fmt: skip


def _placed(part: Call, whole: Call, names: Mapping[str, str]) -> Call:
    """A part of a call of a pattern as a part of the call of the program."""
    return replace(_renamed(part, names), phase=whole.phase, source=whole.source, scratch=None)


def _renamed(call: Call, names: Mapping[str, str]) -> Call:
    return replace(
        call,
        inputs=tuple(view and replace(view, buffer=names[view.buffer]) for view in call.inputs),
        outputs=tuple(view and replace(view, buffer=names[view.buffer]) for view in call.outputs),
    )
