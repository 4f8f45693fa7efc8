# SPDX-License-Identifier: Apache-2.0
"""Declares the module `random`."""

from pathlib import Path

from acclimate.device.module import Module

RANDOM = Module(
    name="random",
    doc="Random numbers that repeat with their seed, the same in C and in Python.",
    folder=Path(__file__).parent,
    source="O'Neill, PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms "
    "for Random Number Generation, 2014; pcg32",
)
