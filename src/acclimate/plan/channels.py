# SPDX-License-Identifier: Apache-2.0
"""Channels of copies: the places of a tile have neighbouring ones, in turn like the places.

Statements of tile after tile then differ by numbers in equal steps, so that they become loops.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from acclimate.kernels.copy.op import Copy
from acclimate.program import Call, View

CHANNELS = 16  # copies that somebody may still wait for; port.h
_MOST_PLACES = 3  # of a tile; buffers that are copied in more parts take any channel


@dataclass
class _Group:
    """Copies between the same places of a buffer in the fast memory and others, in one direction.

    Args:
        places: first elements.
        last: number of the last of these copies.
        base: channel of the first place, once there is one.
    """

    places: list[int] = field(default_factory=list)
    last: int = 0
    base: int | None = None


class Channels:
    """Gives copies their channels.

    Args:
        calls: of an entry point; others than copies are passed over.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._groups: dict[tuple[str, bool], _Group] = {}
        self._of: dict[int, tuple[_Group, int]] = {}
        for number, call in enumerate(calls):
            if not isinstance(call.attrs, Copy):
                continue
            near = _near(call, call.attrs)
            group = self._groups.setdefault((near.buffer, call.attrs.inward), _Group())
            group.places = sorted({*group.places, near.offset})
            group.last = number
            self._of[number] = group, near.offset

    def take(self, number: int, flying: Set[int]) -> int:
        """The channel of a copy.

        Args:
            number: of the copy, among all calls.
            flying: channels of copies that nobody has waited for.
        """
        group, offset = self._of[number]
        kept = {channel for other in self._groups.values() for channel in _kept(other, number)}
        count = len(group.places)
        if group.base is None and count <= _MOST_PLACES:
            bases = range(CHANNELS - count + 1)
            free = (b for b in bases if not (flying | kept) & {*range(b, b + count)})
            group.base = next(free, None)
        if group.base is not None and group.base + group.places.index(offset) not in flying:
            return group.base + group.places.index(offset)
        unused: list[int] = sorted({*range(CHANNELS)} - flying)
        return next((channel for channel in unused if channel not in kept), unused[0])


def _near(call: Call, attrs: Copy) -> View:
    """What a copy reads or writes in the fast memory."""
    (near,) = call.writes if attrs.inward else call.reads
    return near


def _kept(group: _Group, number: int) -> range:
    """Channels of a group that has more copies to come."""
    if group.base is None or group.last < number:
        return range(0)
    return range(group.base, group.base + len(group.places))
