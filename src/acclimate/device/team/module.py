# SPDX-License-Identifier: Apache-2.0
"""Declares the module `team`."""

from pathlib import Path

from acclimate.device.module import Module

TEAM = Module(
    name="team",
    doc="Cuts work into parts for the cores of a device.",
    folder=Path(__file__).parent,
    source="fork and join, as in port.h of a generated model",
)
