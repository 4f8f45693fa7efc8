# SPDX-License-Identifier: Apache-2.0
"""Firmware -> report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import acclimate
from acclimate.kernels.copy.op import Copy
from acclimate.kernels.op import bytes_of
from acclimate.plan import EntryPlan, peak_bytes
from acclimate.program import Call, Entry, Program, Role, View, describe
from acclimate.report.cycles import StepCycles
from acclimate.report.report import BufferRow, CallRow, EntryReport, Memory, PassRow, Report
from acclimate.report.simulated import profile_cycles
from acclimate.report.training_memory import buffer_uses, short_name, training_memory

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.fit import Stage
    from acclimate.simulate.cluster import Profile


def build_report(
    firmware: Firmware,
    *,
    milliseconds: Mapping[str, float] | None = None,
    profile: StepCycles | Profile | None = None,
) -> Report:
    """Gathers what a firmware costs.

    Args:
        firmware: a compiled model.
        milliseconds: measured time of one call on this machine, by entry point.
        profile: of a call on a simulated device: `device.profile` of a cluster, or what
            `step_cycles` returns.

    Returns:
        Numbers that are sums over the program and its plan; what is estimated says so.

    Raises:
        BadOption: the profile is of another machine than the firmware.
    """
    if profile is not None and not isinstance(profile, StepCycles):
        profile = profile_cycles(firmware, profile)
    program, plan = firmware.program, firmware.plan
    measured = milliseconds or {}
    return Report(
        name=program.name,
        title=firmware.title,
        target=firmware.target.name,
        version=acclimate.__version__,
        memory=Memory(
            plan.arena_bytes,
            {str(role): size for role, size in plan.static_bytes.items()},
            plan.ram_bytes,
            flash_bytes(program),
            program.l3_bytes,
        ),
        entries=tuple(
            _entry(program, entry, plan.entries[name], measured.get(name))
            for name, entry in program.entries.items()
        ),
        training=training_memory(program, plan),
        passes=tuple(_pass(stage) for stage in firmware.stages),
        profile=profile,
    )


def flash_bytes(program: Program) -> int:
    """Constants, and the initial values that start-up code copies to RAM: all but zeros."""
    return sum(
        b.size_bytes
        for b in program.buffers.values()
        if b.role in (Role.FROZEN, Role.STORED)
        or (b.role.persistent and program.values[b.name].any())
    )


def _entry(program: Program, entry: Entry, plan: EntryPlan, host_ms: float | None) -> EntryReport:
    uses, numbers = buffer_uses(program, entry), entry.numbers
    live: dict[int, int] = {}
    for number, size in zip(numbers, plan.live_bytes, strict=True):
        live[number] = max(live.get(number, 0), size)
    alive = {life.buffer.name: numbers[life.first : life.last + 1] for life in plan.lives}
    return EntryReport(
        name=entry.name,
        arena_bytes=plan.arena_bytes,
        bound_bytes=plan.bound_bytes,
        calls=tuple(
            _layer(program, calls, number, live[number])
            for number, calls in enumerate(entry.layers())
        ),
        buffers=tuple(
            BufferRow(
                name=short_name(life.buffer.name, entry.name),
                dtype=life.buffer.dtype,
                shape=life.buffer.shape,
                use=uses[life.buffer.name],
                size_bytes=life.buffer.size_bytes,
                offset_bytes=plan.offsets[life.buffer.name],
                first=min(alive[life.buffer.name]),
                last=max(alive[life.buffer.name]),
                source=life.buffer.source,
                memory=life.buffer.memory,
            )
            for life in plan.lives
        ),
        host_ms=host_ms,
        arenas={memory: arena.size_bytes for memory, arena in plan.arenas.items() if memory},
        bounds={memory: arena.bound_bytes for memory, arena in plan.arenas.items() if memory},
    )


def _layer(program: Program, calls: Sequence[Call], number: int, live_bytes: int) -> CallRow:
    tiles = [call for call in calls if not isinstance(call.attrs, Copy)]
    copies = [call for call in calls if isinstance(call.attrs, Copy)]
    call = (tiles or copies)[0]
    return CallRow(
        number=number,
        phase=call.phase,
        op=describe(call),
        kernel=call.kernel.symbol if call.kernel else None,
        macs=sum(tile.macs for tile in tiles),
        read_bytes=sum(_bytes_of(program, tile.reads) for tile in tiles),
        written_bytes=sum(_bytes_of(program, tile.writes) for tile in tiles),
        live_bytes=live_bytes,
        source=call.source,
        tiles=len(tiles),
        copied_bytes=sum(_bytes_of(program, copy.writes) for copy in copies),
    )


def _bytes_of(program: Program, views: Iterable[View]) -> int:
    """Bytes of the distinct elements of views; stride 0 repeats an element."""
    total = 0
    for view in set(views):
        buffer = program.buffers[view.buffer]
        if buffer.role is Role.SCALAR or not buffer.size:
            continue
        steps = zip(view.shape, view.strides, strict=True)
        elements = prod(size for size, step in steps if step)
        total += bytes_of(buffer.dtype, elements)
    return total


def _pass(stage: Stage) -> PassRow:
    program = stage.program
    if program is None:
        return PassRow(stage.name, stage.changes, None, None)
    count = sum(len(entry.calls) for entry in program.entries.values())
    return PassRow(stage.name, stage.changes, count, _activation_peak_bytes(program))


def _activation_peak_bytes(program: Program) -> int:
    """Largest sum of live activations of an entry point: scratch exists only at the last stages."""
    entries = program.entries.values()
    peaks = [
        peak_bytes(program, [replace(call, scratch=None) for call in entry.calls])
        for entry in entries
    ]
    return max(peaks, default=0)
