# SPDX-License-Identifier: Apache-2.0
"""Report -> JSON. The keys are an interface: they only grow; the unit ends the key of a number."""

from __future__ import annotations

import json
from typing import Any

from acclimate.report.cycles import COUNTS, CYCLE_EVENTS, CallCycles, StepCycles
from acclimate.report.report import BufferRow, CallRow, EntryReport, Report
from acclimate.report.training_memory import TrainingMemory

_FORMAT = 1


def report_json(report: Report) -> str:
    """The report as JSON text."""
    return json.dumps(report_document(report), indent=1) + "\n"


def report_document(report: Report) -> dict[str, Any]:
    """The report as values that `json` can write."""
    memory = report.memory
    return {
        "format": _FORMAT,
        "acclimate": report.version,
        "name": report.name,
        "title": report.title,
        "target": report.target,
        "memory": {
            "arena_bytes": memory.arena_bytes,
            "ram_bytes": memory.ram_bytes,
            "flash_bytes": memory.flash_bytes,
            "l3_bytes": memory.l3_bytes,
            "static": {f"{role}_bytes": size for role, size in memory.static_bytes.items()},
        },
        "entries": {entry.name: _entry(entry) for entry in report.entries},
        "training_memory": [_training(memory) for memory in report.training],
        "passes": [
            {
                "name": row.name,
                "changes": list(row.changes),
                "calls": row.calls,
                "peak_activation_bytes": row.peak_bytes,
            }
            for row in report.passes
        ],
        "profile": profile_document(report.profile) if report.profile else None,
    }


def profile_document(step: StepCycles) -> dict[str, Any]:
    """Cycles of a call on a simulated device; what is counted per core is a list over the cores."""
    roofs = step.roofs
    return {
        "entry": step.entry,
        "machine": step.machine,
        "cores": step.cores,
        "exact": step.exact,
        "cycles": step.cycles,
        "time_ms": step.time_ms,
        "energy_uj": step.energy_uj,
        "energy_source": step.energy_source,
        "conditions": dict(step.conditions),
        "roofs": {
            "cores": roofs.cores,
            "fpus": roofs.fpus,
            "l1_bytes_per_cycle": roofs.l1_bytes_per_cycle,
            "dma_bytes_per_cycle": roofs.dma_bytes_per_cycle,
            "l2_bytes_per_cycle": roofs.l2_bytes_per_cycle,
        }
        if roofs
        else None,
        "calls": [_call_cycles(call) for call in step.calls],
    }


def _call_cycles(call: CallCycles) -> dict[str, Any]:
    names = {name: f"{name}_cycles" for name in CYCLE_EVENTS} | {name: name for name in COUNTS}
    return {
        "number": call.number,
        "label": call.label,
        "macs": call.macs,
        "cycles": call.cycles,
        "instructions": call.instructions,
        **{key: [core[name] for core in call.events] for name, key in names.items() if call.events},
    }


def _entry(entry: EntryReport) -> dict[str, Any]:
    return {
        "arena_bytes": entry.arena_bytes,
        "lower_bound_bytes": entry.bound_bytes,
        "gap": entry.gap,
        "arenas": {f"{memory}_bytes": size for memory, size in entry.arenas.items()},
        "gaps": entry.gaps,
        "macs": entry.macs,
        **{f"{phase}_macs": macs for phase, macs in entry.macs_by_phase().items()},
        "host_ms": entry.host_ms,
        "calls": [_call(call) for call in entry.calls],
        "buffers": [_buffer(buffer) for buffer in entry.buffers],
    }


def _call(call: CallRow) -> dict[str, Any]:
    return {
        "number": call.number,
        "phase": str(call.phase),
        "op": call.op,
        "kernel": call.kernel,
        "macs": call.macs,
        "read_bytes": call.read_bytes,
        "written_bytes": call.written_bytes,
        "live_bytes": call.live_bytes,
        "tiles": call.tiles,
        "copied_bytes": call.copied_bytes,
        "source": str(call.source),
    }


def _buffer(buffer: BufferRow) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "dtype": buffer.dtype,
        "shape": list(buffer.shape),
        "use": str(buffer.use),
        "size_bytes": buffer.size_bytes,
        "offset_bytes": buffer.offset_bytes,
        "memory": buffer.memory or None,
        "first_call": buffer.first,
        "last_call": buffer.last,
        "source": str(buffer.source),
    }


def _training(memory: TrainingMemory) -> dict[str, Any]:
    return {
        "entries": list(memory.entries),
        "total_bytes": memory.total_bytes,
        **{_key(str(kind)): size for kind, size in memory.bytes_by_kind().items()},
        "peak_entry": memory.peak_entry,
        "peak_call": memory.peak_call,
        "all_kept_activations_bytes": memory.kept_bytes,
        "backward_temporaries_peak_bytes": memory.backward_peak_bytes,
        "scratch_peak_bytes": memory.scratch_peak_bytes,
        "caller_bytes": memory.caller_bytes,
        "published_model_bytes": memory.published_bytes,
        "parts": [
            {
                "name": part.name,
                "kind": str(part.kind),
                "size_bytes": part.size_bytes,
                "why": part.why,
            }
            for part in memory.parts
        ],
    }


def _key(kind: str) -> str:
    return f"{kind.replace(' ', '_')}_bytes"
