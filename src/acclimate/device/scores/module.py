# SPDX-License-Identifier: Apache-2.0
"""Declares the module `scores`."""

from pathlib import Path

from acclimate.device.module import Module

SCORES = Module(
    name="scores",
    doc="Probabilities and losses from the scores of a classifier, without libm.",
    folder=Path(__file__).parent,
    source="range reduction and series as in Cody and Waite, Software Manual for the Elementary "
    "Functions, 1980",
)
