# SPDX-License-Identifier: Apache-2.0
"""What a program has to fit: a device, budgets, and how RAM may be saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acclimate.recompute import Saving
from acclimate.targets import Target


@dataclass(frozen=True)
class Wanted:
    """What a program has to fit, and how.

    Args:
        target: the device.
        limits: budgets by memory name [B], `ram` for all that changes.
        solver_seconds: limit of the exact packing of an arena.
        saving: what may be computed again or wait in a slower memory.
        ms: time that a step may take, by estimate; None for no limit.
        mj: energy that a step may take, by estimate; None for no limit.
        costs_only: nobody runs the program: how cores share its calls is left open.
    """

    target: Target
    limits: Mapping[str, int] = field(default_factory=dict)
    solver_seconds: float = 5.0
    saving: Saving = field(default_factory=Saving)
    ms: float | None = None
    mj: float | None = None
    costs_only: bool = False

    @property
    def team(self) -> int:
        """Cores whose work is shared out."""
        return 1 if self.costs_only else self.target.cores

    @property
    def max_cycles(self) -> int | None:
        """Cycles of an entry point within time and energy."""
        clock_hz, uj = self.target.clock_hz, self.target.energy_uj(1.0)
        most = []
        if self.ms is not None and clock_hz is not None:
            most.append(self.ms * clock_hz / 1000.0)
        if self.mj is not None and uj is not None:
            most.append(1000.0 * self.mj / uj)
        return int(min(most)) if most else None

    def late(self, cycles: int) -> str:
        """What is wrong with a step of so many cycles; empty if it is within time and energy."""
        if self.max_cycles is None or cycles <= self.max_cycles:
            return ""
        found = [f"{cycles:,} cycles"]
        if self.target.clock_hz is not None:
            found.append(f"{1000.0 * cycles / self.target.clock_hz:.3g} ms")
        if (uj := self.target.energy_uj(cycles)) is not None:
            found.append(f"{uj / 1000.0:.3g} mJ")
        asked = [f"{self.ms:g} ms"] if self.ms is not None else []
        asked += [f"{self.mj:g} mJ"] if self.mj is not None else []
        return f"takes about {', '.join(found)}; the budget is {' and '.join(asked)}"
