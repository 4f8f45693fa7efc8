# SPDX-License-Identifier: Apache-2.0
"""Arm Cortex-M microcontrollers: exact instruction counts, estimated cycles."""

from acclimate.simulate.cortex_m.build import GENERIC_MEMORIES, PlainMemory, build
from acclimate.simulate.cortex_m.device import CortexM
from acclimate.simulate.cortex_m.processors import PROCESSORS
from acclimate.simulate.cortex_m.profile import Cost, call_costs

__all__ = [
    "GENERIC_MEMORIES",
    "PROCESSORS",
    "CortexM",
    "Cost",
    "PlainMemory",
    "build",
    "call_costs",
]
