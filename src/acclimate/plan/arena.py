# SPDX-License-Identifier: Apache-2.0
"""Offsets of buffers in one block of memory: greedy first, then CP-SAT within time limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from acclimate.plan.lifetimes import ALIGNMENT_BYTES, Lifetime, live_bytes

_REMEMBERED = 1000
# Whether an arena of a given size holds everything is decided far sooner than the smallest one is
# found. So sizes above the bound are tried, each for a share of the time; one near it is enough.
_GAPS = (0.0, 0.002, 0.005, 0.01, 0.02)
_NEAR = 0.01
_FEW = 100  # buffers for which it is worth a second look whether none need be lost
_SHARES = (0.004, 0.02)
# Offsets by sizes and lifetimes: the points of a survey have many arenas in common.
_KNOWN: dict[tuple[object, ...], tuple[int, ...]] = {}


def pack(lives: Sequence[Lifetime], calls: int, seconds: float) -> dict[str, int]:
    """Offsets in bytes such that buffers alive at once do not overlap.

    Args:
        lives: lifetimes of the buffers.
        calls: number of calls of the entry point.
        seconds: limit for the exact solver; it runs only where greedy leaves a gap to the bound.
    """
    known = _KNOWN.get(key := (*((x.size_bytes, x.first, x.last) for x in lives), seconds))
    if known is None:
        found = _pack(lives, calls, seconds)
        known = tuple(found[life.buffer.name] for life in lives)
        if len(_KNOWN) >= _REMEMBERED:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[key] = known
    return {life.buffer.name: offset for life, offset in zip(lives, known, strict=True)}


def _pack(lives: Sequence[Lifetime], calls: int, seconds: float) -> dict[str, int]:
    bound = max(live_bytes(lives, calls), default=0)
    best = greedy(lives)
    if seconds <= 0:
        return best
    for share in _SHARES:
        best = _within(lives, best, bound, share * seconds)
        gap = height(lives, best) - bound
        if gap == 0 or (gap <= _NEAR * bound and len(lives) > _FEW):
            return best
    if height(lives, best) <= bound * (1 + _NEAR):
        return best
    return _solve(lives, best, bound, height(lives, best), seconds) or best


def _within(
    lives: Sequence[Lifetime], best: dict[str, int], bound: int, seconds: float
) -> dict[str, int]:
    """The first size above the bound that is seen to hold everything, if it is below the best."""
    for gap in _GAPS:
        size = int(bound * (1 + gap))
        if size >= height(lives, best):
            break
        found = _solve(lives, {}, size, size, seconds)
        if found is not None:
            return found
    return best


def height(lives: Sequence[Lifetime], offsets: dict[str, int]) -> int:
    """Bytes of the arena."""
    return max((offsets[life.buffer.name] + life.size_bytes for life in lives), default=0)


def greedy(lives: Sequence[Lifetime]) -> dict[str, int]:
    """Best of four orders, each buffer at the lowest free place.

    Source: greedy by size, Pisarchyk and Lee, arXiv:2001.03288.
    """
    orders = (
        sorted(lives, key=lambda x: (-x.size_bytes, x.first)),
        sorted(lives, key=lambda x: (-(x.last - x.first + 1) * x.size_bytes, x.first)),
        sorted(lives, key=lambda x: (x.first, -x.size_bytes)),
        sorted(lives, key=lambda x: (x.first - x.last, -x.size_bytes)),
    )
    return min((_first_fit(order) for order in orders), key=lambda offsets: height(lives, offsets))


def _first_fit(order: Sequence[Lifetime]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    placed: list[Lifetime] = []
    for life in order:
        taken = sorted(
            (offsets[other.buffer.name], offsets[other.buffer.name] + other.size_bytes)
            for other in placed
            if life.overlaps(other)
        )
        at = 0
        for low, high in taken:
            if low - at >= life.size_bytes:
                break
            at = max(at, high)
        offsets[life.buffer.name] = at
        placed.append(life)
    return offsets


def _solve(
    lives: Sequence[Lifetime], hint: Mapping[str, int], bound: int, top: int, seconds: float
) -> dict[str, int] | None:
    """Rectangles of lifetime x size that do not overlap, smallest total height.

    NOTE: one worker and a limit on deterministic time make the offsets the same on every machine.

    Args:
        lives: the rectangles.
        hint: offsets to begin with; may be empty.
        bound: bytes of a height that is small enough.
        top: bytes of the largest one that is of use.
        seconds: limit, in the solver's deterministic seconds.

    Returns:
        Offsets in bytes; None if none were found in time.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    most = top // ALIGNMENT_BYTES
    total = model.new_int_var(bound // ALIGNMENT_BYTES, most, "height")
    starts, times, spaces = {}, [], []
    for life in lives:
        name, size = life.buffer.name, life.size_bytes // ALIGNMENT_BYTES
        start = model.new_int_var(0, most - size, name)
        starts[name] = start
        times.append(
            model.new_fixed_size_interval_var(life.first, life.last - life.first + 1, name)
        )
        spaces.append(model.new_fixed_size_interval_var(start, size, name))
        if name in hint:
            model.add_hint(start, hint[name] // ALIGNMENT_BYTES)
        if bound < top:
            model.add(start + size <= total)
    model.add_no_overlap_2d(times, spaces)
    if bound < top:
        model.minimize(total)
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = seconds
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return {name: solver.value(start) * ALIGNMENT_BYTES for name, start in starts.items()}
