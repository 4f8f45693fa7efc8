# SPDX-License-Identifier: Apache-2.0
"""Declares the module `adapt`."""

from pathlib import Path

from acclimate.device.batch.module import BATCH
from acclimate.device.flash.module import FLASH
from acclimate.device.guard.module import GUARD
from acclimate.device.mix.module import MIX
from acclimate.device.module import Module
from acclimate.device.noise.module import NOISE
from acclimate.device.random.module import RANDOM
from acclimate.device.scores.module import SCORES
from acclimate.device.store.module import STORE
from acclimate.device.team.module import TEAM
from acclimate.device.utterances.module import UTTERANCES

ADAPT = Module(
    name="adapt",
    doc="A whole session of adaptation as a state machine: record, score, learn, decide, save.",
    folder=Path(__file__).parent,
    source="on-device domain adaptation: Cioflan et al., pulp-platform/odda-for-kws",
    needs=(BATCH, FLASH, GUARD, MIX, NOISE, RANDOM, SCORES, STORE, TEAM, UTTERANCES),
)
