# SPDX-License-Identifier: Apache-2.0
"""The part of the pipeline that depends on the device: kernels, order, tiles, places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from acclimate.errors import DoesNotFit, NoSchedule
from acclimate.estimate import call_cost, entry_cycles
from acclimate.passes import LATE_PASSES, Pass
from acclimate.plan import Plan, arrange, check_bound, order_calls, plan, put, with_teams
from acclimate.program import Program, prune, verify
from acclimate.recompute import save_ram
from acclimate.stream import Streaming, begin_early
from acclimate.targets import Memory, Target
from acclimate.tune import select_kernels
from acclimate.tune.code_size import room_beside_code, spare_code
from acclimate.wanted import Wanted

ORDERED = "order_calls"  # the first stage that depends on the target
_ALIGN_BYTES = 8  # of an arena, and of a tensor that lies outside
_EARLY_SHARES = (1.0, 0.9, 0.8)  # of the room for copies that begin early: packing leaves holes
_ATTEMPTS = 4  # to trade cycles for RAM beside tiles
_PORT_BYTES = 768  # of the fast memory: what a port keeps of the copies that are under way


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline: what it changed, and the program after it.

    Args:
        name: of the pass.
        changes: what it did, one line each; empty if it found nothing to do.
        program: after the pass.
    """

    name: str
    changes: tuple[str, ...]
    program: Program


def fit(program: Program, wanted: Wanted) -> tuple[list[Stage], Plan]:
    """Fits a program to a device.

    Args:
        program: without anything that depends on a device, or what it has is replaced.
        wanted: the device, and what the program may take of it.

    Returns:
        The stages, the last one with the program that the plan is for.

    Raises:
        DoesNotFit: a budget or a memory is too small, or a step takes too long.
    """
    stages, placed = _fit(program, wanted)
    _check_time(stages[-1].program, placed, wanted)
    return stages, placed


def quick_ram_bytes(program: Program, wanted: Wanted) -> int:
    """RAM that a program takes on a device, found out without making tiles.

    Args:
        program: as for `fit`.
        wanted: as for `fit`; nothing is saved, and arenas are packed greedily.

    Returns:
        Arena and everything static that changes [B]; parts of buffers in a fast memory may come
        on top of that.

    Raises:
        DoesNotFit: as for `fit`, also where only tiles in the fast memory would make room.
    """
    target, limits = wanted.target, wanted.limits
    ordered = order_calls(select_kernels(program, target))
    stages = run_passes(LATE_PASSES, ordered)
    whole, room = prune(stages[-1].program), _fast_room(target, limits)
    if room is not None and _wanted_bytes(whole) > room:
        whole = prune(ordered)
        outer = [memory.name for memory in target.memories if memory.writable][1]
        whole = replace(
            whole,
            buffers={
                name: replace(b, memory=outer) if b.role.in_arena else b
                for name, b in whole.buffers.items()
            },
        )
    placed = put(
        whole,
        arrange(whole, seconds=0.0),
        ram_bytes=limits.get("ram"),
        memories=target.memories,
        limits=limits,
    )
    return placed.ram_bytes


def quick_l3_bytes(program: Program, wanted: Wanted) -> int:
    """What would wait in l3, found out without making tiles [B].

    Args:
        program: as for `fit`.
        wanted: as for `fit`, with pages.

    Raises:
        NoSchedule: the memories are too small all the same.
    """
    stages = _recomputed(order_calls(select_kernels(program, wanted.target)), wanted)
    return stages[-1].program.l3_bytes if stages else 0


def _fit(program: Program, wanted: Wanted) -> tuple[list[Stage], Plan]:
    target, limits = wanted.target, wanted.limits
    ordered = verify(order_calls(select_kernels(program, target)))
    stages = [Stage(ORDERED, (), ordered), *run_passes(LATE_PASSES, ordered)]
    stages += _recomputed(stages[-1].program, wanted)
    whole = prune(stages[-1].program)
    room = _fast_room(target, limits)
    if room is not None and (_wanted_bytes(whole) > room or whole.l3_bytes):
        return _fit_tiles(ordered, stages[0], wanted, room - _PORT_BYTES)
    stages[-1] = replace(stages[-1], program=whole)
    placed = plan(
        whole,
        seconds=wanted.solver_seconds,
        ram_bytes=limits.get("ram"),
        cores=wanted.team,
        memories=target.memories,
        limits=limits,
    )
    return stages, placed


