# SPDX-License-Identifier: Apache-2.0
"""The learning loop around the training step, in C: one folder per module, one declaration each."""

from collections.abc import Iterable

from acclimate.device.adapt.module import ADAPT
from acclimate.device.batch.module import BATCH
from acclimate.device.centroids.module import CENTROIDS
from acclimate.device.codec.module import CODEC
from acclimate.device.drift.module import DRIFT
from acclimate.device.elm.module import ELM
from acclimate.device.flash.module import FLASH
from acclimate.device.guard.module import GUARD
from acclimate.device.library import Library, load
from acclimate.device.listen.module import LISTEN
from acclimate.device.mix.module import MIX
from acclimate.device.module import Module, module_files, with_needs
from acclimate.device.noise.module import NOISE
from acclimate.device.random.module import RANDOM
from acclimate.device.rce.module import RCE
from acclimate.device.replay.module import REPLAY
from acclimate.device.scores.module import SCORES
from acclimate.device.slda.module import SLDA
from acclimate.device.store.module import STORE
from acclimate.device.team.module import TEAM
from acclimate.device.tinyol.module import TINYOL
from acclimate.device.utterances.module import UTTERANCES
from acclimate.device.vector.module import VECTOR
from acclimate.errors import BadOption, nearest

MODULES: tuple[Module, ...] = (
    TEAM, FLASH, STORE, GUARD, RANDOM, MIX, CODEC, UTTERANCES, NOISE, BATCH, SCORES, LISTEN, ADAPT,
    VECTOR, ELM, RCE, CENTROIDS, SLDA, TINYOL, REPLAY, DRIFT,
)  # fmt: skip


def find_modules(names: Iterable[str]) -> tuple[Module, ...]:
    """Modules by name.

    Raises:
        BadOption: there is none of that name.
    """
    known = {module.name: module for module in MODULES}
    chosen = tuple(names)
    for name in chosen:
        if name not in known:
            raise BadOption(f"unknown device module {name!r}", hint=nearest(name, known))
    return tuple(known[name] for name in chosen)


__all__ = ["MODULES", "Library", "Module", "find_modules", "load", "module_files", "with_needs"]
