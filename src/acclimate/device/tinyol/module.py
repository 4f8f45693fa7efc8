# SPDX-License-Identifier: Apache-2.0
"""Declares the module `tinyol`."""

from pathlib import Path

from acclimate.device.mix.module import MIX
from acclimate.device.module import Module
from acclimate.device.vector.module import VECTOR

TINYOL = Module(
    name="tinyol",
    doc="A last layer that learns from every sample once and grows with new labels.",
    folder=Path(__file__).parent,
    source="Ren, Anicic and Runkler, TinyOL: TinyML with online-learning on microcontrollers, "
    "2021, arXiv:2103.08295; roots and powers are those of mix",
    needs=(MIX, VECTOR),
)
