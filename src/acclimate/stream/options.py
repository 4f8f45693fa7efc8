# SPDX-License-Identifier: Apache-2.0
"""The best tiling of a unit in the fast memory that is left for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from acclimate.kernels.copy.op import Copy
from acclimate.program import Buffer, Call
from acclimate.stream.cost import GAP_CYCLES, MEET_CYCLES, START_CYCLES, TILE_CYCLES, Costs
from acclimate.stream.tiling import Stream, Tiling, Unit, tilings

_ENOUGH = 8  # tilings that need less than this share of the memory are not cut further
_REFINED = 4  # cuts of each family whose kernels are written before one is taken
_MOST_AHEAD = 2
_TRUST = 1.25  # words of the outer memory one by one must be faster by so much than tiles
_EARLY = 0.8  # of the first fetch is hidden behind the unit before

Cycles = npt.NDArray[np.float64]
_Key = tuple[int, ...]  # identities of the calls of a unit


@dataclass(frozen=True, eq=False)
class Option:
    """A tiling with what it needs.

    Args:
        tiling: None where the calls work on the outer memory directly.
        staged_bytes: of the fast memory.
        cycles: of the unit, copies included: an estimate.
        form: of the tiling, as long as the kernels of its tiles are not known.
    """

    tiling: Tiling | None
    staged_bytes: int
    cycles: float
    form: _Form | None = None


@dataclass(frozen=True)
class _Traffic:
    """What one operand of a tiling moves, in cycles of the DMA and in bytes, tile by tile."""

    stream: Stream
    fetch: Cycles
    store: Cycles
    size: Cycles


@dataclass(frozen=True, eq=False)
class _Form:
    """A tiling with what does not depend on where buffers lie."""

    tiling: Tiling
    compute: Cycles
    traffic: tuple[_Traffic, ...]


@dataclass(frozen=True)
class _Kernels:
    """Cycles of every tile, and the scratch, once its kernels are known."""

    compute: Cycles
    scratch_bytes: int


@dataclass
class Options:
    """Tilings of the units of a program.

    Args:
        buffers: of the program.
        costs: of calls and copies.
        room: bytes of fast memory, more than which no tiling may need.
    """

    buffers: Mapping[str, Buffer]
    costs: Costs
    room: int
    _units: dict[_Key, Unit] = field(default_factory=dict)  # keeps ids from being reused
    _forms: dict[tuple[_Key, bool], list[_Form]] = field(default_factory=dict)
    _known: dict[tuple[_Key, Set[str]], list[Option]] = field(default_factory=dict)
    _kernels: dict[int, tuple[Tiling, _Kernels]] = field(default_factory=dict)  # by its tiles

    def best(self, unit: Unit, inner: Set[str], room: int) -> Option:
        """The fastest option that fits, with the kernels that its tiles will have; see `of`.

        Estimates only say whose kernels to look at first: tiles of some sizes leave cores idle.
        """
        while True:
            found = self.of(unit, inner, room)[0]
            if found.form is None or found.tiling is None:
                return found
            known = self._known[self._place(unit, inner)]
            at = next(n for n, option in enumerate(known) if option is found)
            known[at] = self._exact(found.tiling, inner)
            known.sort(key=lambda option: option.cycles)

    def of(self, unit: Unit, inner: Set[str], room: int) -> list[Option]:
        """Options of a unit that fit, the fastest first; one works on the outer memory.

        Args:
            unit: calls with their kernels.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
        """
        key = self._place(unit, inner)
        if key not in self._known:
            self._known[key] = sorted(self._all(unit, inner), key=lambda o: o.cycles)
        fitting = [o for o in self._known[key] if o.staged_bytes <= room]
        direct = self._direct(unit, inner)
        if fitting and fitting[0].cycles <= _TRUST * direct.cycles:
            return [*fitting, direct]
        return [direct, *fitting]

    def refined(
        self,
        unit: Unit,
        inner: Set[str],
        room: int,
        spare: int,
        rings: Sequence[tuple[int, int]] = (),
    ) -> Option:
        """The fastest option once the kernels of its tiles are known, scratch included.

        Args:
            unit: calls with their kernels.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
            spare: of these, what the unit before leaves free: the first tile may be fetched early.
            rings: bytes and slots of the buffers in which tiles of the unit before lie: those of
                this one may follow them without a break.
        """
        best: Option | None = None
        tiled = [o.tiling for o in self.of(unit, inner, room) if o.tiling is not None]
        families: dict[tuple[str, ...], dict[tuple[tuple[str, int], ...], None]] = {}
        later = []
        for tiling in tiled:
            # Both depths of the few cuts of each family that look best.
            cuts = families.setdefault(tuple(dim for dim, _ in tiling.cuts), {})
            if tiling.cuts not in cuts and len(cuts) == _REFINED:
                later.append(tiling)
                continue
            cuts[tiling.cuts] = None
            exact = self._exact(tiling, inner, spare, rings)
            if exact.staged_bytes <= room and (best is None or exact.cycles < best.cycles):
                best = exact
        for tiling in later if best is None else ():
            exact = self._exact(tiling, inner, spare, rings)
            if exact.staged_bytes <= room:
                best = exact
                break
        direct = self._direct(unit, inner)
        return best if best and best.cycles <= _TRUST * direct.cycles else direct

    def _place(self, unit: Unit, inner: Set[str]) -> tuple[_Key, Set[str]]:
        used = {view.buffer for call in unit for view in call.views}
        return _key(unit), frozenset(used & inner)

    def _all(self, unit: Unit, inner: Set[str]) -> list[Option]:
        if any(isinstance(call.attrs, Copy) for call in unit):
            return []  # between l2 and l3: the fast memory has no part in it
        for crossed in (False, True):  # two dims are cut only where one is not enough
            found = [
                o for form in self._forms_of(unit, crossed) for o in self._at(form, unit, inner)
            ]
            if found:
                return found
        return []

    def _at(self, form: _Form, unit: Unit, inner: Set[str]) -> Iterator[Option]:
        """A tiling with one tile fetched ahead, and with two."""
        for ahead in range(1, 1 + min(_MOST_AHEAD, len(form.tiling.tiles))):
            tiling = replace(form.tiling, ahead=ahead)
            need = tiling.staged_bytes(inner)
            if need is None or need > self.room:
                return
            need += self._scratch(unit, form.tiling.tiles[0])
            if need <= self.room:
                yield Option(tiling, need, self._time(form, form.compute, inner, ahead), form)

    def _scratch(self, unit: Unit, tile: Unit) -> int:
        """Bytes that the kernels of a tile need besides, if those of the whole need any."""
        pairs = zip(unit, tile, strict=True)
        return max(self.costs.scratch_bytes(part) if whole.scratch else 0 for whole, part in pairs)

    def _forms_of(self, unit: Unit, crossed: bool) -> list[_Form]:
        """All tilings that may fit: of one cut and the whole, or of two cuts that cross."""
        key = _key(unit), crossed
        if key not in self._forms:
            self._units[key[0]] = unit
            each = [self.costs.cycles(call) / _work(call) for call in unit]
            found: list[_Form] = []
            for family in tilings(unit, self.buffers, crossed):
                for tiling in family:
                    found.append(self._form(tiling, each))
                    need = tiling.staged_bytes(frozenset())
                    if need is not None and need <= self.room // _ENOUGH:
                        break
            self._forms[key] = found
        return self._forms[key]

    def _form(self, tiling: Tiling, each: list[float]) -> _Form:
        compute = [
            sum(_overhead(call) + c * _work(call) for c, call in zip(each, tile, strict=True))
            for tile in tiling.tiles
        ]
        return _Form(tiling, np.array(compute), self._traffic(tiling))

    def _traffic(self, tiling: Tiling) -> tuple[_Traffic, ...]:
        return tuple(
            _Traffic(
                stream,
                np.array([self.costs.copy(size) for size in stream.moves_in]),
                np.array([self.costs.copy(size) for size in stream.moves_out]),
                np.array(stream.moves_in, float) + np.array(stream.moves_out, float),
            )
            for stream in tiling.streams
        )

    def _exact(
        self,
        tiling: Tiling,
        inner: Set[str],
        spare: int = 0,
        rings: Sequence[tuple[int, int]] = (),
    ) -> Option:
        staged_bytes, kernels = tiling.staged_bytes(inner) or 0, self._kernels_of(tiling)
        form = _Form(tiling, kernels.compute, self._traffic(tiling))
        time = self._time(form, form.compute, inner, tiling.ahead)
        waited = [stream for stream in tiling.moved(inner) if stream.moves_in[0]]
        kinds = [(s.slots(tiling.ahead) * s.slot_bytes, s.slots(tiling.ahead)) for s in waited]
        if (spare and staged_bytes <= spare) or (kinds and set(kinds) <= set(rings)):
            time -= _EARLY * sum(self.costs.copy(stream.moves_in[0]) for stream in waited)
        return Option(tiling, staged_bytes + kernels.scratch_bytes, time)

    def _kernels_of(self, tiling: Tiling) -> _Kernels:
        """What the kernels of the tiles take; both depths of a tiling have the same tiles."""
        if id(tiling.tiles) not in self._kernels:
            known: dict[object, tuple[float, int]] = {}
            each = []
            for tile in tiling.tiles:
                like = tuple((*(view.shape for view in c.views), c.accumulate) for c in tile)
                if like not in known:
                    cycles = TILE_CYCLES * (len(tiling.tiles) > 1) + sum(
                        map(self.costs.cycles, tile)
                    )
                    known[like] = cycles, max(map(self.costs.scratch_bytes, tile))
                each.append(known[like])
            compute, scratch = zip(*each, strict=True)
            self._kernels[id(tiling.tiles)] = tiling, _Kernels(np.array(compute), max(scratch))
        return self._kernels[id(tiling.tiles)][1]

    def _time(self, form: _Form, compute: Cycles, inner: Set[str], ahead: int) -> float:
        """Cores and both directions of the DMA work side by side, tile after tile."""
        moved = [t for t in form.traffic if t.stream.buffer not in inner]
        none = np.zeros(len(compute))
        fetch = sum((t.fetch for t in moved), none)
        store = sum((t.store for t in moved), none)
        stalls = self.costs.stalls(sum((t.size for t in moved), none))
        gap = GAP_CYCLES if ahead == 1 else 0.0
        coming = np.append(fetch[1:] + gap, 0.0)
        leaving = np.append(0.0, store[:-1])
        busy = np.maximum(np.maximum(compute + stalls, coming), leaving)
        # The last store runs beside the next unit.
        return float(fetch[0] + busy.sum() + store[-1] / 4)

    def _direct(self, unit: Unit, inner: Set[str]) -> Option:
        """Every core waits for every word."""
        cycles = 0.0
        for call in unit:
            outer = sum(view.size for view in call.views if view.buffer not in inner)
            cycles += self.costs.cycles(call) + (self.costs.direct(call, outer) if outer else 0.0)
        return Option(None, 0, cycles)


def _key(unit: Unit) -> _Key:
    return tuple(id(call) for call in unit)


def _overhead(call: Call) -> float:
    return MEET_CYCLES + (START_CYCLES if call.op.kernels else 0.0)


def _work(call: Call) -> int:
    return max(call.macs, sum(view.size for view in call.views), 1)
