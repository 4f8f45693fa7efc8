# SPDX-License-Identifier: Apache-2.0
"""Declares the module `listen`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.scores.module import SCORES

LISTEN = Module(
    name="listen",
    doc="Cuts the sound of a microphone into overlapping windows while other work goes on.",
    folder=Path(__file__).parent,
    source="one writer and one reader without a lock: Lamport, Proving the Correctness of "
    "Multiprocess Programs, 1977",
    needs=(SCORES,),
)
