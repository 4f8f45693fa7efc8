# SPDX-License-Identifier: Apache-2.0
"""Targets: what a device is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from acclimate.errors import BadOption, nearest
from acclimate.targets.check import memory_problems

_FEWER = "fewer than there are: "
_HYPOTHETICAL = "hypothetical, instead of: "


@dataclass(frozen=True)
class Memory:
    """A memory of a device.

    Args:
        name: l1, l2, ram, flash, ...
        address: of its first byte.
        size_bytes: of all of it.
        reserved_bytes: for stacks, program code and runtime, not for the program's data.
        latency_cycles: of a load.
        writable: False for flash.
    """

    name: str
    address: int
    size_bytes: int
    reserved_bytes: int
    latency_cycles: int
    writable: bool = True

    @property
    def usable_bytes(self) -> int:
        """What the program's data may take."""
        return self.size_bytes - self.reserved_bytes


@dataclass(frozen=True)
class Cluster:
    """What the simulated cluster has beside cores and memories.

    Args:
        banks: of l1; neighbouring words are in neighbouring banks.
        fpus: floating-point units; core i computes in unit i modulo `fpus`.
        fpu_latency: pipeline registers of a unit; the simulator builds 0 and 1.
        dma_bytes_per_cycle: from l2 into l1, and at the same time as many out of it.
        dma_queue: commands that wait.
        icache_bytes: instruction cache of each core; 0 is an ideal one.
        icache_miss_cycles: that a miss adds.
    """

    banks: int
    fpus: int
    fpu_latency: int
    dma_bytes_per_cycle: int
    dma_queue: int
    icache_bytes: int
    icache_miss_cycles: int


@dataclass(frozen=True)
class L3:
    """RAM on a serial bus behind the memories of a cluster. No core reads it: copies between it and
    l2 bring data and take them away, one after the other, while the cores compute.

    Args:
        size_bytes: of all of it.
        reserved_bytes: for the application, not for the program's data.
        setup_cycles: of each copy before its first byte moves.
        bytes_per_cycle: of a copy in either direction.
    """

    size_bytes: int
    reserved_bytes: int
    setup_cycles: int
    bytes_per_cycle: float

    @property
    def usable_bytes(self) -> int:
        """What the program's data may take."""
        return self.size_bytes - self.reserved_bytes


@dataclass(frozen=True)
class Figure:
    """A number about a device, and where it comes from."""

    name: str
    value: float
    source: str

    @property
    def text(self) -> str:
        """The value with its thousands apart: 240000000 -> "240 000 000"."""
        return f"{self.value:,}".replace(",", " ")


