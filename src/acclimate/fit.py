# SPDX-License-Identifier: Apache-2.0
"""The part of the pipeline that depends on the device: kernels, order, tiles, places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from acclimate.errors import DoesNotFit
from acclimate.estimate import entry_cycles
from acclimate.passes import LATE_PASSES, Pass
from acclimate.passes.share_sums import share_sums
from acclimate.plan import Plan, arrange, check_bound, order_calls, plan, put, with_teams
from acclimate.program import Program, prune, verify
from acclimate.recompute import Saving, save_ram
from acclimate.stream import Streaming
from acclimate.targets import Memory, Target
from acclimate.tune import select_kernels
from acclimate.tune.code_size import code_bytes, spare_code

ORDERED = "order_calls"  # the first stage that depends on the target
_ALIGN_BYTES = 8  # of an arena, and of a tensor that lies outside
_PORT_BYTES = 768  # of the fast memory: what a port keeps of the copies that are under way
_ATTEMPTS = 3  # at an arena that leaves room for the code of its tiles
_CODE_BYTES = 1700  # of a call in tiles, before they are known: of the step of MobileNet
_CODE_MARGIN_BYTES = 3072  # by which the estimate of code may be too small


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


@dataclass(frozen=True)
class Wanted:
    """What a program has to fit, and how.

    Args:
        target: the device.
        limits: budgets by memory name [B], `ram` for all that changes.
        solver_seconds: limit of the exact packing of an arena.
        saving: what may be computed again or wait in a slower memory.
        ms: time that a step may take, by estimate; None for no limit.
        mj: energy that a step may take, by estimate; None for no limit.
        costs_only: nobody runs the program: how cores share its calls is left open.
    """

    target: Target
    limits: Mapping[str, int] = field(default_factory=dict)
    solver_seconds: float = 5.0
    saving: Saving = field(default_factory=Saving)
    ms: float | None = None
    mj: float | None = None
    costs_only: bool = False

    @property
    def team(self) -> int:
        """Cores whose work is shared out."""
        return 1 if self.costs_only else self.target.cores

    @property
    def max_cycles(self) -> int | None:
        """Cycles of an entry point within time and energy."""
        clock_hz, uj = self.target.clock_hz, self.target.energy_uj(1.0)
        most = []
        if self.ms is not None and clock_hz is not None:
            most.append(self.ms * clock_hz / 1000.0)
        if self.mj is not None and uj is not None:
            most.append(1000.0 * self.mj / uj)
        return int(min(most)) if most else None

    def late(self, cycles: int) -> str:
        """What is wrong with a step of so many cycles; empty if it is within time and energy."""
        if self.max_cycles is None or cycles <= self.max_cycles:
            return ""
        found = [f"{cycles:,} cycles"]
        if self.target.clock_hz is not None:
            found.append(f"{1000.0 * cycles / self.target.clock_hz:.3g} ms")
        if (uj := self.target.energy_uj(cycles)) is not None:
            found.append(f"{uj / 1000.0:.3g} mJ")
        asked = [f"{self.ms:g} ms"] if self.ms is not None else []
        asked += [f"{self.mj:g} mJ"] if self.mj is not None else []
        return f"takes about {', '.join(found)}; the budget is {' and '.join(asked)}"


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


def _fit(program: Program, wanted: Wanted) -> tuple[list[Stage], Plan]:
    target, limits = wanted.target, wanted.limits
    shared, changes = share_sums(program, target.cores)
    ordered = verify(order_calls(select_kernels(shared, target)))
    stages = [Stage(ORDERED, tuple(changes), ordered), *run_passes(LATE_PASSES, ordered)]
    stages += _recomputed(stages[-1].program, wanted)
    whole = prune(stages[-1].program)
    room = _fast_room(target, limits)
    if room is not None and _wanted_bytes(whole) > room:
        return _in_tiles(stages[0], wanted, room - _PORT_BYTES)
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


@dataclass(frozen=True)
class _Tiled:
    """A program in tiles, with the places of its arenas.

    Args:
        stage: with the program.
        placed: where everything lies.
        used_bytes: of the outer memory, for everything but code.
    """

    stage: Stage
    placed: Plan
    used_bytes: int

    def over_bytes(self, target: Target) -> int:
        """What the outer memory lacks, by estimate of the code that lies there too."""
        outer = target.memories[-1]
        needed = self.used_bytes + code_bytes(self.stage.program, target) + _CODE_MARGIN_BYTES
        return needed - outer.size_bytes if outer.writable else 0


def _in_tiles(ordered: Stage, wanted: Wanted, room: int) -> tuple[list[Stage], Plan]:
    """Tiles for the fast memory, and activations computed again where the outer one is too small.

    How much code the tiles take is known only when they are written: what the outer memory lacks
    then is taken from the arena, until all fits.

    Args:
        ordered: the stage before tiles.
        wanted: what the program has to fit.
        room: bytes of the fast memory.

    Raises:
        DoesNotFit: a memory is too small.
    """
    target, whole = wanted.target, prune(ordered.program)
    if wanted.saving.recompute != "auto":
        stages = [ordered, *_recomputed(ordered.program, wanted)]
        tiled = _streamed(prune(stages[-1].program), wanted, room)
        return [*stages, tiled.stage], _put(tiled, wanted)
    arena, outer = plan(whole, seconds=0.0).arena_bytes, target.memories[-1]
    most = _usable(outer, wanted.limits) - _persistent_bytes(whole)
    over = arena + _outside_bytes(whole) - outer.size_bytes
    if over <= 0 and arena <= most:
        # Without the late passes: a loop that overwrites its input ties calls to their order.
        tiled = _streamed(whole, wanted, room)
        arena, over = tiled.placed.arenas.get(outer.name, 0), tiled.over_bytes(target)
        if over <= 0:
            return [ordered, tiled.stage], _put(tiled, wanted)
    else:
        over += _CODE_BYTES * len(list(whole.calls()))
    # With them: a gradient in the place of another one leaves more for activations.
    late = run_passes(LATE_PASSES, ordered.program)
    for _ in range(_ATTEMPTS):
        arena = min(arena - over, most)
        again = _recomputed(late[-1].program, wanted, arena)
        tiled = _streamed(prune([*late, *again][-1].program), wanted, room)
        over = tiled.over_bytes(target)
        if over <= 0:
            break
    return [ordered, *late, *again, tiled.stage], _put(tiled, wanted)


def _recomputed(program: Program, wanted: Wanted, arena_bytes: int | None = None) -> list[Stage]:
    """The stage that trades cycles for RAM, if it is wanted.

    Args:
        program: before tiles.
        wanted: what it has to fit.
        arena_bytes: what the memory behind the fast one of a cluster leaves for the arena.
    """
    if not wanted.saving.wanted:
        return []
    whole = prune(program)
    changed, schedule = save_ram(
        whole,
        wanted.target,
        wanted.limits,
        wanted.saving,
        room_bytes=None if arena_bytes is None else arena_bytes + _persistent_bytes(whole),
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


def _streamed(whole: Program, wanted: Wanted, room: int) -> _Tiled:
    """Tiles for the fast memory; with less of it where packing leaves gaps."""
    target, seconds = wanted.target, wanted.solver_seconds
    fast = target.memories[0].name
    if room < 0:
        raise DoesNotFit(
            f"{whole.name} may take {room + _PORT_BYTES} B of {fast}; copies alone need"
            f" {_PORT_BYTES} B",
            hint=f"--budget {fast}=4kB",
        )
    check_bound(whole, target.memories, wanted.limits)
    streaming = Streaming(whole, target, room)
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
    outer = target.memories[-1].name
    used = _aligned(placed.arenas.get(outer, 0)) + _static_bytes(tiled, outer)
    used += sum(_aligned(b.size_bytes) for b in tiled.buffers.values() if b.role.external)
    tiled, smaller = spare_code(tiled, target, used + _CODE_MARGIN_BYTES)
    return _Tiled(Stage("stream", (*changes, *smaller), tiled), placed, used)


def _put(tiled: _Tiled, wanted: Wanted) -> Plan:
    """The plan of a program in tiles: every tensor has a memory."""
    program, placed, target = tiled.stage.program, tiled.placed, wanted.target
    if not wanted.costs_only:
        placed = with_teams(verify(program), placed, wanted.team)
    ram, memories, limits = wanted.limits.get("ram"), target.memories, wanted.limits
    return put(program, placed, ram_bytes=ram, memories=memories, limits=limits)


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
    return plan(program, seconds=0.0).arena_bytes + _persistent_bytes(program)


def _persistent_bytes(program: Program) -> int:
    return sum(_aligned(b.size_bytes) for b in program.buffers.values() if b.role.persistent)


def _outside_bytes(program: Program) -> int:
    """Of all tensors that do not lie in an arena; inputs and outputs lie beside weights."""
    return sum(_aligned(b.size_bytes) for b in program.buffers.values() if not b.role.in_arena)


def _static_bytes(program: Program, memory: str) -> int:
    inside = (b for b in program.buffers.values() if b.role.persistent and b.memory == memory)
    return sum(_aligned(b.size_bytes) for b in inside)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
