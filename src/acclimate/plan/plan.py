# SPDX-License-Identifier: Apache-2.0
"""Places the buffers of a program: one arena for all entry points, static memory for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from acclimate.errors import DoesNotFit
from acclimate.plan.arena import height, pack
from acclimate.plan.lifetimes import Lifetime, largest_live, lifetimes, live_bytes
from acclimate.plan.placement import place
from acclimate.plan.team import Team, share_work
from acclimate.program import Entry, Program, Role
from acclimate.targets import Memory


@dataclass(frozen=True)
class EntryPlan:
    """Placement of the arena buffers of one entry point.

    Args:
        lives: lifetimes of the buffers.
        offsets: of every buffer, in bytes.
        arena_bytes: what this entry point needs.
        bound_bytes: largest sum of live bytes; no placement of this order is smaller.
        live_bytes: sum of live bytes during every call.
        team: how the cores share the calls.
    """

    lives: tuple[Lifetime, ...]
    offsets: Mapping[str, int]
    arena_bytes: int
    bound_bytes: int
    live_bytes: tuple[int, ...]
    team: Team = field(default_factory=Team)

    @property
    def gap(self) -> float:
        """How much larger than the lower bound the placement is; 0 is perfect."""
        return self.arena_bytes / self.bound_bytes - 1.0 if self.bound_bytes else 0.0


@dataclass(frozen=True)
class Plan:
    """Placement of all buffers. The entry points share one arena, since only one of them runs.

    Args:
        entries: by name.
        static_bytes: sizes of the persistent buffers by role.
        places: memory of the arena and of each persistent buffer; empty where there is one only.
    """

    entries: Mapping[str, EntryPlan]
    static_bytes: Mapping[str, int]
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""
        return max((entry.arena_bytes for entry in self.entries.values()), default=0)

    @property
    def ram_bytes(self) -> int:
        """Arena and everything static that changes."""
        return self.arena_bytes + sum(
            n for role, n in self.static_bytes.items() if role != Role.FROZEN
        )

    def offsets(self) -> dict[str, Mapping[str, int]]:
        """Offsets by entry point and buffer."""
        return {name: entry.offsets for name, entry in self.entries.items()}


def plan(
    program: Program,
    *,
    seconds: float = 5.0,
    ram_bytes: int | None = None,
    cores: int = 1,
    memories: Sequence[Memory] = (),
    limits: Mapping[str, int] | None = None,
) -> Plan:
    """Places every arena buffer of a program.

    Args:
        program: calls in execution order, with kernels and scratch.
        seconds: limit of the exact solver per entry point, in its own deterministic seconds.
        ram_bytes: budget for arena, parameters, states and gradients.
        cores: that run an entry point together.
        memories: of the device, fastest first.
        limits: budgets by memory name [B].

    Returns:
        One offset per arena buffer, and the sizes.

    Raises:
        DoesNotFit: the budget or the memories are too small; names the largest live buffers.

    Source: greedy by size, Pisarchyk and Lee, arXiv:2001.03288; the exact packing is CP-SAT.
    """
    entries = {
        name: _plan_entry(program, entry, seconds, cores) for name, entry in program.entries.items()
    }
    static: dict[str, int] = {}
    for buffer in program.buffers.values():
        if buffer.role.persistent:
            static[buffer.role] = static.get(buffer.role, 0) + buffer.size_bytes
    result = Plan(entries, static)
    if ram_bytes is not None and result.ram_bytes > ram_bytes:
        raise _does_not_fit(program, result, ram_bytes)
    places = place(program, result.arena_bytes, memories, limits or {})
    return replace(result, places=places)


def _plan_entry(program: Program, entry: Entry, seconds: float, cores: int) -> EntryPlan:
    lives = lifetimes(program, entry)
    alive = live_bytes(lives, len(entry.calls))
    offsets = pack(lives, len(entry.calls), seconds)
    arena_bytes = height(lives, offsets)
    team = share_work(program, entry, offsets, arena_bytes, cores)
    return EntryPlan(tuple(lives), offsets, arena_bytes, max(alive, default=0), tuple(alive), team)


def _does_not_fit(program: Program, result: Plan, ram_bytes: int) -> DoesNotFit:
    name, worst = max(result.entries.items(), key=lambda item: item[1].arena_bytes)
    call = max(range(len(worst.live_bytes)), key=worst.live_bytes.__getitem__)
    largest = largest_live(worst.lives, call)
    listed = ", ".join(
        f"{x.buffer.name} {x.size_bytes:,} B {x.buffer.dtype}{list(x.buffer.shape)}"
        for x in largest
    )
    static = {role: n for role, n in result.static_bytes.items() if role != Role.FROZEN}
    parts = ", ".join(
        [f"arena {result.arena_bytes:,} B", *(f"{r} {n:,} B" for r, n in static.items())]
    )
    return DoesNotFit(
        f"{program.name} needs {result.ram_bytes:,} B of RAM; the budget is {ram_bytes:,} B"
        f" ({result.ram_bytes - ram_bytes:,} B over)",
        found=f"{parts}; at call {call} of {name}: {listed}",
        where=str(largest[0].buffer.source) if largest else None,
        hint="train fewer layers, e.g. model.requires_grad_(False); model.fc.requires_grad_(True)",
    )
