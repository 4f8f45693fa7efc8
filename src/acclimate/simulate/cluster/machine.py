# SPDX-License-Identifier: Apache-2.0
"""The simulator library behind ctypes: memory, calls, counters. Mirrors model/types.hpp."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate.errors import MissingTool, OutOfCycles, SimulationFault
from acclimate.simulate.bare import Image
from acclimate.targets import Target

L1_BASE, L2_BASE, L3_BASE = 0x10000000, 0x1C000000, 0x80000000
L3_RATE = 1 << 16  # one byte per cycle of a copy
STACK_BYTES = 1024
ARGUMENTS = 8
EVENTS = (
    "instructions", "load_use", "branch", "fetch", "conflict", "l2", "fpu", "execute",
    "barrier", "dma", "idle", "fpu_ops", "loads", "stores",
)  # fmt: skip
CYCLE_EVENTS = EVENTS[:11]

_BASES = {"l1": L1_BASE, "l2": L2_BASE}
MOST_CYCLES = 4_000_000_000  # of a call, if nobody asks for less
_CHUNK_CYCLES = 200_000  # of simulation between two looks at Ctrl-C and the progress: a second
_LOOP_RULES = (
    "",
    "its start and end must be 4-byte aligned",
    "its body must have 3 instructions or more",
    "its body must not hold compressed instructions",
    "its body must not hold branches, jumps, fences or returns from traps",
    "an outer loop must end at least 8 bytes after the inner one",
    "its registers must not change while it runs",
    "it must be entered at its start",
)
_TRAPS = {2: "an illegal instruction", 3: "a breakpoint", 11: "an environment call"}


class _Config(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32)
        for name in (
            "cores", "l1_bytes", "l2_bytes", "banks", "l2_latency", "fpus", "icache_bytes",
            "icache_miss", "dma_bytes", "dma_queue", "check_races", "l3_bytes", "l3_setup",
            "l3_rate",
        )
    ]  # fmt: skip


class _Outcome(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_uint32)
            for name in (
                "status", "core", "pc", "address", "value", "other_core", "other_pc", "result",
            )
        ),
        ("cycles", ctypes.c_uint64),
    ]  # fmt: skip


(
    _RUNNING, _DONE, _TRAP, _OUTSIDE, _WRITES_CODE, _STACK, _LOOP, _RACE, _DEADLOCK, _DMA, _UDMA,
    _IN_L3,
) = range(12)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A call that has returned.

    Args:
        result: first word of what it returned.
        cycles: from the first instruction of the function to the one after its return.
    """

    result: int
    cycles: int


