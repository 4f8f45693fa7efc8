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
class Arena:
    """The arena buffers of one entry point in one memory.

    Args:
        size_bytes: that they need.
        bound_bytes: largest sum of live bytes; no placement of this order is smaller.
    """

    size_bytes: int
    bound_bytes: int


@dataclass(frozen=True)
class EntryPlan:
    """Placement of the arena buffers of one entry point.

    Args:
        lives: lifetimes of the buffers.
        offsets: of every buffer in the arena of its memory, in bytes.
        arenas: by memory; the name is empty where buffers are not bound to one.
        live_bytes: sum of live bytes during every call.
        team: how the cores share the calls.
    """

    lives: tuple[Lifetime, ...]
    offsets: Mapping[str, int]
    arenas: Mapping[str, Arena]
    live_bytes: tuple[int, ...]
    team: Team = field(default_factory=Team)

    @property
    def arena_bytes(self) -> int:
        """What this entry point needs, all memories together."""
        return sum(arena.size_bytes for arena in self.arenas.values())

    @property
    def bound_bytes(self) -> int:
        """What it needs at least."""
        return sum(arena.bound_bytes for arena in self.arenas.values())

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
        places: memory of every arena and of each persistent buffer; empty where there is one only.
    """

    entries: Mapping[str, EntryPlan]
    static_bytes: Mapping[str, int]
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def arenas(self) -> dict[str, int]:
        """Bytes of the arena in every memory."""
        sizes: dict[str, int] = {}
        for entry in self.entries.values():
            for memory, arena in entry.arenas.items():
                sizes[memory] = max(sizes.get(memory, 0), arena.size_bytes)
        return sizes

    @property
    def arena_bytes(self) -> int:
        """Size of the arena, all memories together."""
        return sum(self.arenas.values())

    @property
    def ram_bytes(self) -> int:
        """Arena and everything static that changes, without pages: they lie in slower memory."""
        elsewhere = (Role.FROZEN, Role.PAGE, Role.STORED)
        return self.arena_bytes + sum(
            n for role, n in self.static_bytes.items() if role not in elsewhere
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
    """Places every buffer of a program.

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
    arranged = with_teams(program, arrange(program, seconds=seconds), cores)
    return put(program, arranged, ram_bytes=ram_bytes, memories=memories, limits=limits)


def arrange(
    program: Program,
    *,
    seconds: float = 5.0,
    rooms: Mapping[str, int] | None = None,
) -> Plan:
    """Gives every arena buffer its offset; see `plan`. The cores do not share the calls yet.

    Args:
        program: as for `plan`.
        seconds: as for `plan`.
        rooms: bytes for the arena of a memory, where that is known: what copies take away stays
            there a little longer if there is room.
    """
    entries = {
        name: _plan_entry(program, entry, seconds, rooms or {})
        for name, entry in program.entries.items()
    }
    static: dict[str, int] = {}
    for buffer in program.buffers.values():
        if buffer.role.persistent:
            static[buffer.role] = static.get(buffer.role, 0) + buffer.size_bytes
    return Plan(entries, static)


def with_teams(program: Program, arranged: Plan, cores: int) -> Plan:
    """Decides how the cores share the calls, where the buffers have their places."""
    return replace(
        arranged,
        entries={
            name: replace(
                entry,
                team=share_work(
                    program,
                    program.entries[name],
                    entry.offsets,
                    {memory: arena.size_bytes for memory, arena in entry.arenas.items()},
                    cores,
                ),
            )
            for name, entry in arranged.entries.items()
        },
    )


def put(
    program: Program,
    arranged: Plan,
    *,
    ram_bytes: int | None = None,
    memories: Sequence[Memory] = (),
    limits: Mapping[str, int] | None = None,
) -> Plan:
    """Gives the arenas and every persistent buffer their memory; see `plan`."""
    if ram_bytes is not None and arranged.ram_bytes > ram_bytes:
        raise _does_not_fit(program, arranged, ram_bytes)
    return replace(arranged, places=place(program, arranged.arenas, memories, limits or {}))


def _plan_entry(
    program: Program, entry: Entry, seconds: float, rooms: Mapping[str, int]
) -> EntryPlan:
    lives = lifetimes(program, entry, rooms)
    count = len(entry.calls)
    arenas: dict[str, Arena] = {}
    offsets: dict[str, int] = {}
    for memory in dict.fromkeys(life.buffer.memory for life in lives):
        inside = [life for life in lives if life.buffer.memory == memory]
        found = pack(inside, count, seconds)
        arenas[memory] = Arena(height(inside, found), max(live_bytes(inside, count), default=0))
        offsets |= found
    return EntryPlan(tuple(lives), offsets, arenas, tuple(live_bytes(lives, count)))


def _does_not_fit(program: Program, result: Plan, ram_bytes: int) -> DoesNotFit:
    name, worst = max(result.entries.items(), key=lambda item: item[1].arena_bytes)
    call = max(range(len(worst.live_bytes)), key=worst.live_bytes.__getitem__)
    largest = largest_live(worst.lives, call)
    listed = ", ".join(
        f"{x.buffer.name} {x.size_bytes:,} B {x.buffer.dtype}{list(x.buffer.shape)}"
        for x in largest
    )
    constant = (Role.FROZEN, Role.STORED)
    static = {role: n for role, n in result.static_bytes.items() if role not in constant}
    parts = ", ".join(
        [f"arena {result.arena_bytes:,} B", *(f"{r} {n:,} B" for r, n in static.items())]
    )
    return DoesNotFit(
        f"{program.name} needs {result.ram_bytes:,} B of RAM; the budget is {ram_bytes:,} B"
        f" ({result.ram_bytes - ram_bytes:,} B over)",
        found=f"{parts}; at call {call} of {name}: {listed}",
        where=str(largest[0].buffer.source) if largest else None,
        hint="recompute='auto' takes less RAM and more cycles; or train fewer layers, e.g."
        " model.requires_grad_(False); model.fc.requires_grad_(True)",
    )
