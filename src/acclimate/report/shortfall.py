# SPDX-License-Identifier: Apache-2.0
"""A firmware -> what it takes of every memory of a device, and what is too large."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from acclimate.estimate import STEPS, entry_cycles
from acclimate.firmware import Firmware
from acclimate.plan import arena_name, assign, live_bytes
from acclimate.program import Buffer, Role
from acclimate.report.build import flash_bytes
from acclimate.report.points import Cost, Large, Room
from acclimate.report.training_memory import short_name
from acclimate.targets import Target

BUDGET = "budget"  # the limit of all RAM together
_ALIGN_BYTES = 8
_SHOWN = 3


def cost_of(firmware: Firmware, target: Target, limits: Mapping[str, int]) -> Cost:
    """What a training step takes.

    Args:
        firmware: of `target`, or of the same device with larger memories.
        target: whose memories there are.
        limits: budgets by memory [B], `ram` for all RAM.
    """
    program = firmware.program
    entry = next(program.entries[n] for n in STEPS if n in program.entries)
    cycles = entry_cycles(program, entry, firmware.plan, target)
    energy_uj = target.energy_uj(cycles)
    return Cost(
        rooms=tuple(_rooms(firmware, target, limits)),
        parts=_parts(firmware),
        flash_bytes=flash_bytes(firmware.program),
        macs=sum(call.macs for call in entry.calls),
        cycles=cycles,
        milliseconds=None if target.clock_hz is None else 1000.0 * cycles / target.clock_hz,
        energy_mj=None if energy_uj is None else energy_uj / 1000.0,
    )


def _places(firmware: Firmware) -> dict[str, str]:
    """Memory of every arena and persistent buffer, constants too."""
    limits = firmware.wanted.limits if firmware.wanted else {}
    plan = firmware.plan
    return assign(firmware.program, plan.arenas, firmware.target.memories, limits)


def _in_flash(firmware: Firmware, places: Mapping[str, str], name: str) -> bool:
    """True for a constant that takes no RAM."""
    role = firmware.program.buffers[name].role
    if role.behind or not places:
        return role in (Role.FROZEN, Role.STORED)
    return not firmware.target.memory(places[name]).writable


def _parts(firmware: Firmware) -> dict[str, int]:
    places, parts = _places(firmware), {"arena": firmware.plan.arena_bytes}
    for buffer in firmware.program.buffers.values():
        if buffer.role.persistent and not _in_flash(firmware, places, buffer.name):
            role = str(buffer.role)
            parts[role] = parts.get(role, 0) + buffer.size_bytes
    return parts


def _rooms(firmware: Firmware, target: Target, limits: Mapping[str, int]) -> Iterator[Room]:
    """The memories of the device; one without a limit where it has none."""
    places, plan = _places(firmware), firmware.plan
    if places:
        arenas: dict[str, int] = defaultdict(int)
        for memory, size in plan.arenas.items():
            if size:
                arenas[places[arena_name(memory)]] += _aligned(size)
        static: dict[str, int] = defaultdict(int)
        for buffer in firmware.program.buffers.values():
            if buffer.role.persistent:
                static[places[buffer.name]] += _aligned(buffer.size_bytes)
        for here in target.memories:
            usable = min(here.usable_bytes, limits.get(here.name, here.usable_bytes))
            yield Room(here.name, arenas[here.name], static[here.name], usable, here.writable)
        if target.l3 is not None and firmware.program.l3_bytes:
            yield Room(Role.L3, 0, firmware.program.l3_bytes, target.l3.usable_bytes, True)
    total, limit = plan.ram_bytes - plan.arena_bytes, limits.get("ram")
    if not places:
        yield Room("RAM", plan.arena_bytes, total, limit)
    elif limit is not None and [m.name for m in target.memories if m.writable] != ["ram"]:
        yield Room(BUDGET, plan.arena_bytes, total, limit)


def largest_in(firmware: Firmware, cost: Cost, target: Target) -> tuple[Large, ...]:
    """The largest buffers that are in use at once in the memories that are too small."""
    found = []
    for room in cost.rooms:
        if room.over_bytes:
            inside = [*_live(firmware, room.memory), *_static(firmware, room.memory)]
            found += sorted(inside, key=lambda large: -large.size_bytes)[:_SHOWN]
    return tuple(found)


def refusal_of(cost: Cost, large: tuple[Large, ...]) -> str:
    """Shortfall per memory with what is largest there; empty where everything fits."""
    reasons: list[str] = []
    for room in cost.rooms:
        if not room.over_bytes:
            continue
        head = (
            f"{room.memory} is {room.over_bytes:,} B short: {room.taken_bytes:,} B wanted,"
            f" {room.usable_bytes:,} B usable"
        )
        items = [x for x in large if x.memory == room.memory]
        shown = ", ".join(f"{x.name} {x.size_bytes:,} B ({x.source})" for x in items)
        # A memory and the budget of all RAM often lack room for the same buffers.
        known = any(shown in reason for reason in reasons)
        reasons.append(head if known else f"{head}; largest: {shown}")
    return "; ".join(reasons)


def _live(firmware: Firmware, memory: str) -> Iterator[Large]:
    """Buffers of the largest arena in a memory, at the call where most of them are alive."""
    places, plan = _places(firmware), firmware.plan
    everywhere = memory in (BUDGET, "RAM")
    inside = {m for m in plan.arenas if everywhere or places.get(arena_name(m)) == memory}
    if not inside:
        return
    sizes = {
        name: sum(arena.size_bytes for m, arena in entry.arenas.items() if m in inside)
        for name, entry in plan.entries.items()
    }
    worst = max(sizes, key=sizes.__getitem__)
    lives = [life for life in plan.entries[worst].lives if life.buffer.memory in inside]
    alive = live_bytes(lives, len(firmware.program.entries[worst].calls))
    call = max(range(len(alive)), key=alive.__getitem__)
    for life in lives:
        if life.first <= call <= life.last:
            source = str(life.buffer.source) or "made by the compiler"
            yield Large(short_name(life.buffer.name, worst), memory, life.size_bytes, source)


def _static(firmware: Firmware, memory: str) -> Iterator[Large]:
    places = _places(firmware)
    for buffer in firmware.program.buffers.values():
        if not buffer.role.persistent:
            continue
        everywhere = memory in (BUDGET, "RAM") and not _constant(buffer)
        if everywhere or places.get(buffer.name) == memory:
            source = str(buffer.source) or str(buffer.role)
            yield Large(buffer.name, memory, buffer.size_bytes, source)


def _constant(buffer: Buffer) -> bool:
    return buffer.role in (Role.FROZEN, Role.STORED)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGN_BYTES) * _ALIGN_BYTES
