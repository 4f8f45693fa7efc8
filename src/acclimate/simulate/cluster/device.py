# SPDX-License-Identifier: Apache-2.0
"""The generated C on the simulated cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acclimate.errors import DoesNotFit, SimulationFault
from acclimate.program import Program, describe
from acclimate.simulate.bare import BareDevice, Image
from acclimate.simulate.cluster.machine import ARGUMENTS, MOST_CYCLES, Machine
from acclimate.simulate.cluster.profile import Profile, build_profile
from acclimate.targets import Target

# `    /*  12  fc1.linear_fwd ...` above every call of the generated C
_NUMBERED = re.compile(r"\s*/\*\s+(\d+)  ")
_ALIGN = 16


class ClusterDevice(BareDevice):
    """A program on the simulated cluster. `cycles` and `profile` tell about the last call.

    A call that takes more than `limit_cycles` raises OutOfCycles.

    Args:
        program: what was built, with the initial values of its weights.
        image: ELF of it, from `cluster_image`.
        source: the generated C with the calls, for the profile.
        library: from `build_simulator`.
        target: the cluster.
        lr: learning rate where `train` gets none.
        conflicts: False gives every access its L1 bank at once.
        check_races: stop at the first data race in L1.
        progress: told the cycles so far, about once a second.
    """

    def __init__(
        self,
        program: Program,
        image: Path,
        source: bytes,
        library: Path,
        target: Target,
        lr: float,
        *,
        conflicts: bool = True,
        check_races: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.target = target
        self.cycles = 0
        self.limit_cycles = MOST_CYCLES
        self.progress = progress
        self._calls = _call_lines(source)
        loaded = Image(image)
        self.machine = Machine(
            library, target, loaded, conflicts=conflicts, check_races=check_races
        )
        self._attributed: str | None = None
        self._entry = ""
        super().__init__(program, loaded, lr)

    @property
    def profile(self) -> Profile:
        """Cycles and events of the last entry point, per call and core."""
        layers = self.program.entries[self._entry].layers() if self._entry else ()
        rows = []
        for calls in layers:
            parts = (calls[0].source.module, describe(calls[0]))
            label = ".".join(part for part in parts if part)
            rows.append((label, sum(call.macs for call in calls)))
        counts = self.machine.counters()
        return build_profile(self._entry, self.target.machine, self.cycles, counts, rows)

    # ---- memory and calls

    def _load_image(self) -> None:
        """The machine has done it."""

    def _memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        return self.machine.memory(address, size)

    def _scratch(self, size: int) -> int:
        """Above the data of L1 if there is room, else in L2; there too what the DMA copies."""
        inner, stacks = self.image.symbol("ac_l1_end"), self.image.symbol("ac_stacks")
        first = -(-inner // _ALIGN) * _ALIGN
        if first + size <= stacks and not self.program.copies:
            return first
        outer, memory = self.image.symbol("ac_l2_end"), self.target.memory("l2")
        first = -(-outer // _ALIGN) * _ALIGN
        end = memory.address + memory.size_bytes
        if first + size <= end:
            return first
        raise DoesNotFit(
            f"inputs and outputs need {size:,} B; l1 has {stacks - inner:,} B left"
            f" and l2 {end - outer:,} B",
            hint="--target with more memory",
        )

    def _invoke(
        self, symbol: str, arguments: Sequence[npt.NDArray[np.generic] | float], returns_float: bool
    ) -> float:
        entry = symbol.removeprefix(f"{self.program.name}_")
        self._attribute(entry)
        self._entry = entry
        return super()._invoke(symbol, arguments, returns_float)

    def _call(self, address: int, arguments: Sequence[int], returns_float: bool) -> int:
        if len(arguments) > ARGUMENTS:
            raise SimulationFault(
                f"the simulated cluster passes {ARGUMENTS} arguments, not {len(arguments)}",
                hint="fewer inputs and outputs",
            )
        words = [int(word) for word in arguments]
        done = self.machine.call(
            address, words, limit_cycles=self.limit_cycles, progress=self.progress
        )
        self.cycles = done.cycles
        return done.result

    def _attribute(self, entry: str) -> None:
        """Slots of the profile: the instructions of every numbered call of an entry point."""
        if entry == self._attributed or entry not in self.program.entries:
            return
        self._attributed = entry
        for name in (f"{self.program.name}_{entry}_task", f"{self.program.name}_{entry}"):
            if name not in self.image:
                continue
            for low, high, line in self.image.call_table(name):
                number = self._number(name, line)
                self.machine.attribute(low, high, number + 1)

    def _number(self, function: str, line: int) -> int:
        """The call that a line of the C belongs to; -1 before the first one of its function."""
        first = self._calls[function][0]
        number = -1
        for at, found in self._calls[function][1].items():
            if at <= line and at > first:
                number = found
        return number


def _call_lines(source: bytes) -> Mapping[str, tuple[int, dict[int, int]]]:
    """First line, and call number by line, of every function of the generated C."""
    functions: dict[str, tuple[int, dict[int, int]]] = {}
    current: dict[int, int] = {}
    for line, text in enumerate(source.decode().splitlines(), 1):
        head = re.match(r"(?:static )?[a-z_0-9]+ \**(\w+)\(.*\) \{$", text)
        if head:
            current = {}
            functions[head[1]] = (line, current)
        numbered = _NUMBERED.match(text)
        if numbered:
            current[line] = int(numbered[1])
    return functions
