# SPDX-License-Identifier: Apache-2.0
"""Declares the module `noise`."""

from pathlib import Path

from acclimate.device.module import Module

NOISE = Module(
    name="noise",
    doc="Records the noise of a place without the voices in it, and refuses bad recordings.",
    folder=Path(__file__).parent,
    source="energy and zero crossings against a floor: Rabiner and Sambur, An Algorithm for "
    "Determining the Endpoints of Isolated Utterances, Bell System Technical Journal, 1975",
)
