# SPDX-License-Identifier: Apache-2.0
"""Where the cycles of a call went: per call of the generated step and per core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acclimate.simulate.cluster.machine import CYCLE_EVENTS, EVENTS

Counts = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class CallProfile:
    """One call of an entry point; number -1 is what runs around the calls: fork, arguments, join.

    Args:
        number: in the generated C.
        cycles: on core 0, from its first instruction to that of the next call; the calls add up
            to the whole.
        macs: multiply-accumulates.
        events: by core, then by event; every cycle of a core is one of `CYCLE_EVENTS`.
    """

    number: int
    label: str
    cycles: int
    macs: int
    events: tuple[Mapping[str, int], ...]

    @property
    def mac_per_cycle(self) -> float:
        """Of all cores together."""
        return self.macs / self.cycles if self.cycles else 0.0

    def total(self, event: str) -> int:
        """Sum over the cores."""
        return sum(core[event] for core in self.events)


@dataclass(frozen=True)
class Profile:
    """A profiled entry point.

    Args:
        entry: its name.
        machine: what it ran on.
        cores: of the machine.
        cycles: of the whole call, 64 bits.
        calls: in order; the first one is what runs around the calls.
    """

    entry: str
    machine: str
    cores: int
    cycles: int
    calls: tuple[CallProfile, ...]

    def share(self, event: str) -> float:
        """Part of all core cycles that an event takes."""
        everything = sum(call.total(name) for call in self.calls for name in CYCLE_EVENTS)
        return sum(call.total(event) for call in self.calls) / everything if everything else 0.0


def build_profile(
    entry: str,
    machine: str,
    cycles: int,
    counts: Counts,
    labels: Sequence[tuple[str, int]],
) -> Profile:
    """Names the counters of a machine.

    Args:
        entry: that was called.
        machine: name of it.
        cycles: of the call.
        counts: [slot, core, event]; slot 0 is around the calls, slot i + 1 is call i.
        labels: text and MACs of every call.
    """
    calls = []
    for slot, (label, macs) in enumerate([("fork and join", 0), *labels]):
        if slot >= counts.shape[0]:
            break  # the last calls have no instruction of their own
        events = tuple(
            {name: int(core[i]) for i, name in enumerate(EVENTS)} for core in counts[slot]
        )
        spent = int(counts[slot, 0, : len(CYCLE_EVENTS)].sum())
        calls.append(CallProfile(slot - 1, label, spent, macs, events))
    return Profile(entry, machine, counts.shape[1], cycles, tuple(calls))