class Machine:
    """A simulated cluster with a program in it.

    Args:
        library: of `build_simulator`.
        target: whose `cores`, memories and `cluster` figures the machine has.
        image: the program, linked for this machine.
        conflicts: False gives every access its L1 bank at once.
        check_races: stop when two cores touch the same byte of L1 between two barriers and one
            of them writes.
    """

    def __init__(
        self,
        library: Path,
        target: Target,
        image: Image,
        *,
        conflicts: bool = True,
        check_races: bool = False,
    ) -> None:
        self.target, self.image = target, image
        self._library = _load(library)
        self._broken = ""  # why no further call is possible
        cluster = target.cluster
        assert cluster is not None
        config = _Config(
            cores=target.cores,
            l1_bytes=target.memory("l1").size_bytes,
            l2_bytes=target.memory("l2").size_bytes,
            banks=cluster.banks if conflicts else 0,
            l2_latency=target.memory("l2").latency_cycles,
            fpus=min(cluster.fpus, target.cores),
            icache_bytes=cluster.icache_bytes,
            icache_miss=cluster.icache_miss_cycles,
            dma_bytes=cluster.dma_bytes_per_cycle,
            dma_queue=cluster.dma_queue,
            check_races=check_races,
            l3_bytes=target.l3.size_bytes if target.l3 else 0,
            l3_setup=target.l3.setup_cycles if target.l3 else 0,
            l3_rate=round(target.l3.bytes_per_cycle * L3_RATE) if target.l3 else 0,
        )
        self._handle = ctypes.c_void_p(self._library.cluster_new(ctypes.byref(config)))
        self._load_image()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self._library.cluster_delete(self._handle)

    def _load_image(self) -> None:
        for segment in self.image.segments:
            view = self.memory(segment.address, segment.size_bytes)
            view[: len(segment.data)] = np.frombuffer(segment.data, np.uint8)
        names = ("_start", "ac_code_end", "ac_stacks", "ac_stack_bytes", "ac_host_return")
        self._library.cluster_start(self._handle, *(self.image.symbol(name) for name in names))

    def memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """Bytes of L1, L2 or L3: a view, so writing to it writes to the machine."""
        target = self.target
        sizes = [(base, target.memory(name).size_bytes) for name, base in _BASES.items()]
        for base, length in (*sizes, (L3_BASE, target.l3.size_bytes if target.l3 else 0)):
            end = base + length
            if base <= address and address + size <= end:
                first = self._library.cluster_memory(self._handle, address)
                block: Any = (ctypes.c_uint8 * size).from_address(first)
                block.machine = self  # a view keeps its machine alive
                view: npt.NDArray[np.uint8] = np.frombuffer(block, np.uint8)
                return view
        raise IndexError(f"{size} B at 0x{address:08x} are outside the memories")

    def attribute(self, low: int, high: int, slot: int) -> None:
        """From the issue of an instruction in [low, high) on, cycles count for a slot."""
        self._library.cluster_attribute(self._handle, low, high, slot)

    def call(
        self,
        address: int,
        arguments: Sequence[int] = (),
        *,
        limit_cycles: int = MOST_CYCLES,
        progress: Callable[[int], None] | None = None,
    ) -> Finished:
        """Calls a function on core 0.

        Args:
            address: of the function.
            arguments: 32-bit words, at most 8.
            limit_cycles: of a call that never ends.
            progress: told the cycles so far, about once a second.

        Raises:
            OutOfCycles: it took more than `limit_cycles`.
            SimulationFault: names core, pc and the C line.
        """
        if self._broken:
            raise SimulationFault(
                f"the simulated cluster stands still: {self._broken}",
                hint="start it again: device = firmware.run('cluster')",
            )
        words = (ctypes.c_uint32 * ARGUMENTS)(*arguments)
        self._library.cluster_call(self._handle, address, words)
        self._broken = "its last call was interrupted"
        outcome = self._simulate(limit_cycles, progress)
        if outcome.status != _DONE:
            self._broken = "its last call ended in a fault"
            raise self._fault(outcome)
        self._broken = ""
        return Finished(outcome.result, outcome.cycles)

    def _simulate(self, limit_cycles: int, progress: Callable[[int], None] | None) -> _Outcome:
        """Runs until the call is done, in pieces between which Ctrl-C is seen."""
        outcome = _Outcome()
        spent = 0
        while outcome.status == _RUNNING:
            if spent >= limit_cycles:
                raise OutOfCycles(
                    f"the call has not ended after {limit_cycles:,} cycles",
                    where=self._where(0, outcome.pc),
                    hint="look for a loop without end, or for a barrier that a core never reaches",
                )
            chunk = min(_CHUNK_CYCLES, limit_cycles - spent)
            self._library.cluster_run(self._handle, chunk, ctypes.byref(outcome))
            spent += chunk
            if progress is not None:
                progress(outcome.cycles)
        return outcome

    def counters(self) -> npt.NDArray[np.uint64]:
        """Of the last call: counts[slot, core, event] with the events of `EVENTS`."""
        shape = (self._library.cluster_slots(self._handle), self.target.cores, len(EVENTS))
        first = self._library.cluster_counters(self._handle)
        return np.ctypeslib.as_array(first, shape).copy()

    def _where(self, core: int, pc: int) -> str:
        return f"core {core} at pc 0x{pc:08x}, {self.image.where(pc)}"

    def _fault(self, outcome: _Outcome) -> SimulationFault:
        address = f"0x{outcome.address:08x}"
        where = self._where(outcome.core, outcome.pc)
        if outcome.status == _TRAP:
            cause = _TRAPS.get(outcome.value, f"trap {outcome.value}")
            return SimulationFault(f"the program ran into {cause}", where=where)
        if outcome.status == _OUTSIDE:
            verb = "writes to" if outcome.value else "reads from"
            sizes = ", ".join(
                f"{m.name} 0x{m.address:08x}..0x{m.address + m.size_bytes - 1:08x}"
                for m in self.target.memories
            )
            text = f"the program {verb} address {address}, where there is no memory"
            return SimulationFault(text, found=sizes, where=where)
        if outcome.status == _RACE:
            other = self._where(outcome.other_core, outcome.other_pc)
            return SimulationFault(
                f"two cores touch address {address} between two barriers, and one of them writes",
                found=f"the other one is {other}",
                where=where,
            )
        if outcome.status == _DMA:
            text = f"a DMA transfer of {outcome.value} B reaches outside the memories at {address}"
            return SimulationFault(text, where=where, hint="at most 131071 bytes, inside l1 and l2")
        if outcome.status == _IN_L3:
            verb = "writes to" if outcome.value else "reads from"
            return SimulationFault(
                f"the program {verb} address {address} of l3, which no core and no DMA reaches",
                where=where,
                hint="ac_l3_in copies data to l2, ac_l3_out takes them away",
            )
        if outcome.status == _UDMA:
            text = (
                f"a copy of {outcome.value} B between l3 and l2 reaches outside them at {address}"
            )
            return SimulationFault(
                text, where=where, hint="at most 134217727 bytes, inside l3 and l2"
            )
        texts = {
            _WRITES_CODE: f"the program writes to its own code at address {address}",
            _STACK: f"the stack of a core overflows at address {address}",
            _LOOP: f"a hardware loop breaks a rule: {_LOOP_RULES[outcome.value % 8]}",
            _DEADLOCK: "every core waits for an event that cannot come",
        }
        hints = {
            _STACK: f"a core has {STACK_BYTES} B of stack",
            _DEADLOCK: "a barrier that not all cores reach, or a wait for a transfer never started",
        }
        return SimulationFault(texts[outcome.status], where=where, hint=hints.get(outcome.status))


def _load(library: Path) -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise MissingTool(
            "the simulator in the cache cannot be loaded",
            found=str(error),
            hint=f"remove the folder {library.parent} and try again",
        ) from error
    loaded.cluster_new.restype = ctypes.c_void_p
    loaded.cluster_memory.restype = ctypes.c_void_p
    loaded.cluster_counters.restype = ctypes.POINTER(ctypes.c_uint64)
    loaded.cluster_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p]
    loaded.cluster_run.restype = None
    return loaded
