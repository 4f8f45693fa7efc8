# SPDX-License-Identifier: Apache-2.0
"""Copies that a core makes itself, word by word."""

from __future__ import annotations

from acclimate.targets import Memory

_WORD_BYTES = 4
# Of a word beside a load and a store that do not wait: the compiler unrolls the loop.
LOOP_CYCLES = 2.3


def copy_cycles_per_byte(one: Memory, other: Memory) -> float:
    """Cycles of a copy between two memories by the core: a load, a store and the loop per word.

    Either access waits as long as a load does. A port that leaves the copy to a DMA takes less.

    Source: `memcpy` of the Cortex-M4 simulator, which tests/test_recompute_pages.py counts.
    """
    return (LOOP_CYCLES + one.latency_cycles + other.latency_cycles) / _WORD_BYTES
