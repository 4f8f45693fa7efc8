# SPDX-License-Identifier: Apache-2.0
"""Declares the module `mix`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.team.module import TEAM

MIX = Module(
    name="mix",
    doc="Puts noise under speech at a signal-to-noise ratio, with a shift and a crop.",
    folder=Path(__file__).parent,
    source="Cioflan et al., on-device domain adaptation (pulp-platform/odda-for-kws); the form of "
    "its gain that is defined at 0 dB",
    needs=(TEAM,),
)
