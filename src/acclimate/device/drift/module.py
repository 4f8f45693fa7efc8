# SPDX-License-Identifier: Apache-2.0
"""Declares the module `drift`."""

from pathlib import Path

from acclimate.device.mix.module import MIX
from acclimate.device.module import Module
from acclimate.device.vector.module import VECTOR

DRIFT = Module(
    name="drift",
    doc="Notices that a stream has changed, and begins a phase of learning.",
    folder=Path(__file__).parent,
    source="Page, Continuous inspection schemes, Biometrika 1954; the root is that of mix",
    needs=(MIX, VECTOR),
)
