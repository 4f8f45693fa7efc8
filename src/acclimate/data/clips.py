# SPDX-License-Identifier: Apache-2.0
"""One-second utterances with their class and speaker, and how speakers are split into folds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = SAMPLE_RATE_HZ  # one second

# The order of MLPerf Tiny: ten keywords by alphabet, then silence, then every other word.
SILENCE, UNKNOWN = "_silence_", "_unknown_"
KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
CLASSES = (*KEYWORDS, SILENCE, UNKNOWN)
SILENCE_CLASS = CLASSES.index(SILENCE)
UNKNOWN_CLASS = CLASSES.index(UNKNOWN)

FOLDS = 5
TRAIN_FOLDS, VALIDATION_FOLDS, TEST_FOLDS = (0, 1), (2,), (3,)  # fold 4 is kept for later


def speaker_fold(speaker: str) -> int:
    """Fold 0..4 of a speaker: SHA-1 of the name modulo 5, whoever the other speakers are."""
    return int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % FOLDS


@dataclass(frozen=True)
class Clip:
    """One recorded utterance on disk.

    Attributes:
        path: the sound file.
        label: one of `CLASSES`.
        word: what is said; empty for silence.
        speaker: who says it; empty for silence.
        utterance: counts the times that this speaker says this word.
        fold: fold of the speaker; of the file name where there is no speaker.
    """

    path: Path
    label: str
    word: str
    speaker: str
    utterance: int
    fold: int


@dataclass(frozen=True)
class Clips:
    """Utterances in memory.

    Attributes:
        samples: x[N,16000] within -1 .. 1.
        labels: index in `CLASSES`, y[N].
        speakers: N names; empty for silence.
    """

    samples: F32
    labels: I64
    speakers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Sequence[int] | I64) -> Clips:
        """The clips at these positions, in this order."""
        at = np.asarray(index, dtype=np.int64)
        return Clips(self.samples[at], self.labels[at], tuple(self.speakers[i] for i in at))


def choose_balanced(labels: I64, per_class: int, rng: np.random.Generator) -> I64:
    """Positions of up to `per_class` random utterances of every class, in random order."""
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return rng.permutation(np.concatenate(chosen)).astype(np.int64)
