# SPDX-License-Identifier: Apache-2.0
"""Cepstra of everything that is heard, made once and shared by all networks and cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

from settings import OTHERS_EVERY, TARGETS

from acclimate.data.clips import F32, I64, Clips
from acclimate.data.features import MfccSpec, mfcc
from acclimate.data.noise import NoiseRecording, Place, split_in_time
from acclimate.data.source import SpeechSource
from acclimate.learn import AdaptationSpec, Conditions, mixtures

Epochs = list[tuple[F32, I64]]


def cepstra(samples: F32) -> F32:
    """x[N,16000] -> c[N,1,49,10]; the normalisation differs from network to network."""
    return mfcc(samples, MfccSpec())[:, None]


class Sounds:
    """What devices learn from and are judged with.

    Args:
        source: speech and noises.
        every: of the utterances that devices are judged with, each so many-th is used.
    """

    def __init__(self, source: SpeechSource, every: int = 1) -> None:
        self.source, self._every = source, every
        self.targets = tuple(name for name in TARGETS if name in source.noises)
        # Nothing else is kept: one set of epochs of all utterances takes 21 MB.
        self.judged = lru_cache(maxsize=4)(self._judged)
        self.epochs = lru_cache(maxsize=1)(self._epochs)

    @cached_property
    def description(self) -> str:
        """Data in one line, with how much of it there is."""
        counts = f"{len(self.source.train_clips())} stored, {len(self._test)} judged"
        return f"{self.source.description}; {counts}"

    @cached_property
    def _test(self) -> Clips:
        return self._thinned(self.source.test_clips(), self._every)

    @staticmethod
    def _thinned(clips: Clips, every: int) -> Clips:
        return clips.take(range(0, len(clips), every))  # sorted by class: each loses as much

    def _place(self, name: str, judged: str) -> Place:
        """A place; for choices the part that may be recorded is split in time once more."""
        place = self.source.place(name)
        return place if judged == "test" else split_in_time(place.train, place.origin)

    def _judged(self, judged: str, snr_db: float, names: tuple[str, ...]) -> Conditions:
        """Cepstra of the judged utterances, clean and in noises.

        Args:
            judged: "test", or "validation" where choices are made: other speakers, and noise of
                the part that a device may record.
            snr_db: speech against noise.
            names: places; empty for all, with every third utterance.
        """
        if judged == "test":
            clips = self._test if names else self._thinned(self._test, OTHERS_EVERY)
        else:
            clips = self._thinned(self.source.validation_clips(), self._every)
        places = [self._place(name, judged) for name in names or self.source.noises]
        return Conditions.make(clips, cepstra, places, snr_db=snr_db)

    def _epochs(self, spec: AdaptationSpec, place: str, judged: str, noise: str) -> Epochs:
        """Mixtures of stored utterances with the noise of a place, or of the pool: cepstra, y."""
        noises: Sequence[NoiseRecording] = [self._place(place, judged).train]
        if noise == "pool":
            noises = [known.train for known in self.source.pool()]
        return list(mixtures(self.source.train_clips(), noises, cepstra, spec))
