# SPDX-License-Identifier: Apache-2.0
"""What a call and a copy take on a cluster, before anything is simulated."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from acclimate.kernels.copy.op import Copy
from acclimate.kernels.loop.op import Map, Reduce
from acclimate.program import Call
from acclimate.targets import Target
from acclimate.tune import Chooser

_BEGIN_CYCLES = 40  # of a copy: five words to the DMA, and the latency of the outer memory
GAP_CYCLES = 300  # the DMA waits for the cores, where nothing is fetched two tiles ahead
MEET_CYCLES = 40  # of a tile: a barrier, and a call
START_CYCLES = 250  # of a kernel on a tile: registers, remainders, cores that are done early
TILE_CYCLES = 60  # of one of several tiles: core 0 waits for copies, all wait for core 0
COMMAND_CYCLES = 45  # of a copy: core 0 gives it to the DMA, all wait for core 0
_ACCESSES = 0.5  # a core's accesses to the fast memory in a cycle
_C_MAC_CYCLES = 3.0  # a multiply-accumulate of a kernel in C, on one core
_LOOP_CYCLES = 2.0  # an element of a loop, and the same again for every operand


def call_cycles(call: Call, cores: int) -> float:
    """Cycles of a call with everything in the fastest memory: an estimate.

    Args:
        call: with its kernel.
        cores: that compute it together.
    """
    if isinstance(call.attrs, (Map, Reduce)):
        operands = len(call.writes) + sum(view is not None for view in call.inputs)
        return MEET_CYCLES + prod(call.attrs.shape) * _LOOP_CYCLES * (1 + operands) / cores
    if isinstance(call.attrs, Copy):
        return 0.0
    if call.work is not None:
        return MEET_CYCLES + call.work.cycles
    elements = sum(view.size for view in call.views)
    return MEET_CYCLES + max(_C_MAC_CYCLES * call.macs, _LOOP_CYCLES * elements) / cores


@dataclass
class Costs:
    """Estimated cycles of calls and of copies.

    Args:
        target: a cluster.
        chooser: of kernels for it.
    """

    target: Target
    chooser: Chooser

    def once(self, cycles: float) -> float:
        """Cycles of code that runs once, given those that it takes where it lies in the cache.

        Four instructions are a line of the instruction cache, which the next tile has replaced.
        """
        figures = self.target.cluster
        assert figures is not None
        return cycles * (1.0 + figures.icache_miss_cycles / 4.0)

    def scratch_bytes(self, call: Call) -> int:
        """What the kernel of a call needs besides its operands."""
        return 4 * self.chooser.choose(call)[1]

    def cycles(self, call: Call) -> float:
        """Cycles of a call with everything in the fastest memory: an estimate."""
        if isinstance(call.attrs, (Map, Reduce, Copy)):
            return call_cycles(call, self.target.cores)
        return call_cycles(self.chooser.choose(call)[0], self.target.cores)

    def copy(self, size_bytes: int) -> float:
        """Cycles of a copy of so many bytes."""
        assert self.target.cluster is not None
        if not size_bytes:
            return 0.0
        return _BEGIN_CYCLES + size_bytes / self.target.cluster.dma_bytes_per_cycle

    def stalls(self, size_bytes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Cycles that a core waits for banks of the fast memory while so many bytes are copied."""
        assert self.target.cluster is not None
        return size_bytes / 4 * _ACCESSES / self.target.cluster.banks

    def direct(self, call: Call, outer: int) -> float:
        """Cycles that a call takes more because so many of its elements lie in the outer memory."""
        latency = self.target.memories[1].latency_cycles
        reuse = max(1.0, call.macs / max(sum(view.size for view in call.views), 1) / 4)
        return outer * latency * reuse / self.target.cores