def _fit_tiles(
    ordered: Program, first: Stage, wanted: Wanted, room: int
) -> tuple[list[Stage], Plan]:
    """Tiles for the fast memory, and less of the outer one where that is asked for."""
    again: list[Stage] = []
    tiled: _Tiled | None = None
    outer = _usable(wanted.target.memories[1], wanted.limits)
    roomy = _wanted_bytes(prune(ordered)) <= room + outer and "ram" not in wanted.limits
    if not wanted.saving.wanted:
        tiled = _streamed(prune(ordered), wanted, room)
    elif wanted.saving.optional and roomy:
        with suppress(DoesNotFit):
            tiled = _streamed(prune(ordered), wanted, room)
    if tiled is None or (tiled.short_bytes > 0 and wanted.saving.wanted):
        again, tiled = _saved_tiles(ordered, wanted, room)
    ram, memories, limits = wanted.limits.get("ram"), wanted.target.memories, wanted.limits
    last = tiled.stage.program
    placed = put(last, tiled.plan, ram_bytes=ram, memories=memories, limits=limits)
    return [first, *again, tiled.stage], placed


def _saved_tiles(ordered: Program, wanted: Wanted, room: int) -> tuple[list[Stage], _Tiled]:
    """Tiles after the stage that trades cycles for RAM of the outer memory.

    That stage comes first, and knows neither which calls are computed tile by tile together nor how
    much code the tiles take. Where less fits than it thought, it is asked for less, and where it
    cannot do that, every call is cut alone.
    """
    spare, joined = 0, True
    for _ in range(_ATTEMPTS):
        # Without the late passes: a loop that overwrites its input ties calls to their order.
        try:
            again = _recomputed(ordered, wanted, spare)
        except NoSchedule:
            if not spare or not joined:
                raise
            spare, joined = 0, False
            again = _recomputed(ordered, wanted)
        program = prune(again[-1].program if again else ordered)
        tiled = _streamed(program, wanted, room, joined)
        if tiled.short_bytes <= 0 or not again:
            break
        spare += tiled.short_bytes
    return again, tiled


def _recomputed(program: Program, wanted: Wanted, spare: int = 0) -> list[Stage]:
    """The stage that trades cycles for RAM, if it is wanted; `spare` bytes stay free."""
    if not wanted.saving.wanted:
        return []
    whole, target, limits = prune(program), wanted.target, wanted.limits
    room, outer = _fast_room(target, limits), None
    pages = wanted.saving.page == "auto" and target.l3 is not None
    asked = pages or wanted.saving.recompute == "auto"
    if room is not None and asked and _wanted_bytes(whole) > room:
        outer = _usable(target.memories[1], limits) - spare
    changed, schedule = save_ram(
        whole,
        target,
        limits,
        wanted.saving,
        room_bytes=outer,
        max_cycles=wanted.max_cycles,
        seconds=wanted.solver_seconds,
    )
    if not schedule.entries:
        return []
    return [Stage("recompute", tuple(str(schedule).splitlines()), verify(changed))]


def _check_time(program: Program, placed: Plan, wanted: Wanted) -> None:
    """A step is within the budgets of time and energy, by estimate."""
    if wanted.max_cycles is None:
        return
    for name, entry in program.entries.items():
        late = wanted.late(entry_cycles(program, entry, placed, wanted.target))
        if late:
            raise DoesNotFit(
                f"{name} of {program.name} {late}",
                found="an estimate; `acclimate run` counts",
                hint="train fewer layers, or allow more RAM where activations are computed again",
            )


