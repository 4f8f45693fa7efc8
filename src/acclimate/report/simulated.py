# SPDX-License-Identifier: Apache-2.0
"""What a simulated device tells about its last call -> cycles with the conditions they hold for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from acclimate.errors import BadOption
from acclimate.plan import arena_name
from acclimate.program import Call, describe
from acclimate.report.cycles import ACCESS_BYTES, CallCycles, Roofs, StepCycles
from acclimate.targets import Cluster, Target, size_text

if TYPE_CHECKING:
    from acclimate.firmware import Firmware
    from acclimate.simulate import Device
    from acclimate.simulate.cluster import Profile

_AROUND = "around the calls"


def step_cycles(firmware: Firmware, device: Device, entry: str = "train") -> StepCycles:
    """Where the cycles of the last call on a device went.

    Args:
        firmware: what runs there.
        device: from `firmware.run`, after a call of an entry point.
        entry: that was called.

    Raises:
        BadOption: the device counts no cycles.
    """
    simulated: Any = device
    if hasattr(device, "profile"):
        return profile_cycles(firmware, simulated.profile, simulated.target)
    if not hasattr(device, "line_costs"):
        raise BadOption(
            "the host counts no cycles", hint="--on cluster, or --measure for its milliseconds"
        )
    return _estimated_cycles(firmware, simulated, entry)


def profile_cycles(
    firmware: Firmware, profile: Profile, target: Target | None = None
) -> StepCycles:
    """A profile of the cluster with its conditions.

    Args:
        firmware: what ran.
        profile: of a `ClusterDevice`.
        target: the cluster; by default that of the firmware.

    Raises:
        BadOption: the profile is of another machine.
    """
    target = target or firmware.target
    if target.cluster is None or target.machine != profile.machine:
        raise BadOption(
            f"{firmware.program.name} was compiled for {target.machine}; the profile is of"
            f" {profile.machine}",
            hint=f"ac.compile(..., target={profile.machine.partition(',')[0]!r})",
        )
    calls = tuple(
        CallCycles(
            call.number,
            call.label if call.number >= 0 else _AROUND,
            call.macs,
            call.cycles,
            call.total("instructions"),
            call.events,
        )
        for call in profile.calls
    )
    return StepCycles(
        profile.entry,
        profile.machine,
        profile.cores,
        True,
        profile.cycles,
        calls,
        conditions(firmware, target),
        _roofs(firmware, target, target.cluster),
        device_ms(target, profile.cycles),
        target.energy_uj(profile.cycles),
        target.sources.get("power_mw", ""),
    )


def _roofs(firmware: Firmware, target: Target, cluster: Cluster) -> Roofs:
    # A core has one access to L2 at a time, and waits for it.
    latency = target.memory("l2").latency_cycles
    outer = "l2" in firmware.plan.places.values() and latency
    return Roofs(
        target.cores,
        min(cluster.fpus, target.cores),
        cluster.dma_bytes_per_cycle,
        ACCESS_BYTES * target.cores / latency if outer else None,
    )


def _estimated_cycles(firmware: Firmware, device: Any, entry: str) -> StepCycles:
    """Instructions and estimated cycles of a Cortex-M per numbered call of the C."""
    from acclimate.simulate.cortex_m.profile import call_costs

    program, processor = firmware.program, device.processor.name
    source = firmware.sources("binary")[f"{program.name}.c"].decode()
    layers = program.entries[entry].layers()
    calls = []
    for cost in call_costs(device.line_costs, source):
        head = re.match(r"\d+", cost.name)
        number = int(head[0]) if head else -1
        label = call_label(layers[number][0]) if head else _AROUND
        macs = sum(call.macs for call in layers[number]) if head else 0
        calls.append(CallCycles(number, label, macs, cost.cycles, cost.instructions))
    # A clock and a power are those of one chip: another processor has others.
    chip = firmware.target if firmware.target.processor == processor else None
    machine = chip.machine if chip else f"{processor}, no chip in particular"
    return StepCycles(
        entry,
        machine,
        1,
        False,
        device.cycles,
        tuple(calls),
        {
            **(conditions(firmware, chip) if chip else {"machine": machine}),
            "cycles": f"an estimate: {device.cycles_source}; memory without wait states",
        },
        time_ms=device_ms(chip, device.cycles),
        energy_uj=chip.energy_uj(device.cycles) if chip else None,
        energy_source=chip.sources.get("power_mw", "") if chip else "",
    )


def call_label(call: Call) -> str:
    """Module and operator of a call: `fc1.linear_fwd`."""
    return ".".join(part for part in (call.source.module, describe(call)) if part)


def device_ms(target: Target | None, cycles: int) -> float | None:
    """Time of so many cycles at the clock of a target, None without one."""
    return 1e3 * cycles / target.clock_hz if target and target.clock_hz else None


def conditions(firmware: Firmware, target: Target) -> dict[str, str]:
    """What a number of cycles depends on besides the program, by name."""
    from acclimate.simulate import zig_version

    cluster = target.cluster
    cores = [f"{target.cores} x {target.processor}"]
    cores += [f"{cluster.fpus} FPUs of latency {cluster.fpu_latency}"] if cluster else []
    cores += [", ".join(sorted(target.features - {"fpu"}))]
    stated = {
        "machine": f"{target.machine}: {target.description}",
        "cores": ", ".join(part for part in cores if part),
    }
    if target.clock_hz:
        stated["clock"] = f"{target.clock_hz / 1e6:g} MHz"
    if target.clock_hz and target.power_mw:
        source = target.sources.get("power_mw", "not given")
        stated["power"] = f"{target.power_mw:g} mW on average, so energy is an estimate: {source}"
    if cluster:
        memories = {memory.name: memory for memory in target.memories}
        l1, l2 = memories["l1"], memories["l2"]
        stated["memories"] = (
            f"l1 {size_text(l1.size_bytes)} in {cluster.banks} banks,"
            f" l2 {size_text(l2.size_bytes)} after {l2.latency_cycles} cycles"
        )
        stated["code"] = (
            f"in l2 behind {cluster.icache_bytes} B of cache per core,"
            f" {cluster.icache_miss_cycles} cycles per miss"
            if cluster.icache_bytes
            else "behind an ideal instruction cache"
        )
    stated["data"] = _places(firmware)
    stated["compiler"] = f"zig cc {zig_version()} -O3"
    return stated


def _places(firmware: Firmware) -> str:
    """`arena of 4,000 B in l1; tensors 1,200 B in l1, 34,000 B in l2`."""
    places, program = dict(firmware.plan.places), firmware.program
    if not places:
        return "where the linker puts it"
    sizes: dict[str, int] = {}
    arenas = [
        f"{size:,} B in {places.pop(arena_name(memory))}"
        for memory, size in firmware.plan.arenas.items()
        if arena_name(memory) in places
    ]
    for name, memory in places.items():
        sizes[memory] = sizes.get(memory, 0) + program.buffers[name].size_bytes
    tensors = ", ".join(f"{size:,} B in {memory}" for memory, size in sorted(sizes.items()))
    parts = [f"arena of {' and '.join(arenas)}"] if arenas else []
    parts += [f"tensors {tensors}"] if tensors else []
    tiled = program.copies and firmware.target.cluster is not None
    return "; ".join([*parts, *(["parts copied to l1 by the DMA"] if tiled else [])])
