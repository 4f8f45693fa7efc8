# SPDX-License-Identifier: Apache-2.0
"""Declares the module `flash`."""

from pathlib import Path

from acclimate.device.module import Module

FLASH = Module(
    name="flash",
    doc="A part of a non-volatile memory through callbacks, and the checksum CRC-32.",
    folder=Path(__file__).parent,
    source="CRC-32 of IEEE 802.3, clause 3.2.9",
)