@dataclass(frozen=True)
class _Tiled:
    """A program in tiles.

    Args:
        stage: with the program.
        plan: offsets in the arenas; nothing has its memory yet.
        short_bytes: by which the outer memory is too small for it, data or code.
    """

    stage: Stage
    plan: Plan
    short_bytes: int


def _streamed(whole: Program, wanted: Wanted, room: int, joined: bool = True) -> _Tiled:
    """Tiles for the fast memory; with less of it where packing leaves gaps."""
    target, seconds = wanted.target, wanted.solver_seconds
    fast, outer = (memory.name for memory in target.memories[:2])
    if room < 0:
        raise DoesNotFit(
            f"{whole.name} may take {room + _PORT_BYTES} B of {fast}; copies alone need"
            f" {_PORT_BYTES} B",
            hint=f"--budget {fast}=4kB",
        )
    check_bound(whole, target.memories, wanted.limits)
    streaming = Streaming(whole, target, room, joined=joined)
    room -= room % _ALIGN_BYTES
    budget, least = room, _ALIGN_BYTES
    while True:
        tiled, changes = streaming.write(budget)
        rooms = {fast: room - _static_bytes(tiled, fast)}
        placed = arrange(tiled, seconds=seconds, rooms=rooms)
        over = _aligned(placed.arenas.get(fast, 0)) - rooms[fast]
        if over <= 0:
            break
        # Other stays and tiles may leave the same gap: every turn gives up twice as much.
        budget, least = budget - max(over, least), 2 * least
    if tiled.l3_bytes:
        tiled, placed = _begun_early(tiled, placed, wanted, rooms)
    used = _aligned(placed.arenas.get(outer, 0)) + _static_bytes(tiled, outer)
    tiled, smaller, short = spare_code(tiled, target, used)
    short = max(short, used - _usable(target.memory(outer), wanted.limits))
    if not wanted.costs_only:
        placed = with_teams(verify(tiled), placed, wanted.team)
    return _Tiled(Stage("stream", (*changes, *smaller), tiled), placed, short)


def _begun_early(
    tiled: Program, placed: Plan, wanted: Wanted, rooms: Mapping[str, int]
) -> tuple[Program, Plan]:
    """Copies out of l3 before the calls that they can run beside, if packing finds them room."""
    target, seconds = wanted.target, wanted.solver_seconds
    assert target.l3 is not None
    outer = target.memories[1]
    size = min(_usable(outer, wanted.limits), room_beside_code(tiled, target))
    rooms = {**rooms, outer.name: size - _static_bytes(tiled, outer.name)}
    for share in _EARLY_SHARES:
        most = int(share * rooms[outer.name])
        early = begin_early(tiled, target.l3, call_cost(target), outer.name, most)
        packed = arrange(early, seconds=seconds, rooms=rooms)
        if all(_aligned(packed.arenas.get(name, 0)) <= rooms[name] for name in rooms):
            return early, packed
    return tiled, placed


def run_passes(passes: Sequence[Pass], program: Program) -> list[Stage]:
    """Runs passes one after the other; every program in between is checked and kept."""
    stages = []
    for apply in passes:
        program, changes = apply(program)
        stages.append(Stage(apply.__name__, tuple(changes), verify(program)))
    return stages


def _fast_room(target: Target, limits: Mapping[str, int]) -> int | None:
    """Bytes of the fast memory, where a DMA brings data there from an outer one."""
    writable = [memory for memory in target.memories if memory.writable]
    if target.cluster is None or len(writable) < 2:
        return None
    return _usable(writable[0], limits)


def _usable(memory: Memory, limits: Mapping[str, int]) -> int:
    return min(memory.usable_bytes, limits.get(memory.name, memory.usable_bytes))


def _wanted_bytes(program: Program) -> int:
    """What everything takes without tiles."""
    arena = plan(program, seconds=0.0).arena_bytes
    return arena + sum(
        _aligned(b.size_bytes) for b in program.buffers.values() if b.role.persistent
    )


def _static_bytes(program: Program, memory: str) -> int:
    inside = (b for b in program.buffers.values() if b.role.persistent and b.memory == memory)
    return sum(_aligned(b.size_bytes) for b in inside)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
