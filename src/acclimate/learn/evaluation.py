# SPDX-License-Identifier: Apache-2.0
"""How well a device names test utterances: clean, and in the noise of every place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from acclimate.data.clips import CLASSES, F32, I64, Clips
from acclimate.data.features import FrontEnd
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import QUIET, NoiseRecording, Place

CLEAN = "clean"  # the condition without noise


class Predicts(Protocol):
    """Anything that scores samples."""

    def predict(self, x: F32) -> F32:
        """Scores of x[N,...]: s[N,classes]."""
        ...


def heard(
    clips: Clips,
    features: Callable[[F32], F32],
    noise: NoiseRecording | None,
    *,
    snr_db: float = 0.0,
    seed: int = 0,
) -> F32:
    """Features of clips in noise, or clean; the seed chooses the piece of noise under each clip."""
    mix = MixSpec(snr_db, snr_db, shift_ms=0.0)
    rng = np.random.default_rng(seed)
    return features(mix_clips(clips.samples, clips.labels, [noise or QUIET], mix, rng))


def confusion(device: Predicts, x: F32, labels: I64, batch: int = 1) -> I64:
    """How often class i was named class j.

    Args:
        device: only predicts.
        x: features x[M,...].
        labels: y[M].
        batch: N that the device was built for; the last batch is filled up.

    Returns:
        c[classes,classes]; row i is the right class.
    """
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    for at in range(0, len(labels), batch):
        chosen = np.arange(at, at + batch)
        named = device.predict(x[chosen % len(labels)]).argmax(1)
        inside = chosen < len(labels)
        np.add.at(counts, (labels[chosen[inside]], named[inside]), 1)
    return counts


def accuracy(counts: I64) -> float:
    """Share that was named right, of c[classes,classes]."""
    return float(np.trace(counts) / counts.sum())


@dataclass(frozen=True)
class Conditions:
    """Features of test utterances in every condition, made once: all networks hear the same.

    Attributes:
        snr_db: speech against noise.
        labels: y[M].
        features: x[M,...] by condition: "clean", then the name of every place.
    """

    snr_db: float
    labels: I64
    features: Mapping[str, F32]

    @classmethod
    def make(
        cls,
        clips: Clips,
        features: Callable[[F32], F32],
        places: Iterable[Place],
        *,
        snr_db: float = 0.0,
        seed: int = 0,
        advance: Callable[[str], None] = lambda name: None,
    ) -> Conditions:
        """Mixes clips with the test noise of places; `advance` is told every condition."""
        noises = {CLEAN: QUIET, **{place.name: place.test for place in places}}
        found = {}
        for name, noise in noises.items():
            advance(name)
            found[name] = heard(clips, features, noise, snr_db=snr_db, seed=seed)
        return cls(snr_db, clips.labels, found)

    def through(self, function: Callable[[F32], F32]) -> Conditions:
        """What a function makes of the features of every condition."""
        made = {name: function(x) for name, x in self.features.items()}
        return replace(self, features=made)

    def only(self, *places: str) -> Conditions:
        """Those without noise and in these places."""
        return replace(self, features={name: self.features[name] for name in (CLEAN, *places)})

    def confusions(self, device: Predicts, batch: int = 1) -> dict[str, I64]:
        """`confusion` of a device in every condition."""
        return {name: confusion(device, x, self.labels, batch) for name, x in self.features.items()}

    def survey(self, device: Predicts, batch: int = 1) -> Survey:
        """Accuracy of a device in every condition."""
        shares = {name: accuracy(c) for name, c in self.confusions(device, batch).items()}
        return Survey(self.snr_db, shares.pop(CLEAN), tuple(shares.items()))


def evaluate(
    device: Predicts,
    clips: Clips,
    front_end: FrontEnd,
    noise: NoiseRecording | None = None,
    *,
    snr_db: float = 0.0,
    seed: int = 0,
    batch: int = 1,
) -> float:
    """Share of clips that a device names right.

    Args:
        device: only predicts.
        clips: of speakers it has not learned from.
        front_end: features as the network was trained with.
        noise: the test part of a `Place`; None leaves the clips clean.
        snr_db: speech against noise.
        seed: chooses the piece of noise under each clip.
        batch: N that the device was built for.

    Returns:
        Accuracy within 0 .. 1.
    """
    x = heard(clips, front_end, noise, snr_db=snr_db, seed=seed)
    return accuracy(confusion(device, x, clips.labels, batch))


@dataclass(frozen=True)
class Survey:
    """Accuracy of one network, within 0 .. 1: without noise, and in every place at one ratio."""

    snr_db: float
    clean: float
    places: tuple[tuple[str, float], ...]

    def at(self, place: str) -> float:
        """Accuracy at one place."""
        return dict(self.places)[place]

    def elsewhere(self, place: str) -> float:
        """Mean accuracy at every other place."""
        return float(np.mean([accuracy for name, accuracy in self.places if name != place]))


def survey(
    device: Predicts,
    clips: Clips,
    front_end: FrontEnd,
    places: Iterable[Place],
    *,
    snr_db: float = 0.0,
    seed: int = 0,
    batch: int = 1,
) -> Survey:
    """Measures a device on clean clips and in the test noise of every place; see `evaluate`."""
    conditions = Conditions.make(clips, front_end, places, snr_db=snr_db, seed=seed)
    return conditions.survey(device, batch)
