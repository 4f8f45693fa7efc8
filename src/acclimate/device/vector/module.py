# SPDX-License-Identifier: Apache-2.0
"""Declares the module `vector`."""

from pathlib import Path

from acclimate.device.module import Module

VECTOR = Module(
    name="vector",
    doc="Distances, products and checks of vectors, in an order of sums that is fixed.",
    folder=Path(__file__).parent,
    source="definitions",
)
