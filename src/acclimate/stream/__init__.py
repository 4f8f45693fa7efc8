# SPDX-License-Identifier: Apache-2.0
"""Programs larger than the fast memory: tiles, copies between memories, what stays where."""

from acclimate.stream.cost import call_cycles
from acclimate.stream.early import begin_early
from acclimate.stream.stream import Streaming

__all__ = ["Streaming", "begin_early", "call_cycles"]
