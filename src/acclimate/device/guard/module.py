# SPDX-License-Identifier: Apache-2.0
"""Declares the module `guard`."""

from pathlib import Path

from acclimate.device.module import Module

GUARD = Module(
    name="guard",
    doc="Decides whether an adapted model replaces the old one, and ends a session in time.",
    folder=Path(__file__).parent,
    source="early stopping on a held-out set: Prechelt, Early Stopping - But When?, 1998",
)
