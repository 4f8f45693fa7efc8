# SPDX-License-Identifier: Apache-2.0
"""Adapts a keyword spotter on its device to the noise of the place where it is.

The device keeps some labelled utterances, clean. On site it records the noise, mixes it under them,
and trains on the mixtures, with fresh pieces of noise in every epoch.

Source: Cioflan et al., on-device domain adaptation for noise-robust keyword spotting
(pulp-platform/odda-for-kws). Numbers the source leaves open (optimizer on the device, learning
rate, epochs) are fields of `AdaptationSpec`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from acclimate.data.clips import F32, I64, Clips, choose_balanced
from acclimate.data.features import FrontEnd
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import QUIET, NoiseRecording
from acclimate.errors import BadOption


class TrainableDevice(Protocol):
    """Anything that learns in steps of N samples: C on the host, on a simulator, on a board."""

    def train(self, x: F32, y: I64, lr: float) -> float:
        """One step on x[N,1,49,10], y[N]; returns the loss before it."""
        ...

    def predict(self, x: F32) -> F32:
        """Scores of x[N,1,49,10]: s[N,classes]."""
        ...


@dataclass(frozen=True)
class AdaptationSpec:
    """How a device adapts.

    Attributes:
        snr_db: speech against noise in the mixtures.
        epochs: passes over the stored utterances.
        lr: learning rate of the first step; it falls in a straight line to zero, which forgets
            less and forgives a rate that is too high.
        seed: chooses utterances, order, shifts and pieces of noise.
        utterances_per_class: how many the device stores; None for all there are.
        shift_ms: speech moves by up to this in the mixtures.
        clean_share: share of each epoch without noise, against forgetting.
        batch: N that the device was built for.
    """

    snr_db: float = 0.0
    epochs: int = 10
    lr: float = 0.001
    seed: int = 0
    utterances_per_class: int | None = 8
    shift_ms: float = 200.0
    clean_share: float = 0.0
    batch: int = 1

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch, self.utterances_per_class or 1)
        if min(counts) < 1 or self.lr <= 0 or not 0 <= self.clean_share <= 1:
            raise BadOption(
                "adaptation needs at least one epoch, one utterance, batch 1, lr > 0 and a "
                "clean_share within 0 .. 1",
                found=repr(self),
            )


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: its number from 1, and the mean loss of its steps."""

    number: int
    loss: float


@dataclass(frozen=True)
class AdaptationResult:
    """What an adaptation did: stored utterances, training steps, and every epoch."""

    utterances: int
    steps: int
    epochs: tuple[Epoch, ...]


def adapt(
    device: TrainableDevice,
    utterances: Clips,
    noise: NoiseRecording,
    front_end: FrontEnd,
    spec: AdaptationSpec = AdaptationSpec(),
    progress: Callable[[Epoch], None] | None = None,
) -> AdaptationResult:
    """Trains a device on stored utterances in the noise of a place.

    Args:
        device: changes its weights.
        utterances: labelled and clean; `spec` says how many of them are stored.
        noise: recorded on site, the training part of a `Place`.
        front_end: features as the network was trained with.
        spec: how long, how fast, how loud.
        progress: called after every epoch.

    Returns:
        How many utterances were stored, how many steps were made, and the loss of every epoch.

    Raises:
        BadOption: the loss is no longer a number: lr is too high.
    """
    return train_on(device, mixtures(utterances, [noise], front_end, spec), spec, progress)


def mixtures(
    utterances: Clips,
    noises: Sequence[NoiseRecording],
    features: Callable[[F32], F32],
    spec: AdaptationSpec = AdaptationSpec(),
) -> Iterator[tuple[F32, I64]]:
    """What a device learns from, epoch by epoch: x[N,...] and y[N], in random order.

    Args:
        utterances: labelled and clean; `spec` says how many of them are stored.
        noises: recordings of the place; utterance i gets number i mod len(noises).
        features: of samples s[N,T].
        spec: which utterances, how many epochs, how loud.
    """
    rng = np.random.default_rng(spec.seed)
    stored = utterances
    if spec.utterances_per_class is not None:
        stored = stored.take(choose_balanced(stored.labels, spec.utterances_per_class, rng))
    for _ in range(spec.epochs):
        yield _mix_epoch(stored, noises, features, spec, rng)


def train_on(
    device: TrainableDevice,
    epochs: Iterable[tuple[F32, I64]],
    spec: AdaptationSpec = AdaptationSpec(),
    progress: Callable[[Epoch], None] | None = None,
) -> AdaptationResult:
    """Trains a device on epochs that were mixed before.

    Args:
        device: changes its weights.
        epochs: `spec.epochs` of them, as `mixtures` makes them.
        spec: how fast, and the batch.
        progress: called after every epoch.

    Returns:
        As `adapt`.

    Raises:
        BadOption: the loss is no longer a number: lr is too high.
    """
    utterances, steps, done_epochs = 0, 0, list[Epoch]()
    for number, (x, y) in enumerate(epochs, 1):
        losses = []
        for at in range(0, len(y), spec.batch):
            # Whole batches only: the last one is filled up from the start of the epoch.
            chosen = np.arange(at, at + spec.batch) % len(y)
            done = (number - 1 + at / len(y)) / spec.epochs
            losses.append(device.train(x[chosen], y[chosen], spec.lr * (1 - done)))
        utterances, steps = len(y), steps + len(losses)
        done_epochs.append(Epoch(number, float(np.mean(losses))))
        if not math.isfinite(done_epochs[-1].loss):
            raise BadOption(
                f"adaptation diverged in epoch {number} with lr={spec.lr:g}",
                found=f"loss {done_epochs[-1].loss}",
                hint=f"lr={spec.lr / 10:g}",
            )
        if progress is not None:
            progress(done_epochs[-1])
    return AdaptationResult(utterances, steps, tuple(done_epochs))


def _mix_epoch(
    stored: Clips,
    noises: Sequence[NoiseRecording],
    features: Callable[[F32], F32],
    spec: AdaptationSpec,
    rng: np.random.Generator,
) -> tuple[F32, I64]:
    """x[N,1,49,10] and y[N] of one epoch, in random order."""
    shuffled = stored.take(rng.permutation(len(stored)))
    samples, labels = shuffled.samples, shuffled.labels
    mix = MixSpec(spec.snr_db, spec.snr_db, spec.shift_ms)
    clean = round(spec.clean_share * len(labels))
    parts = [
        mix_clips(samples[part], labels[part], recordings, mix, rng)
        for part, recordings in ((slice(clean), [QUIET]), (slice(clean, None), noises))
    ]
    again = rng.permutation(len(labels))
    return features(np.concatenate(parts))[again], labels[again]
