# SPDX-License-Identifier: Apache-2.0
"""Declares the module `elm`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.random.module import RANDOM
from acclimate.device.vector.module import VECTOR

ELM = Module(
    name="elm",
    doc="Random features of a window: filters drawn from a seed, which nobody trains or stores.",
    folder=Path(__file__).parent,
    source="Huang, Zhu and Siew, Extreme learning machine: theory and applications, 2006; filters "
    "along time are ours",
    needs=(RANDOM, VECTOR),
)
