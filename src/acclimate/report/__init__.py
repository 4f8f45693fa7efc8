# SPDX-License-Identifier: Apache-2.0
"""What a firmware costs: memory, work and time as dataclasses -> text, JSON, one HTML file."""

from acclimate.report.build import build_report
from acclimate.report.cycles import CallCycles, StepCycles
from acclimate.report.report import (
    BufferRow,
    CallRow,
    EntryReport,
    Memory,
    PassRow,
    Report,
)
from acclimate.report.simulated import step_cycles
from acclimate.report.training_memory import (
    Kind,
    Part,
    TrainingMemory,
    Use,
    buffer_uses,
    published_classifier_bytes,
    training_memory,
)

__all__ = [
    "BufferRow",
    "CallCycles",
    "CallRow",
    "EntryReport",
    "Kind",
    "Memory",
    "Part",
    "PassRow",
    "Report",
    "StepCycles",
    "TrainingMemory",
    "Use",
    "buffer_uses",
    "build_report",
    "published_classifier_bytes",
    "step_cycles",
    "training_memory",
]