@dataclass(frozen=True)
class Target:
    """A device.

    Args:
        name: of its file.
        description: one line.
        simulator: what answers for it: host, cluster or cortex_m.
        processor: host, cv32e40p, cortex-m4, ...
        cores: that run a step together.
        features: what kernels may need, e.g. `xpulp`.
        clock_hz: None where it is not known, as on the host.
        power_mw: mean power of the running chip at that clock; None where it is not known.
        memories: fastest first; none for the host.
        cluster: only where the simulator is the cluster.
        l3: behind a cluster that has one.
        sources: where each figure comes from, by "clock_hz", "memory.l1.size_bytes",
            "cluster.banks", ...
        changes: how it differs from the device of that name, e.g. "l1 2048 KiB".
    """

    name: str
    description: str
    simulator: str
    processor: str
    cores: int
    features: frozenset[str]
    clock_hz: int | None = None
    power_mw: float | None = None
    memories: tuple[Memory, ...] = ()
    cluster: Cluster | None = None
    l3: L3 | None = None
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)
    changes: tuple[str, ...] = ()

    @property
    def machine(self) -> str:
        """Name and changes: what a measurement was made on."""
        return ", ".join((self.name, *self.changes))

    def memory(self, name: str) -> Memory:
        """The memory of that name.

        Raises:
            BadOption: the device has no such memory.
        """
        for memory in self.memories:
            if memory.name == name:
                return memory
        names = [memory.name for memory in self.memories]
        raise BadOption(
            f"{self.name} has no memory {name!r}",
            found=", ".join(names) or "no memories: its data stay with the host",
            hint=nearest(name, names) if names else "--target pulp-cluster",
        )

    def with_cores(self, cores: int) -> Target:
        """The same device with only its first cores running.

        Clock and power stay: a mean power with all cores at work is too high for fewer of them.
        The FPUs that no running core needs are left out, so a number of cores that `fpus` does not
        divide shares them unevenly.

        Raises:
            BadOption: the device does not have that many cores.
        """
        if not 1 <= cores <= self.cores:
            raise BadOption(
                f"{self.machine} cannot run on {cores} cores",
                found=f"it has {_count(self.cores)}",
                hint=f"1 to {self.cores}",
            )
        if cores == self.cores:
            return self
        cluster = self.cluster and replace(self.cluster, fpus=min(self.cluster.fpus, cores))
        return replace(
            self,
            cores=cores,
            cluster=cluster,
            sources=self._sources("cores", _FEWER),
            changes=self._changes(r"\d+ cores?", _count(cores)),
        )

    def with_memory(self, name: str, size_bytes: int) -> Target:
        """A device that does not exist: this one with another size of one memory.

        Raises:
            BadOption: there is no such memory, or it cannot have that size.
        """
        old = self.memory(name)
        if size_bytes == old.size_bytes:
            return self
        new = replace(old, size_bytes=size_bytes)
        memories = tuple(new if memory is old else memory for memory in self.memories)
        for problem in memory_problems(memories, self.cluster):
            raise BadOption(
                f"{self.name} cannot have {name} of {size_bytes} B:"
                f" {problem.figure} {problem.what}",
                found=problem.found,
                hint=problem.hint,
            )
        return replace(
            self,
            description=f"hypothetical: {self.description.removeprefix('hypothetical: ')}",
            memories=memories,
            sources=self._sources(f"memory.{name}.size_bytes", _HYPOTHETICAL),
            changes=self._changes(rf"{name} .*", f"{name} {size_text(size_bytes)}"),
        )

    def energy_uj(self, cycles: float) -> float | None:
        """Mean power times time: an estimate, since power depends on what is running.

        Returns:
            Energy [uJ] of so many cycles of all cores, or None without clock or power.
        """
        if self.power_mw is None or self.clock_hz is None:
            return None
        return self.power_mw * cycles / self.clock_hz * 1000  # mW * s = mJ

    def figures(self) -> tuple[Figure, ...]:
        """Every figure that has a source, in the order of the file."""
        found = [("cores", self.cores), ("clock_hz", self.clock_hz), ("power_mw", self.power_mw)]
        for memory in self.memories:
            for name in ("size_bytes", "reserved_bytes", "latency_cycles"):
                found.append((f"memory.{memory.name}.{name}", getattr(memory, name)))
        for name, table in (("cluster", self.cluster), ("l3", self.l3)):
            for part in fields(table) if table else ():
                found.append((f"{name}.{part.name}", getattr(table, part.name)))
        return tuple(
            Figure(name, value, self.sources.get(name, "not given"))
            for name, value in found
            if value is not None
        )

    def _sources(self, figure: str, prefix: str) -> dict[str, str]:
        """The sources, where that of a changed figure says so and keeps the original one."""
        original = self.sources.get(figure, "not given").removeprefix(prefix)
        return {**self.sources, figure: prefix + original}

    def _changes(self, same: str, change: str) -> tuple[str, ...]:
        """The changes with one more, which replaces an earlier one of the same thing."""
        return (*(old for old in self.changes if not re.fullmatch(same, old)), change)


def size_text(size_bytes: int) -> str:
    """A size in the largest unit that shows it exactly: 131072 -> "128 KiB", 2000 -> "2 kB"."""
    for unit, name in ((1024, "KiB"), (1000, "kB")):
        if size_bytes % unit == 0:
            return f"{size_bytes // unit} {name}"
    return f"{size_bytes} B"


def _count(cores: int) -> str:
    return f"{cores} core" if cores == 1 else f"{cores} cores"
