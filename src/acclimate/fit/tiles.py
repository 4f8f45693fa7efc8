# SPDX-License-Identifier: Apache-2.0
"""Tiles for the fast memory, and less of the outer one where that is too small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from acclimate.errors import DoesNotFit, NoSchedule
from acclimate.estimate import call_cost, entry_cycles
from acclimate.fit.room import (
    ALIGN_BYTES,
    PORT_BYTES,
    aligned,
    external_bytes,
    outside_bytes,
    persistent_bytes,
    static_bytes,
    usable,
)
from acclimate.fit.save import saved
from acclimate.fit.stage import Stage, run_passes
from acclimate.fit.store import with_less
from acclimate.passes import LATE_PASSES
from acclimate.plan import Plan, arrange, check_bound, plan, put, with_teams
from acclimate.program import Program, prune, verify
from acclimate.stream import Streaming, begin_early
from acclimate.tune.code_size import code_bytes, spare_code
from acclimate.wanted import Wanted

_EARLY_SHARES = (1.0, 0.9, 0.8)  # of the room for copies that begin early: packing leaves holes
_ATTEMPTS = 4  # at an arena that leaves room for the code of its tiles
_CODE_BYTES = 1700  # of a call in tiles, before they are known: of the step of MobileNet
_NOTHING_SAVED = 2  # stages: the order of the calls, and tiles
_CODE_MARGIN_BYTES = 3072  # by which the estimate of code may be too small


@dataclass(frozen=True)
class _Tiled:
    """A program in tiles, with the places of its arenas.

    Args:
        stage: with the program.
        placed: where everything lies.
        short_bytes: by which the outer memory is too small, by estimate of the code there.
    """

    stage: Stage
    placed: Plan
    short_bytes: int


def fit_tiles(ordered: Stage, wanted: Wanted, room: int) -> tuple[list[Stage], Plan]:
    """Tiles for the fast memory, and activations saved where the outer one is too small.

    Args:
        ordered: the stage before tiles.
        wanted: what the program has to fit.
        room: bytes of the fast memory.

    Raises:
        DoesNotFit: a memory is too small.
    """
    saving = wanted.saving
    pages = saving.page == "auto" and wanted.target.l3 is not None
    if saving.optional and (saving.recompute == "auto" or pages):
        return _fit_saving(ordered, wanted, room)
    stages = [ordered, *saved(ordered.program, wanted)]
    tiled = _streamed(prune(stages[-1].program), wanted, room)
    return [*stages, tiled.stage], _put(tiled, wanted)


def _fit_saving(ordered: Stage, wanted: Wanted, room: int) -> tuple[list[Stage], Plan]:
    """The cheaper of saving in both ways and of pages alone, where both ways are allowed.

    What is saved is chosen before code and tiles are known. Calls that are made again need more of
    both than copies do, so pages alone may fit, or be faster, where the two together are not. A
    survey compares the ways itself.
    """
    ways = [wanted]
    if wanted.saving.recompute == "auto" and wanted.saving.page == "auto" and wanted.target.l3:
        ways.append(replace(wanted, saving=replace(wanted.saving, recompute="never")))
    found: list[tuple[list[Stage], Plan]] = []
    for way in ways:
        try:
            stages, placed = _fit_both(ordered, way, room)
        except NoSchedule:
            if way is ways[-1] and not found:
                raise
            continue
        found.append((stages, placed))
        if wanted.costs_only or len(stages) == _NOTHING_SAVED:
            break

    def cycles(fitted: tuple[list[Stage], Plan]) -> int:
        stages, placed = fitted
        program, target = stages[-1].program, wanted.target
        return sum(entry_cycles(program, e, placed, target) for e in program.entries.values())

    return min(found, key=cycles)


def _fit_both(ordered: Stage, wanted: Wanted, room: int) -> tuple[list[Stage], Plan]:
    """Tiles, with so many activations saved that code and data fit the outer memory.

    What is saved is decided before there are tiles. How much code these take, and which calls are
    computed tile by tile together, is known only when they are written: what the outer memory
    lacks then is taken from the arena, until all fits. Where nothing can be saved for that, every
    call is cut alone.
    """
    target, whole = wanted.target, prune(ordered.program)
    arena, outer = plan(whole, seconds=0.0).arena_bytes, target.memories[1]
    most = usable(outer, wanted.limits) - persistent_bytes(whole)
    short = arena + outside_bytes(whole) - outer.size_bytes
    if short <= 0 and arena <= most and "ram" not in wanted.limits:
        # Without the late passes: a loop that overwrites its input ties calls to their order.
        tiled = _streamed(whole, wanted, room)
        arena, short = tiled.placed.arenas.get(outer.name, 0), tiled.short_bytes
        if short <= 0:
            return [ordered, tiled.stage], _put(tiled, wanted)
    else:
        short += _CODE_BYTES * len(list(whole.calls()))
    # With them: a gradient in the place of another one leaves more for activations.
    late, joined = run_passes(LATE_PASSES, ordered.program), True
    late_program, kept = late[-1].program, arena
    for _ in range(_ATTEMPTS):
        arena = min(arena - short, most)
        try:
            changed = with_less(late_program, wanted, arena, kept - arena)
        except NoSchedule:
            if not joined:
                raise
            arena, joined = most, False
            changed = with_less(late_program, wanted, arena, kept - arena)
        tiled = _streamed(prune([*late, *changed][-1].program), wanted, room, joined=joined)
        short = tiled.short_bytes
        if short <= 0:
            break
    return [ordered, *late, *changed, tiled.stage], _put(tiled, wanted)


def _streamed(whole: Program, wanted: Wanted, room: int, *, joined: bool = True) -> _Tiled:
    """Tiles for the fast memory; with less of it where packing leaves gaps."""
    target, seconds = wanted.target, wanted.solver_seconds
    fast, outer = target.memories[0].name, target.memories[1]
    if room < 0:
        raise DoesNotFit(
            f"{whole.name} may take {room + PORT_BYTES} B of {fast}; copies alone need"
            f" {PORT_BYTES} B",
            hint=f"--budget {fast}=4kB",
        )
    check_bound(whole, target.memories, wanted.limits)
    streaming = Streaming(whole, target, room, joined=joined)
    room -= room % ALIGN_BYTES
    budget, least = room, ALIGN_BYTES
    while True:
        tiled, changes = streaming.write(budget)
        rooms = {fast: room - static_bytes(tiled, fast)}
        placed = arrange(tiled, seconds=seconds, rooms=rooms)
        over = aligned(placed.arenas.get(fast, 0)) - rooms[fast]
        if over <= 0:
            break
        # Other stays and tiles may leave the same gap: every turn gives up twice as much.
        budget, least = budget - max(over, least), 2 * least
    if tiled.l3_bytes:
        tiled, placed = _begun_early(tiled, placed, wanted, rooms)
    used = aligned(placed.arenas.get(outer.name, 0)) + static_bytes(tiled, outer.name)
    beside = external_bytes(tiled) + _CODE_MARGIN_BYTES
    short = used - usable(outer, wanted.limits)
    smaller: list[str] = []
    # Where data alone are too large and nothing can be saved, less code does not help.
    if short <= 0 or wanted.saving.wanted:
        tiled, smaller = spare_code(tiled, target, used + beside)
    if outer.writable:
        short = max(short, used + beside + code_bytes(tiled, target) - outer.size_bytes)
    return _Tiled(Stage("stream", (*changes, *smaller), tiled), placed, short)


def _begun_early(
    tiled: Program, placed: Plan, wanted: Wanted, rooms: Mapping[str, int]
) -> tuple[Program, Plan]:
    """Copies out of l3 before the calls that they can run beside, if packing finds them room."""
    target, seconds = wanted.target, wanted.solver_seconds
    assert target.l3 is not None
    outer = target.memories[1]
    beside = external_bytes(tiled) + code_bytes(tiled, target) + _CODE_MARGIN_BYTES
    size = min(usable(outer, wanted.limits), outer.size_bytes - beside)
    rooms = {**rooms, outer.name: size - static_bytes(tiled, outer.name)}
    for share in _EARLY_SHARES:
        most = int(share * rooms[outer.name])
        early = begin_early(tiled, target.l3, call_cost(target), outer.name, most)
        packed = arrange(early, seconds=seconds, rooms=rooms)
        if all(aligned(packed.arenas.get(name, 0)) <= rooms[name] for name in rooms):
            return early, packed
    return tiled, placed


def _put(tiled: _Tiled, wanted: Wanted) -> Plan:
    """The plan of a program in tiles: every tensor has a memory."""
    program, placed, target = tiled.stage.program, tiled.placed, wanted.target
    if not wanted.costs_only:
        placed = with_teams(verify(program), placed, wanted.team)
    ram, memories, limits = wanted.limits.get("ram"), target.memories, wanted.limits
    return put(program, placed, ram_bytes=ram, memories=memories, limits=limits)
