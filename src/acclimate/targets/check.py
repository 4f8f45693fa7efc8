# SPDX-License-Identifier: Apache-2.0
"""Which figures a device can have: every rule that is more than the type of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from acclimate.errors import nearest

if TYPE_CHECKING:
    from acclimate.targets.targets import L3, Cluster, Memory, Target

SIMULATORS = ("host", "cluster", "cortex_m")
_ARM_FPU = frozenset({"fpu", "simd"})
# What each simulator runs, and what a processor can have: `xpulp` code on an Arm would not even
# assemble, and a Cortex-M0+ or M3 exists without FPU only.
PROCESSORS = {
    "host": {"host": frozenset({"fpu", "simd", "f16"})},
    "cluster": {"cv32e40p": frozenset({"fpu", "simd", "xpulp", "f16", "float_registers"})},
    "cortex_m": {
        "cortex-m0plus": frozenset[str](),
        "cortex-m3": frozenset[str](),
        "cortex-m4": _ARM_FPU,
        "cortex-m7": _ARM_FPU,
        "cortex-m33": _ARM_FPU,
    },
}
FEATURES = ("fpu", "simd", "xpulp", "f16", "float_registers")
CLUSTER_ADDRESSES = {"l1": 0x1000_0000, "l2": 0x1C00_0000}  # fixed in the simulator
L3_ADDRESS = 0x8000_0000  # fixed in the simulator, alike
_MOST_L3_BYTES = 64 << 20  # that the simulator holds
_FPU_LATENCIES = range(2)  # that the simulator is tested with
_MOST_CORES = 16
_MOST_REQUESTERS = 32  # of an L1 bank in one cycle: cores, and words of the DMA in and out
_CACHE_SET_BYTES = 64  # four lines of 16 B
_ADDRESSES = 1 << 32


@dataclass(frozen=True)
class Problem:
    """A figure that cannot be.

    Args:
        figure: e.g. "memory.l1.size_bytes".
        what: what is wrong with it, without its name.
        found: what is there.
        hint: what to write instead.
    """

    figure: str
    what: str
    found: str
    hint: str


def problems(target: Target) -> Iterator[Problem]:
    """Everything that cannot be about a device; nothing if it can be built or simulated."""
    yield from _processor_problems(target)
    yield from _core_problems(target)
    yield from _simulator_problems(target)
    if target.cluster:
        yield from _cluster_problems(target.cluster, target.cores)
    if target.l3:
        yield from _l3_problems(target.l3, target)
    yield from memory_problems(target.memories, target.cluster)


def _processor_problems(target: Target) -> Iterator[Problem]:
    every = [name for known in PROCESSORS.values() for name in known]
    known = PROCESSORS.get(target.simulator, {})
    if target.simulator not in SIMULATORS:
        hint = nearest(target.simulator, SIMULATORS)
        yield Problem("simulator", "is unknown", repr(target.simulator), hint)
    elif target.processor not in every:
        hint = nearest(target.processor, every)
        yield Problem("processor", "is unknown", repr(target.processor), hint)
    elif target.processor not in known:
        what = f"is not one of the simulator {target.simulator!r}"
        yield Problem("processor", what, repr(target.processor), nearest(target.processor, known))
    for feature in sorted(target.features):
        if feature not in FEATURES:
            yield Problem("features", "are unknown", repr(feature), nearest(feature, FEATURES))
        elif target.processor in known and feature not in known[target.processor]:
            allowed = ", ".join(sorted(known[target.processor])) or "none: features = []"
            what = f"are not all features of {target.processor}"
            yield Problem("features", what, repr(feature), f"allowed: {allowed}")


def _core_problems(target: Target) -> Iterator[Problem]:
    if target.cores < 1:
        yield Problem("cores", "is less than 1", str(target.cores), "1 or more")
    if target.cores > _MOST_CORES:
        hint = f"1 to {_MOST_CORES}"
        yield Problem("cores", "is more than run a step together", str(target.cores), hint)
    if target.simulator == "cortex_m" and target.cores > 1:
        hint = "cores = 1: describe one core, and say in the description that there are more"
        yield Problem("cores", "is more than the simulator runs", str(target.cores), hint)
    if target.clock_hz is not None and target.clock_hz <= 0:
        hint = "clock_hz in Hz, e.g. 240_000_000; leave it out if it is unknown"
        yield Problem("clock_hz", "is not positive", str(target.clock_hz), hint)
    if target.power_mw is not None and not 0 < target.power_mw < float("inf"):
        hint = "power_mw in mW, e.g. 30.6; leave it out if it is unknown"
        yield Problem("power_mw", "is not positive", str(target.power_mw), hint)


def _simulator_problems(target: Target) -> Iterator[Problem]:
    on_cluster = target.simulator == "cluster"
    if on_cluster and target.cluster is None:
        yield Problem("cluster", "is missing", "simulator 'cluster'", "add the table [cluster]")
    if not on_cluster and target.cluster is not None:
        hint = "remove the table [cluster], or write simulator = 'cluster'"
        yield Problem("cluster", "is of no use", f"simulator {target.simulator!r}", hint)
    if target.simulator == "cortex_m" and not any(m.writable for m in target.memories):
        found = ", ".join(m.name for m in target.memories) or "no [[memory]]"
        yield Problem("memory", "has nothing that can be written", found, "add a [[memory]]")
    for name, address in CLUSTER_ADDRESSES.items() if on_cluster else ():
        found = ", ".join(m.name for m in target.memories) or "none"
        place = f"name = {name!r}, address = {address:#x}"
        memory = next((m for m in target.memories if m.name == name), None)
        if memory is None:
            yield Problem(f"memory.{name}", "is missing", found, f"a [[memory]] with {place}")
        elif memory.address != address:
            what = "is not where the simulator has it"
            yield Problem(f"memory.{name}.address", what, f"{memory.address:#x}", place)
        elif not memory.writable:
            yield Problem(f"memory.{name}.writable", "is false", "false", "remove the line")


def memory_problems(memories: Sequence[Memory], cluster: Cluster | None) -> Iterator[Problem]:
    """What cannot be about the memories of a device, alone and together."""
    for memory in memories:
        yield from _one_memory(memory, cluster)
    by_address = sorted(memories, key=lambda m: m.address)
    for low, high in pairwise(by_address):
        if low.address + low.size_bytes > high.address:
            last = low.address + low.size_bytes - 1
            found = f"{low.name} {low.address:#x} to {last:#x}, {high.name} from {high.address:#x}"
            hint = "another address, or a smaller size"
            yield Problem(f"memory.{high.name}.address", f"is inside {low.name}", found, hint)
    for fast, slow in pairwise(memories):
        if fast.latency_cycles > slow.latency_cycles:
            found = f"{fast.name} {fast.latency_cycles}, {slow.name} {slow.latency_cycles}"
            what = f"is less than that of {fast.name} before it"
            hint = f"fastest first: {slow.name} before {fast.name}"
            yield Problem(f"memory.{slow.name}.latency_cycles", what, found, hint)


def _one_memory(memory: Memory, cluster: Cluster | None) -> Iterator[Problem]:
    def problem(figure: str, what: str, found: int, hint: str) -> Problem:
        return Problem(f"memory.{memory.name}.{figure}", what, str(found), hint)

    size = memory.size_bytes
    if size <= 0:
        yield problem("size_bytes", "is not positive", size, "the size in bytes, e.g. 131072")
    elif not 0 <= memory.address <= _ADDRESSES - size:
        hint = "address and size within 32 bits"
        yield problem("address", "is outside the address space", memory.address, hint)
    if memory.reserved_bytes < 0:
        yield problem("reserved_bytes", "is negative", memory.reserved_bytes, "0 or more")
    elif size > 0 and memory.reserved_bytes >= size:
        found, hint = memory.reserved_bytes, f"less than the size, {size} B"
        yield problem("reserved_bytes", "leaves nothing for the program", found, hint)
    if memory.latency_cycles < 1:
        hint = "1 or more cycles: 1 is a memory without wait states"
        yield problem("latency_cycles", "is less than 1", memory.latency_cycles, hint)
    if cluster is None or memory.name != "l1":
        return
    if memory.latency_cycles > 1:
        hint = "1: l1 of the simulator answers in the next cycle"
        yield problem("latency_cycles", "is not 1", memory.latency_cycles, hint)
    row_bytes = 4 * max(cluster.banks, 1)
    if size > 0 and size % row_bytes:
        hint = f"a multiple of {row_bytes} B, one word per bank"
        yield problem("size_bytes", f"does not fill {cluster.banks} banks", size, hint)


def _cluster_problems(cluster: Cluster, cores: int) -> Iterator[Problem]:
    def problem(figure: str, what: str, hint: str) -> Problem:
        return Problem(f"cluster.{figure}", what, str(getattr(cluster, figure)), hint)

    if cluster.banks < 1 or cluster.banks & (cluster.banks - 1):
        yield problem("banks", "is not a power of two", "1, 2, 4, 8, 16, 32, ...")
    if not 1 <= cluster.fpus <= max(cores, 1):
        yield problem("fpus", f"is not between 1 and {cores} cores", f"1 to {cores}")
    elif cores % cluster.fpus:
        fitting = ", ".join(str(n) for n in range(1, cores + 1) if cores % n == 0)
        yield problem("fpus", f"does not divide {cores} cores", f"allowed: {fitting}")
    if cluster.fpu_latency not in _FPU_LATENCIES:
        hint = "0 or 1, which the simulator builds"
        yield problem("fpu_latency", "is not a number of pipeline registers", hint)
    if cluster.dma_bytes_per_cycle < 4 or cluster.dma_bytes_per_cycle % 4:
        yield problem("dma_bytes_per_cycle", "is not a number of words", "4, 8, 16, ...")
    elif cores + 2 * (cluster.dma_bytes_per_cycle // 4) > _MOST_REQUESTERS:
        hint = f"at most {4 * ((_MOST_REQUESTERS - cores) // 2)} beside {cores} cores"
        yield problem("dma_bytes_per_cycle", "is more than the simulator moves", hint)
    if cluster.dma_queue < 1:
        yield problem("dma_queue", "is less than 1", "1 or more transfers")
    if cluster.icache_bytes < 0 or cluster.icache_bytes % _CACHE_SET_BYTES:
        hint = f"0 for an ideal cache, or a multiple of {_CACHE_SET_BYTES} B, four lines of 16 B"
        yield problem("icache_bytes", "is not a number of cache sets", hint)
    if cluster.icache_miss_cycles < (1 if cluster.icache_bytes else 0):
        hint = "1 or more; 0 only with icache_bytes = 0"
        yield problem("icache_miss_cycles", "is too small", hint)


def _l3_problems(l3: L3, target: Target) -> Iterator[Problem]:
    def problem(figure: str, what: str, hint: str) -> Problem:
        return Problem(f"l3.{figure}", what, str(getattr(l3, figure)), hint)

    if target.cluster is None:
        hint = "remove the table [l3]: what a core reads itself is a [[memory]]"
        yield Problem("l3", "is behind a cluster only", f"simulator {target.simulator!r}", hint)
    for memory in target.memories if target.cluster else ():
        if memory.name == "l3":
            hint = "[l3], or [[memory]] with another name"
            yield Problem("memory.l3", "is there beside [l3]", "two l3", hint)
    if not 0 < l3.size_bytes <= _MOST_L3_BYTES:
        yield problem("size_bytes", "cannot be simulated", f"1 to {_MOST_L3_BYTES} B")
    elif not 0 <= l3.reserved_bytes < l3.size_bytes:
        hint = f"0 or more and less than the size, {l3.size_bytes} B"
        yield problem("reserved_bytes", "leaves nothing for the program", hint)
    if l3.setup_cycles < 1:
        yield problem("setup_cycles", "is less than 1", "1 or more cycles")
    if not 1 / 64 <= l3.bytes_per_cycle <= 16:
        yield problem("bytes_per_cycle", "cannot be simulated", "1/64 to 16, e.g. 0.9")
