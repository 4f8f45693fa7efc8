# SPDX-License-Identifier: Apache-2.0
"""Declares the module `replay`."""

from pathlib import Path

from acclimate.device.flash.module import FLASH
from acclimate.device.module import Module
from acclimate.device.random.module import RANDOM
from acclimate.device.vector.module import VECTOR

REPLAY = Module(
    name="replay",
    doc="Keeps latents of a stream in few bits, so that learning goes on without forgetting.",
    folder=Path(__file__).parent,
    source="reservoir: Vitter 1985; CBRS: Chrysakis and Moens 2020; ECBRS: "
    "amalapuram/CLbasedNIDS; quantised latents and minibatches: Ravaglia et al., JETCAS 2021",
    needs=(FLASH, RANDOM, VECTOR),
)
