# SPDX-License-Identifier: Apache-2.0
"""Declares the module `batch`."""

from pathlib import Path

from acclimate.device.module import Module

BATCH = Module(
    name="batch",
    doc="Says which stored utterance is learned next, plain or balanced, and which stay clean.",
    folder=Path(__file__).parent,
    source="permutations of any size: Black and Rogaway, Ciphers with Arbitrary Finite Domains, "
    "2002",
)
