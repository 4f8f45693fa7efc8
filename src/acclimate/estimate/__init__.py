# SPDX-License-Identifier: Apache-2.0
"""What a step takes on a device, before anything runs: cycles of calls, copies and waits."""

from acclimate.estimate.calls import call_cost
from acclimate.estimate.copies import copy_cycles_per_byte
from acclimate.estimate.step import STEPS, entry_cycles

__all__ = ["STEPS", "call_cost", "copy_cycles_per_byte", "entry_cycles"]
