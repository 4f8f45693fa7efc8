# SPDX-License-Identifier: Apache-2.0
"""The best tiling of a call in the fast memory that is left for it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from acclimate.program import Buffer, Call
from acclimate.stream.cost import GAP_CYCLES, MEET_CYCLES, Costs
from acclimate.stream.tiling import Tiling, tilings

_ENOUGH = 8  # tilings that need less than this share of the memory are not cut further
_REFINED = 8  # cuts whose kernels are written before one is taken
_EARLY = 0.8  # of the first fetch is hidden behind the call before


@dataclass(frozen=True)
class Option:
    """A tiling with what it needs.

    Args:
        tiling: None where the call works on the outer memory directly.
        staged_bytes: of the fast memory, without the scratch of kernels.
        cycles: of the call, copies included: an estimate.
    """

    tiling: Tiling | None
    staged_bytes: int
    cycles: float


@dataclass
class Options:
    """Tilings of the calls of a program.

    Args:
        buffers: of the program.
        costs: of calls and copies.
        room: bytes of fast memory, more than which no tiling may need.
    """

    buffers: Mapping[str, Buffer]
    costs: Costs
    room: int
    _known: dict[tuple[int, Set[str]], list[Option]] = field(default_factory=dict)
    _calls: dict[int, Call] = field(default_factory=dict)  # keeps ids of calls from being reused

    def of(self, call: Call, inner: Set[str], room: int) -> list[Option]:
        """Options of a call that fit, the fastest first; the last one needs no memory.

        Args:
            call: with its kernel.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
        """
        inner = frozenset(v.buffer for v in call.views if v.buffer in inner)
        key = id(call), inner
        if key not in self._known:
            self._calls[id(call)] = call
            self._known[key] = sorted(self._all(call, inner), key=lambda o: o.cycles)
        fitting = [o for o in self._known[key] if o.staged_bytes <= room]
        tiled = [o for o in fitting if o.tiling is not None]
        return tiled or fitting

    def refined(self, call: Call, inner: Set[str], room: int, spare: int) -> Option:
        """The fastest option once the kernels of its tiles are known, scratch included.

        Args:
            call: with its kernel.
            inner: buffers that lie in the fast memory.
            room: bytes that are left there.
            spare: of these, what the call before leaves free: the first tile may be fetched early.
        """
        best: Option | None = None
        options = self.of(call, inner, room)
        # Both depths of the few cuts that look best.
        cuts = [*dict.fromkeys(o.tiling.cuts if o.tiling else None for o in options)][:_REFINED]
        for option in options:
            if (option.tiling.cuts if option.tiling else None) not in cuts:
                continue
            exact = self._exact(option, call, inner, spare)
            if exact.staged_bytes <= room and (best is None or exact.cycles < best.cycles):
                best = exact
        return best or self._direct(call, inner)

    def _all(self, call: Call, inner: Set[str]) -> list[Option]:
        found = [self._direct(call, inner)]
        whole = self.costs.cycles(call)
        work = max(call.macs, sum(view.size for view in call.views), 1)
        for family in tilings(call, self.buffers):
            for tiling in family:
                if len(tiling.cuts) == 2 and len(found) > 1:
                    return found  # two dims are cut only where one is not enough
                compute = [
                    MEET_CYCLES + whole * max(t.macs, sum(v.size for v in t.views)) / work
                    for t in tiling.tiles
                ]
                need = None
                for ahead in range(1, 1 + min(2, len(tiling.tiles))):
                    deeper = replace(tiling, ahead=ahead)
                    need = deeper.staged_bytes(inner)
                    if need is not None and need <= self.room:
                        found.append(Option(deeper, need, self._time(deeper, inner, compute)))
                if need is not None and need <= self.room // _ENOUGH:
                    break
        return found

    def _exact(self, option: Option, call: Call, inner: Set[str], spare: int) -> Option:
        if option.tiling is None:
            return option
        scratch = max(self.costs.scratch_bytes(tile) for tile in option.tiling.tiles)
        cycles = [self.costs.cycles(tile) for tile in option.tiling.tiles]
        time = self._time(option.tiling, inner, cycles)
        if option.staged_bytes <= spare:
            first = [s.moves_in[0] for s in option.tiling.moved(inner)]
            time -= _EARLY * sum(self.costs.copy(size) for size in first)
        return Option(option.tiling, option.staged_bytes + scratch, time)

    def _time(self, tiling: Tiling, inner: Set[str], compute: list[float]) -> float:
        """Cores and both directions of the DMA work side by side, tile after tile."""
        moved = tiling.moved(inner)
        count = len(tiling.tiles)
        fetch = [sum(self.costs.copy(s.moves_in[t]) for s in moved) for t in range(count)]
        store = [sum(self.costs.copy(s.moves_out[t]) for s in moved) for t in range(count)]
        gap = GAP_CYCLES if tiling.ahead == 1 else 0.0
        total = fetch[0]
        for tile in range(count):
            after = fetch[tile + 1] + gap if tile + 1 < count else 0.0
            before = store[tile - 1] if tile else 0.0
            total += max(compute[tile], after, before)
        return total + store[-1] / 4  # the last one runs beside the next call

    def _direct(self, call: Call, inner: Set[str]) -> Option:
        """Every core waits for every word."""
        outer = sum(view.size for view in call.views if view.buffer not in inner)
        extra = self.costs.direct(call, outer) if outer else 0.0
        return Option(None, 0, self.costs.cycles(call) + extra)
