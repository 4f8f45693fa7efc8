# SPDX-License-Identifier: Apache-2.0
"""A firmware in simulated time: its real C decides what to do, measured cycles how long it takes.

The microphone goes on while it works. A window that was overwritten before it was classified is
missed; one that was classified after the next one was due is late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from acclimate.device.adapt.plan import Did, Phase
from acclimate.learn.session import CLASSIFIED, FirmwareDevice, Report

S16 = NDArray[np.int16]
SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Costs:
    """How long the turns of a firmware take.

    Attributes:
        cycles: by what a turn did; a code that is missing takes no time.
        clock_hz: of the device.
        power_mw: while it computes, an estimate; 0 if nobody knows.
        erase_ms: of a sector of the flash, which the firmware waits for.
        source: where the cycles come from.
    """

    cycles: Mapping[int, int]
    clock_hz: float
    power_mw: float = 0.0
    erase_ms: float = 0.0
    source: str = ""

    def of(self, did: int) -> int:
        """Cycles of a turn, those of waiting included."""
        waiting = self.erase_ms * self.clock_hz / 1000 if did == Did.ERASED else 0.0
        return self.cycles.get(did, 0) + round(waiting)

    def energy_nj(self, cycles: int) -> int:
        """Energy of computing for that long [nJ], an estimate."""
        return round(1e6 * self.power_mw * cycles / self.clock_hz)


@dataclass
class Timeline:
    """What happened when.

    Attributes:
        phases: start of each phase [s], in order.
        turns: how many there were, by what they did.
        cycles: that they took, by what they did.
        late: windows that were classified after the next one was due.
        latest_ms: longest time from the last sample of a window to its class.
        longest_ms: longest turn.
        seconds: of the session, waiting included.
        energy_mj: of all turns, an estimate.
        report: of the firmware at the end.
    """

    phases: list[tuple[Phase, float]] = field(default_factory=list)
    turns: Counter[int] = field(default_factory=Counter)
    cycles: Counter[int] = field(default_factory=Counter)
    late: int = 0
    latest_ms: float = 0.0
    longest_ms: float = 0.0
    seconds: float = 0.0
    energy_mj: float = 0.0
    report: Report | None = None


class SimulatedTime:
    """One firmware with a microphone that hears `sound`, again and again.

    Args:
        device: that was booted.
        sound: of the place.
        costs: of its turns.
        hop: samples from a window to the next, as the firmware was compiled for.
        frame: samples of an interrupt of the microphone.
    """

    def __init__(
        self, device: FirmwareDevice, sound: S16, costs: Costs, hop: int, frame: int = 160
    ) -> None:
        self.device, self.sound, self.costs, self.hop = device, sound, costs, hop
        self.frame = frame
        self.now = 0  # cycles
        self._heard = 0  # samples

    def session(
        self,
        settings: object,
        most_turns: int = 1_000_000,
        step: Callable[[int], None] | None = None,
    ) -> Timeline:
        """A session of adaptation from its start to its end.

        Args:
            settings: `ac_adapt_settings`.
            most_turns: an AssertionError after that many.
            step: told what every turn did.
        """
        found, begin = Timeline(), self.now
        assert self.device.adapt(settings, self._ticks()) == Did.NOTHING, "settings"
        report, energy_nj = self.device.report(), 0
        while report.phase != Phase.IDLE:
            if not found.phases or found.phases[-1][0] != report.phase:
                found.phases.append((report.phase, self._seconds(begin)))
            did = self.device.turn(self._ticks(), energy_nj)
            taken = self._take(did)
            energy_nj = self.costs.energy_nj(taken)
            self._note(found, did, taken, report)
            report = self.device.report()
            if step is not None:
                step(did)
            assert sum(found.turns.values()) < most_turns, "the session does not end"
        found.phases.append((Phase.IDLE, self._seconds(begin)))
        found.seconds, found.report = self._seconds(begin), report
        return found

    def _seconds(self, since: int) -> float:
        return (self.now - since) / self.costs.clock_hz

    def _ticks(self) -> int:
        """Microseconds, as the clock of a firmware has them."""
        return int(1e6 * self.now / self.costs.clock_hz) % 2**32

    def _take(self, did: int) -> int:
        """Lets the time of a turn pass: its cycles; if it only waited, up to the next interrupt."""
        taken = self.costs.of(did)
        self.now += taken
        if did in (Did.NOTHING, Did.WAITED):
            next_frame = (self._heard + self.frame) / SAMPLE_RATE_HZ * self.costs.clock_hz
            self.now = max(self.now, int(np.ceil(next_frame)))
        while (self._heard + self.frame) / SAMPLE_RATE_HZ * self.costs.clock_hz <= self.now:
            places = np.arange(self._heard, self._heard + self.frame) % len(self.sound)
            self.device.hear(self.sound[places])
            self._heard += self.frame
        return taken

    def _note(self, found: Timeline, did: int, taken: int, before: Report) -> None:
        ms = 1000 * taken / self.costs.clock_hz
        found.turns[did] += 1
        found.cycles[did] += taken
        found.longest_ms = max(found.longest_ms, ms)
        found.energy_mj += self.costs.energy_nj(taken) / 1e6
        if did == CLASSIFIED:
            number = self.device.report().missed + before.windows
            complete = self.device.samples + number * self.hop
            delay_ms = 1000 * (self.now / self.costs.clock_hz - complete / SAMPLE_RATE_HZ)
            found.latest_ms = max(found.latest_ms, delay_ms)
            found.late += delay_ms > 1000 * self.hop / SAMPLE_RATE_HZ
