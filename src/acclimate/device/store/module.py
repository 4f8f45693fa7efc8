# SPDX-License-Identifier: Apache-2.0
"""Declares the module `store`."""

from pathlib import Path

from acclimate.device.flash.module import FLASH
from acclimate.device.module import Module

STORE = Module(
    name="store",
    doc="Keeps the adapted model in two slots; power may fail at every write.",
    folder=Path(__file__).parent,
    source="shadow copies with a commit record: Gray, Notes on Data Base Operating Systems, 1978",
    needs=(FLASH,),
)
