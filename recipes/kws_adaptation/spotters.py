# SPDX-License-Identifier: Apache-2.0
"""Pretrained keyword spotters of several seeds, and as devices: C on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from pretrain import pretrain
from rich.console import Console
from settings import BLOCKS, LEARNS, PRETRAINING, Learns

from acclimate.data.clips import F32
from acclimate.data.source import SpeechSource
from acclimate.errors import BadOption
from acclimate.learn import FrozenPrefix, OneByOne, learning_step
from acclimate.models import DSCNN
from acclimate.models.pretrained import (
    KwsCheckpoint,
    KwsTraining,
    load_dscnn_kws,
    load_dscnn_s_kws,
)

X = torch.zeros(1, 1, 49, 10)


@dataclass(frozen=True, eq=False)
class Spotter:
    """One pretrained network; `size` and `seed` name it."""

    size: str
    seed: int
    model: DSCNN
    info: KwsCheckpoint

    @property
    def weights(self) -> str:
        """Checksum of its weights."""
        return self.info.sha256[:16]

    def normalised(self, cepstra: F32) -> F32:
        """c[N,1,49,10] as this network wants it."""
        return self.info.front_end.normalisation.apply(cepstra)


class Spotters:
    """Networks by size and seed; the one that acclimate carries, others trained here and kept.

    Args:
        folder: where trained ones are kept.
        source: speech to train them with.
        train: those that are missing.
    """

    def __init__(self, folder: Path, source: SpeechSource, *, train: bool = True) -> None:
        self._folder, self._source, self._train = folder, source, train
        self.find = lru_cache(maxsize=None)(self._find)
        self.device = lru_cache(maxsize=None)(self._device)
        self.prefix = lru_cache(maxsize=None)(self._prefix)

    def _find(self, size: str, seed: int) -> Spotter:
        """A network; trains it if it is not there, which takes minutes.

        Raises:
            DataError: it must be trained, and there are no recordings.
            BadOption: it is missing, and nothing is to be trained.
        """
        if (size, seed) == ("S", KwsTraining.seed):
            return Spotter(size, seed, *load_dscnn_s_kws())
        training = replace(KwsTraining(), size=size, seed=seed, epochs=PRETRAINING[size])
        folder = self._folder / f"{size}-seed{seed}-epochs{training.epochs}"
        if not (folder / f"dscnn_{size.lower()}_kws.json").exists():
            if not self._train:
                raise BadOption(
                    f"DS-CNN-{size} of seed {seed} was not trained yet",
                    where=str(folder),
                    hint="the same command without --print",
                )
            console = Console(stderr=True)
            console.print(f"training DS-CNN-{size}, seed {seed}: kept in {folder}")
            pretrain(self._source, training, folder, console)
        return Spotter(size, seed, *load_dscnn_kws(size, folder))

    def _prefix(self, size: str, seed: int) -> FrozenPrefix:
        """Everything before the classifier."""
        return FrozenPrefix(self.find(size, seed).model, "fc1", X)

    def _device(self, size: str, seed: int, learns: str) -> OneByOne:
        """A network that learns in C; where only fc1 does, fc1 alone, which takes latents."""
        choice: Learns = LEARNS[learns]
        names = choice.of(BLOCKS[size])
        if choice.classifier_only:
            return self.prefix(size, seed).tail(names)
        model = self.find(size, seed).model
        return OneByOne(learning_step(model, names, X, accumulates=choice.batch > 1).run())
