# SPDX-License-Identifier: Apache-2.0
"""The stage that trades cycles for RAM."""

from __future__ import annotations

from acclimate.fit.room import persistent_bytes
from acclimate.fit.stage import Stage
from acclimate.program import Program, prune, verify
from acclimate.recompute import save_ram
from acclimate.wanted import Wanted


def saved(program: Program, wanted: Wanted, arena_bytes: int | None = None) -> list[Stage]:
    """The stage that trades cycles for RAM, if it is wanted.

    Args:
        program: before tiles.
        wanted: what it has to fit.
        arena_bytes: what the memory behind the fast one of a cluster leaves for the arena.

    Raises:
        NoSchedule: nothing is within the limits.
    """
    if not wanted.saving.wanted:
        return []
    whole = prune(program)
    changed, schedule = save_ram(
        whole,
        wanted.target,
        wanted.limits,
        wanted.saving,
        room_bytes=None if arena_bytes is None else arena_bytes + persistent_bytes(whole),
        max_cycles=wanted.max_cycles,
        seconds=wanted.solver_seconds,
    )
    if not schedule.entries:
        return []
    return [Stage("recompute", tuple(str(schedule).splitlines()), verify(changed))]
