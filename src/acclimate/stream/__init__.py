# SPDX-License-Identifier: Apache-2.0
"""Programs larger than the fast memory: tiles, copies between memories, what stays where."""

from acclimate.stream.cost import call_cycles
from acclimate.stream.stream import Streaming

__all__ = ["Streaming", "call_cycles"]
