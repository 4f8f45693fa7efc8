# SPDX-License-Identifier: Apache-2.0
"""Declares the module `codec`."""

from pathlib import Path

from acclimate.device.module import Module

CODEC = Module(
    name="codec",
    doc="Sound in fewer bits: IMA ADPCM with 4 bits a sample, mu-law with 8.",
    folder=Path(__file__).parent,
    source="IMA, Recommended Practices for Enhancing Digital Audio Compatibility, 1992; "
    "ITU-T G.711",
)
