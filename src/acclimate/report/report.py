# SPDX-License-Identifier: Apache-2.0
"""The report of a firmware: numbers only; text, JSON and HTML are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acclimate.program import Phase, Source
from acclimate.report.cycles import StepCycles
from acclimate.report.training_memory import TrainingMemory, Use


@dataclass(frozen=True)
class CallRow:
    """One call of an entry point.

    Args:
        number: position in the entry point, from 0.
        phase: forward, backward or update.
        op: operator, or the label of a generated loop.
        kernel: C function; None for a loop that is generated for this call.
        macs: multiply-accumulates; element-wise work has none.
        read_bytes: of the distinct elements that it reads, each view once; scalars are not memory.
        written_bytes: of the elements that it sets or adds to.
        live_bytes: of the arena during the call.
        source: where in the model it comes from.
        tiles: that it is computed in; what it reads and writes is the sum over them, what is alive
            the most.
        copied_bytes: between memories, for it alone.
    """

    number: int
    phase: Phase
    op: str
    kernel: str | None
    macs: int
    read_bytes: int
    written_bytes: int
    live_bytes: int
    source: Source
    tiles: int = 1
    copied_bytes: int = 0


@dataclass(frozen=True)
class BufferRow:
    """One buffer in the arena of an entry point; it is alive from call `first` to call `last`.

    `memory` is that of its arena, empty where there is one arena only.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    use: Use
    size_bytes: int
    offset_bytes: int
    first: int
    last: int
    source: Source
    memory: str = ""


@dataclass(frozen=True)
class EntryReport:
    """One function of the generated C.

    Args:
        name: predict, train, accumulate or apply.
        arena_bytes: what its buffers need.
        bound_bytes: largest sum of live bytes: no placement of this order of calls is smaller.
        calls: in execution order.
        buffers: in the arena, in order of their first call.
        host_ms: measured time of one call of it on this machine, if it was measured.
        arenas: bytes by memory, where buffers are bound to one.
        bounds: of the arenas, by memory.
    """

    name: str
    arena_bytes: int
    bound_bytes: int
    calls: tuple[CallRow, ...]
    buffers: tuple[BufferRow, ...]
    host_ms: float | None = None
    arenas: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)

    @property
    def copies(self) -> bool:
        """True if data are copied between memories."""
        return any(call.copied_bytes for call in self.calls)

    @property
    def gap(self) -> float:
        """How much larger than the lower bound the arena is; 0 is perfect."""
        return self.arena_bytes / self.bound_bytes - 1.0 if self.bound_bytes else 0.0

    @property
    def gaps(self) -> dict[str, float]:
        """The gap in every memory."""
        return {memory: self.arenas[memory] / size - 1.0 for memory, size in self.bounds.items()}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all calls."""
        return sum(call.macs for call in self.calls)

    def macs_by_phase(self) -> dict[Phase, int]:
        """Multiply-accumulates of every phase."""
        return {
            phase: sum(call.macs for call in self.calls if call.phase is phase) for phase in Phase
        }


@dataclass(frozen=True)
class Memory:
    """Memory of the whole firmware, without code and stack.

    Args:
        arena_bytes: shared by the entry points, since only one of them runs.
        static_bytes: by role: parameter, frozen, statistic, state, gradient.
        ram_bytes: arena and everything static that changes.
        flash_bytes: frozen tensors and the initial values of the others that are not all zero.
        l3_bytes: of activations that wait behind all RAM that cores read.
    """

    arena_bytes: int
    static_bytes: Mapping[str, int]
    ram_bytes: int
    flash_bytes: int
    l3_bytes: int = 0


@dataclass(frozen=True)
class PassRow:
    """One step of the pipeline.

    Args:
        name: of the pass.
        changes: what it did, one line each.
        calls: number of calls after it; None before lowering.
        peak_bytes: largest sum of live activations after it, without scratch; None before lowering.
    """

    name: str
    changes: tuple[str, ...]
    calls: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Report:
    """What a firmware costs.

    Args:
        name: prefix of the C symbols.
        title: model and optimizer.
        target: name of the device.
        version: of acclimate.
        memory: of the whole firmware.
        entries: its functions.
        training: memory that learning takes, per way to learn.
        passes: what every step of the pipeline changed.
        profile: cycles of one call on a simulated device, if one has run.
    """

    name: str
    title: str
    target: str
    version: str
    memory: Memory
    entries: tuple[EntryReport, ...]
    training: tuple[TrainingMemory, ...]
    passes: tuple[PassRow, ...]
    profile: StepCycles | None = None

    def text(self, *, calls: bool = False) -> str:
        """The report as aligned plain text.

        Args:
            calls: with a line for every call.
        """
        from acclimate.report.text import report_text

        return report_text(self, calls=calls)

    def json(self) -> str:
        """The report as JSON: keys are stable, and the unit ends the key of a number."""
        from acclimate.report.document import report_json

        return report_json(self)

    def html(self) -> str:
        """The report as one HTML file that needs nothing else."""
        from acclimate.report.html import report_html

        return report_html(self)

    def __str__(self) -> str:
        return self.text()
