# SPDX-License-Identifier: Apache-2.0
"""Where the cycles of a call on a simulated device went: text, JSON and HTML are made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

ACCESS_BYTES = 4  # of a load or store of a core
_SMALL = 0.005  # of the whole call: below it a line would only show zeros
_FOLD = 3  # so many small calls in a row become one line


@dataclass(frozen=True)
class CycleKind:
    """What a core does in a cycle.

    Args:
        event: its name in the simulator.
        head: of its column, three letters at most.
        title: of its colour.
        meaning: in a few words.
    """

    event: str
    head: str
    title: str
    meaning: str


# Work first, then what a core waits for: its own pipeline, its memories, the other cores.
KINDS = (
    CycleKind("instructions", "ins", "instruction", "issues an instruction"),
    CycleKind("load_use", "use", "load-use", "waits for the load just before"),
    CycleKind("branch", "bra", "branch", "refills after a taken branch or jump"),
    CycleKind("execute", "mul", "multi-cycle", "multi-cycle: division, mulh, unaligned access"),
    CycleKind("fpu", "fpu", "FPU", "FPU busy for another core, or result awaited"),
    CycleKind("fetch", "i$", "instruction cache", "instruction cache miss"),
    CycleKind("conflict", "bnk", "bank conflict", "L1 bank taken by another core or the DMA"),
    CycleKind("l2", "L2", "L2", "waits for L2"),
    CycleKind("dma", "dma", "DMA", "waits for a DMA transfer"),
    CycleKind("barrier", "bar", "barrier", "waits for other cores at a barrier"),
    CycleKind("idle", "idl", "idle", "has no work"),
)
CYCLE_EVENTS = tuple(kind.event for kind in KINDS)
COUNTS = ("fpu_ops", "loads", "stores")


@dataclass(frozen=True)
class CallCycles:
    """One call of an entry point, or several neighbours folded into one.

    Args:
        number: in the generated C; -1 is what runs around the calls.
        label: module and operator.
        macs: multiply-accumulates.
        cycles: on core 0, from its first instruction to that of the next call.
        instructions: of all cores.
        events: by core, then by event; empty where the simulator does not tell.
        count: of the calls in it.
    """

    number: int
    label: str
    macs: int
    cycles: int
    instructions: int
    events: tuple[Mapping[str, int], ...] = ()
    count: int = 1

    @property
    def mac_per_cycle(self) -> float:
        """Of all cores together."""
        return self.macs / self.cycles if self.cycles else 0.0

    @property
    def access_bytes(self) -> int:
        """What the cores load and store, every access taken as a word."""
        return ACCESS_BYTES * (self.total("loads") + self.total("stores"))

    @property
    def intensity(self) -> float:
        """Multiply-accumulates per byte that the cores load and store."""
        return self.macs / self.access_bytes if self.access_bytes else 0.0

    def total(self, event: str) -> int:
        """Sum over the cores."""
        return sum(core[event] for core in self.events)

    def shares(self) -> dict[str, float]:
        """Part of the cycles of all cores that each kind takes."""
        totals = {event: self.total(event) for event in CYCLE_EVENTS}
        everything = sum(totals.values())
        return {event: n / everything if everything else 0.0 for event, n in totals.items()}


@dataclass(frozen=True)
class Roofs:
    """What a cluster cannot exceed in f32.

    Args:
        cores: that issue one instruction per cycle each.
        fpus: that finish one fused multiply-add per cycle each, of those that a core can use.
        dma_bytes_per_cycle: between L1 and L2.
        l2_bytes_per_cycle: that cores load from L2 without DMA; None where no data are there.
    """

    cores: int
    fpus: int
    dma_bytes_per_cycle: int
    l2_bytes_per_cycle: float | None = None

    @property
    def l1_bytes_per_cycle(self) -> int:
        """One access per core and cycle."""
        return ACCESS_BYTES * self.cores

    def reachable(self, intensity: float) -> float:
        """MAC per cycle at a number of MAC per byte of L1 traffic: the classic roofline.

        Source: Williams, Waterman and Patterson, "Roofline", Comm. ACM 52(4), 2009.
        """
        return min(float(self.fpus), self.l1_bytes_per_cycle * intensity)

    def issue(self, intensity: float) -> float:
        """The same where loads, stores and MACs share one issue slot per core and cycle.

        A MAC comes with 1 / (4 intensity) accesses, so 1 + 1 / (4 intensity) instructions.
        """
        accesses = 1 / (ACCESS_BYTES * intensity)
        return min(self.reachable(intensity), self.cores / (1 + accesses))


@dataclass(frozen=True)
class StepCycles:
    """One call of an entry point on a simulated device.

    Args:
        entry: train, predict, ...
        machine: what it ran on.
        cores: of the machine.
        exact: False where the cycles are an estimate.
        cycles: of the whole call.
        calls: in order; what runs around the calls comes first or last.
        conditions: under which the numbers hold, by name.
        roofs: of the machine; None where it is not a cluster.
        time_ms: at the clock of the target; None without one.
        energy_uj: an estimate; None where the target gives no power.
        energy_source: of the power.
    """

    entry: str
    machine: str
    cores: int
    exact: bool
    cycles: int
    calls: tuple[CallCycles, ...]
    conditions: Mapping[str, str]
    roofs: Roofs | None = None
    time_ms: float | None = None
    energy_uj: float | None = None
    energy_source: str = ""

    @property
    def counted(self) -> bool:
        """True if the simulator tells what every core did in every cycle."""
        return any(call.events for call in self.calls)

    def whole(self) -> CallCycles:
        """All calls as one."""
        return replace(joined(self.calls), number=-1, label="sum")

    def kinds(self) -> tuple[CycleKind, ...]:
        """Those that occur."""
        whole = self.whole()
        return tuple(kind for kind in KINDS if whole.total(kind.event))

    def folded(self) -> tuple[CallCycles, ...]:
        """The calls in order, with neighbours that take next to no time as one."""
        rows: list[CallCycles] = []
        for small, group in groupby(self.calls, key=self._small):
            calls = tuple(group)
            if small and len(calls) >= _FOLD:
                rows.append(replace(joined(calls), label=f"{len(calls)} small calls"))
            else:
                rows += calls
        return tuple(rows)

    def _small(self, call: CallCycles) -> bool:
        return call.number >= 0 and call.cycles < _SMALL * self.cycles


def joined(calls: tuple[CallCycles, ...]) -> CallCycles:
    """The sum of calls, with the number of the first."""
    per_core = zip(*(call.events for call in calls if call.events), strict=True)
    events = tuple(
        {name: sum(part[name] for part in core) for name in (*CYCLE_EVENTS, *COUNTS)}
        for core in per_core
    )
    return CallCycles(
        number=calls[0].number if calls else -1,
        label="",
        macs=sum(call.macs for call in calls),
        cycles=sum(call.cycles for call in calls),
        instructions=sum(call.instructions for call in calls),
        events=events,
        count=len(calls),
    )
