# SPDX-License-Identifier: Apache-2.0
"""Declares the module `utterances`."""

from pathlib import Path

from acclimate.device.codec.module import CODEC
from acclimate.device.flash.module import FLASH
from acclimate.device.module import Module
from acclimate.device.team.module import TEAM

UTTERANCES = Module(
    name="utterances",
    doc="A log of labelled utterances, sound or features, in flash or in RAM.",
    folder=Path(__file__).parent,
    source="append-only log: Rosenblum and Ousterhout, A Log-Structured File System, 1992",
    needs=(CODEC, FLASH, TEAM),
)
