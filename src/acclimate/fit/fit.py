# SPDX-License-Identifier: Apache-2.0
"""Fits a program to a device: kernels, order of calls, tiles where a fast memory is small, plan."""

from __future__ import annotations

from dataclasses import replace

from acclimate.errors import DoesNotFit
from acclimate.estimate import entry_cycles
from acclimate.fit.room import PORT_BYTES, fast_room, persistent_bytes, usable, wanted_bytes
from acclimate.fit.save import saved
from acclimate.fit.stage import ORDERED, Stage, run_passes
from acclimate.fit.store import with_less
from acclimate.fit.tiles import fit_tiles
from acclimate.passes import LATE_PASSES
from acclimate.passes.share_sums import share_sums
from acclimate.plan import Plan, arrange, order_calls, plan, put
from acclimate.program import Program, prune, verify
from acclimate.tune import select_kernels
from acclimate.wanted import Wanted


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
    whole, room = prune(stages[-1].program), fast_room(target, limits)
    if room is not None and wanted_bytes(whole) > room:
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
    ordered = order_calls(select_kernels(program, wanted.target))
    late = run_passes(LATE_PASSES, ordered)[-1].program
    whole = prune(late)
    most = usable(wanted.target.memories[1], wanted.limits) - persistent_bytes(whole)
    short = plan(whole, seconds=0.0).arena_bytes - most
    stages = with_less(late, wanted, most, short)
    return stages[-1].program.l3_bytes if stages else 0


def _fit(program: Program, wanted: Wanted) -> tuple[list[Stage], Plan]:
    target, limits = wanted.target, wanted.limits
    shared, changes = share_sums(program, target.cores)
    ordered = verify(order_calls(select_kernels(shared, target)))
    stages = [Stage(ORDERED, tuple(changes), ordered), *run_passes(LATE_PASSES, ordered)]
    stages += saved(stages[-1].program, wanted)
    whole = prune(stages[-1].program)
    room = fast_room(target, limits)
    if room is not None and (wanted_bytes(whole) > room or whole.l3_bytes):
        return fit_tiles(stages[0], wanted, room - PORT_BYTES)
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
