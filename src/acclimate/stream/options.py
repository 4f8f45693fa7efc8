# SPDX-License-Identifier: Apache-2.0
"""The best tiling of a unit in the fast memory that is left for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from acclimate.program import Buffer, Call
from acclimate.stream.alike import Alike, match
from acclimate.stream.forms import Forms, Option
from acclimate.stream.tiling import Unit

_REFINED = 4  # cuts of each family whose kernels are written before one is taken
_TRUST = 1.25  # words of the outer memory one by one must be faster by so much than tiles

_Key = tuple[int, ...]  # identities of the calls of a unit


@dataclass
class Options:
    """Tilings of the units of a program.

    What is looked at first depends on what was found out before, for this program alone: the same
    program gets the same tiles whatever else was compiled.

    Args:
        buffers: of the program.
        forms: tilings of the patterns of units.
        users: calls of the program that use each buffer: one that a unit alone uses is not stored.
    """

    buffers: Mapping[str, Buffer]
    forms: Forms
    users: Mapping[str, int]
    _alike: dict[_Key, Alike] = field(default_factory=dict)  # keeps ids from being reused
    _known: dict[tuple[_Key, Set[str]], list[Option]] = field(default_factory=dict)

    def best(self, unit: Unit, inner: Set[str], room: int) -> Option:
        """The fastest option that fits, with the kernels that its tiles will have; see `of`.

        Estimates only say whose kernels to look at first: tiles of some sizes leave cores idle.
        """
        alike = self._match(unit)
        mine = alike.inner(inner)
        known = self._list(unit, alike, mine)
        direct = self.forms.direct(alike.pattern, mine)
        while True:
            at = next((n for n, option in enumerate(known) if option.staged_bytes <= room), None)
            if at is None or known[at].cycles > _TRUST * direct.cycles:
                return direct
            if known[at].exact:
                return known[at]
            known[at] = self.forms.exact(known[at], mine)
            known.sort(key=lambda option: option.cycles)

    def of(self, unit: Unit, inner: Set[str], room: int) -> list[Option]:
        """Options of a unit that fit, the fastest first; one works on the outer memory.

        Their tilings are of the pattern of the unit.

        Args:
            unit: calls with their kernels.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
        """
        alike = self._match(unit)
        mine = alike.inner(inner)
        known = self._list(unit, alike, mine)
        fitting = [o for o in known if o.staged_bytes <= room]
        direct = self.forms.direct(alike.pattern, mine)
        if fitting and fitting[0].cycles <= _TRUST * direct.cycles:
            return [*fitting, direct]
        return [direct, *fitting]

    def refined(
        self,
        unit: Unit,
        inner: Set[str],
        room: int,
        spare: int = 0,
        rings: Sequence[tuple[int, int]] = (),
    ) -> Option:
        """The fastest option once the kernels of its tiles are known, scratch included; see `of`.

        Args:
            unit: calls with their kernels.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
            spare: of these, what the unit before leaves free: the first tile may be fetched early.
            rings: bytes and slots of the buffers in which tiles of the unit before lie: those of
                this one may follow them without a break.
        """
        alike = self._match(unit)
        mine = alike.inner(inner)
        best: Option | None = None
        families: dict[tuple[str, ...], dict[tuple[tuple[str, int], ...], None]] = {}
        later = []
        for option in self.of(unit, inner, room):
            if option.tiling is None:
                continue
            # Both depths of the few cuts of each family that look best.
            cut = option.tiling.cuts
            cuts = families.setdefault(tuple(dim for dim, _ in cut), {})
            if cut not in cuts and len(cuts) == _REFINED:
                later.append(option)
                continue
            cuts[cut] = None
            exact = self.forms.exact(option, mine, spare, rings)
            if exact.staged_bytes <= room and (best is None or exact.cycles < best.cycles):
                best = exact
        for option in later if best is None else ():
            exact = self.forms.exact(option, mine, spare, rings)
            if exact.staged_bytes <= room:
                best = exact
                break
        direct = self.forms.direct(alike.pattern, mine)
        return best if best and best.cycles <= _TRUST * direct.cycles else direct

    def written(self, unit: Unit, option: Option) -> Option:
        """An option of a unit with the tiling of the unit itself, no longer of its pattern."""
        if option.tiling is None:
            return option
        return replace(option, tiling=self._match(unit).written(option.tiling, self.buffers))

    def _list(self, unit: Unit, alike: Alike, mine: Set[str]) -> list[Option]:
        """All options of a unit, the fastest by what is known of them first."""
        key = _key(unit), mine
        if key not in self._known:
            self._known[key] = [*self.forms.listed(alike.pattern, mine)]
        return self._known[key]

    def _match(self, unit: Unit) -> Alike:
        if _key(unit) not in self._alike:
            patterns, local = self.forms.patterns, self._local(unit)
            self._alike[_key(unit)] = match(unit, self.buffers, local, patterns)
        return self._alike[_key(unit)]

    def _local(self, unit: Unit) -> set[str]:
        """Buffers of the arena that no other call uses."""
        here = users_of(unit)
        return {
            name
            for name, count in here.items()
            if self.buffers[name].role.in_arena and self.users.get(name) == count
        }


def users_of(calls: Iterable[Call]) -> Counter[str]:
    """How many calls use each buffer."""
    return Counter(name for call in calls for name in {view.buffer for view in call.views})


def _key(unit: Unit) -> _Key:
    return tuple(id(call) for call in unit)
