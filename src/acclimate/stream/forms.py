# SPDX-License-Identifier: Apache-2.0
"""What tilings of a unit move and take, as far as no choice of before decides it.

Everything here follows from the pattern of a unit, the device and the size of its fast memory, so
one `Forms` serves all programs for a device: the points of a survey have most units in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acclimate.kernels.copy.op import Copy
from acclimate.program import Call
from acclimate.stream.alike import Key, Pattern
from acclimate.stream.cost import (
    COMMAND_CYCLES,
    GAP_CYCLES,
    MEET_CYCLES,
    START_CYCLES,
    TILE_CYCLES,
    Costs,
)
from acclimate.stream.tiling import Stream, Tiling, Unit, tilings
from acclimate.targets import Target
from acclimate.tune import Chooser
from acclimate.tune.cache import records_state

_ENOUGH = 8  # tilings that need less than this share of the memory are not cut further
_MOST_AHEAD = 2
_EARLY = 0.8  # of the first fetch is hidden behind the unit before

Cycles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Option:
    """A tiling with what it needs.

    Args:
        tiling: None where the calls work on the outer memory directly.
        staged_bytes: of the fast memory.
        cycles: of the unit, copies included: an estimate.
        form: of the tiling.
        exact: the kernels of its tiles are known.
    """

    tiling: Tiling | None
    staged_bytes: int
    cycles: float
    form: _Form | None = None
    exact: bool = True


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
class Forms:
    """Tilings of patterns of units, with what they take by estimate.

    Args:
        costs: of calls and copies.
        room: bytes of fast memory, more than which no tiling may need.
        patterns: that have been seen.
    """

    costs: Costs
    room: int
    patterns: dict[Key, Pattern] = field(default_factory=dict)
    _forms: dict[tuple[Pattern, bool], list[_Form]] = field(default_factory=dict)
    _listed: dict[tuple[Pattern, Set[str]], Sequence[Option]] = field(default_factory=dict)
    _direct: dict[tuple[Pattern, Set[str]], Option] = field(default_factory=dict)
    _kernels: dict[int, tuple[Tiling, _Kernels]] = field(default_factory=dict)  # by its tiles
    _exact: dict[int, tuple[Option, Option]] = field(default_factory=dict)  # by the option before

    @staticmethod
    def of(target: Target, room: int) -> Forms:
        """The forms for a device; the last ones that were asked for are remembered.

        Args:
            target: a cluster.
            room: bytes of its fast memory.
        """
        # Neither names nor sizes of memories are in an estimate.
        bare = tuple(replace(m, size_bytes=0, reserved_bytes=0) for m in target.memories)
        alike = replace(target, name="", description="", memories=bare, sources={}, changes=())
        return _forms_of(alike, room, records_state())

    def listed(self, pattern: Pattern, inner: Set[str]) -> Sequence[Option]:
        """Tilings by estimate, before their kernels are known, the fastest first.

        Args:
            pattern: of a unit.
            inner: those of its buffers that lie in the fast memory.
        """
        key = pattern, inner
        if key not in self._listed:
            self._listed[key] = sorted(self._all(pattern, inner), key=lambda o: o.cycles)
        return self._listed[key]

    def direct(self, pattern: Pattern, inner: Set[str]) -> Option:
        """Every core waits for every word."""
        key = pattern, inner
        if key not in self._direct:
            cycles = 0.0
            for call in pattern.unit:
                outer = sum(view.size for view in call.views if view.buffer not in inner)
                more = self.costs.direct(call, outer) if outer else 0.0
                cycles += self.costs.cycles(call) + more
            self._direct[key] = Option(None, 0, cycles)
        return self._direct[key]

    def exact(
        self,
        option: Option,
        inner: Set[str],
        spare: int = 0,
        rings: Sequence[tuple[int, int]] = (),
    ) -> Option:
        """An option with the kernels that its tiles will have.

        Args:
            option: of `listed`.
            inner: as for `listed`.
            spare: bytes that the unit before leaves free: the first tile may be fetched early.
            rings: bytes and slots of the buffers in which tiles of the unit before lie.
        """
        if spare or rings:
            return self._known_kernels(option, inner, spare, rings)
        if id(option) not in self._exact:
            self._exact[id(option)] = option, self._known_kernels(option, inner)
        return self._exact[id(option)][1]

    def _known_kernels(
        self,
        option: Option,
        inner: Set[str],
        spare: int = 0,
        rings: Sequence[tuple[int, int]] = (),
    ) -> Option:
        tiling, form = option.tiling, option.form
        assert tiling is not None and form is not None
        staged_bytes, kernels = tiling.staged_bytes(inner) or 0, self._kernels_of(tiling)
        time = self._time(form, kernels.compute, inner, tiling.ahead)
        waited = [stream for stream in tiling.moved(inner) if stream.moves_in[0]]
        kinds = [(s.slots(tiling.ahead) * s.slot_bytes, s.slots(tiling.ahead)) for s in waited]
        if (spare and staged_bytes <= spare) or (kinds and set(kinds) <= set(rings)):
            time -= _EARLY * sum(self.costs.copy(stream.moves_in[0]) for stream in waited)
        return Option(tiling, staged_bytes + kernels.scratch_bytes, time, form)

    def _all(self, pattern: Pattern, inner: Set[str]) -> list[Option]:
        if any(isinstance(call.attrs, Copy) for call in pattern.unit):
            return []  # between l2 and l3: the fast memory has no part in it
        for crossed in (False, True):  # two dims are cut only where one is not enough
            found = [
                o
                for form in self._forms_of(pattern, crossed)
                for o in self._at(form, pattern.unit, inner)
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
                time = self._time(form, form.compute, inner, ahead)
                yield Option(tiling, need, time, form, exact=False)

    def _scratch(self, unit: Unit, tile: Unit) -> int:
        """Bytes that the kernels of a tile need besides, if those of the whole need any."""
        pairs = zip(unit, tile, strict=True)
        return max(self.costs.scratch_bytes(part) if whole.scratch else 0 for whole, part in pairs)

    def _forms_of(self, pattern: Pattern, crossed: bool) -> list[_Form]:
        """All tilings that may fit: of one cut and the whole, or of two cuts that cross."""
        key = pattern, crossed
        if key not in self._forms:
            each = [self.costs.cycles(call) / _work(call) for call in pattern.unit]
            found: list[_Form] = []
            for family in tilings(pattern.unit, pattern.buffers, crossed):
                for whole in family:
                    tiling = whole.without_stores(pattern.local)
                    found.append(self._form(tiling, each))
                    need = tiling.staged_bytes(frozenset())
                    if need is not None and need <= self.room // _ENOUGH:
                        break
            self._forms[key] = found
        return self._forms[key]

    def _form(self, tiling: Tiling, each: list[float]) -> _Form:
        known: dict[object, float] = {}
        compute = []
        for tile in tiling.tiles:
            like = _shapes(tile)
            if like not in known:
                pairs = zip(each, tile, strict=True)
                known[like] = sum(_overhead(call) + c * _work(call) for c, call in pairs)
            compute.append(known[like])
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

    def _kernels_of(self, tiling: Tiling) -> _Kernels:
        """What the kernels of the tiles take; both depths of a tiling have the same tiles."""
        if id(tiling.tiles) not in self._kernels:
            known: dict[object, tuple[float, int]] = {}
            each = []
            for tile in tiling.tiles:
                like = _shapes(tile)
                if like not in known:
                    cycles = sum(map(self.costs.cycles, tile))
                    if len(tiling.tiles) > 1:
                        cycles += self.costs.once(TILE_CYCLES)
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
        begun = sum((np.sign(t.fetch) + np.sign(t.store) for t in moved), none)
        compute = compute + self.costs.once(COMMAND_CYCLES) * begun
        busy = np.maximum(np.maximum(compute + stalls, coming), leaving)
        # The last store runs beside the next unit.
        return float(fetch[0] + busy.sum() + store[-1] / 4)


@lru_cache(maxsize=1)
def _forms_of(target: Target, room: int, records: tuple[Path, int]) -> Forms:
    """See `Forms.of`; what was measured since then chooses other kernels."""
    return Forms(Costs(target, Chooser(target)), room)


def _shapes(tile: Unit) -> tuple[tuple[object, ...], ...]:
    """What the work of a tile depends on: most tiles of a tiling have the same."""
    return tuple((*(view.shape for view in call.views), call.accumulate) for call in tile)


def _overhead(call: Call) -> float:
    return MEET_CYCLES + (START_CYCLES if call.op.kernels else 0.0)


def _work(call: Call) -> int:
    return max(call.macs, sum(view.size for view in call.views), 1)
