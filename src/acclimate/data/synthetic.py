# SPDX-License-Identifier: Apache-2.0
"""Keyword speech of a synthesizer, for machines with neither recordings nor a network.

It shows that everything runs and that adaptation helps; its accuracies say nothing about people.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr

from acclimate.data import espeak
from acclimate.data.clips import (
    CLIP_SAMPLES,
    F32,
    FOLDS,
    KEYWORDS,
    SAMPLE_RATE_HZ,
    SILENCE_CLASS,
    UNKNOWN_CLASS,
    Clips,
)
from acclimate.data.noise import coloured_noise
from acclimate.errors import DataError, MissingTool

SYNTHETIC_DESCRIPTION = "synthetic speech by espeak-ng (no recordings found: not people's voices)"

# Words of Speech Commands that are no keyword.
OTHER_WORDS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four"),
    *("happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila", "six", "three"),
    *("tree", "two", "visual", "wow", "zero"),
)
ACCENTS = ("en-us", "en-gb-x-rp", "en", "en-gb-scotland", "en-029", "en-us-nyc", "en-gb-x-gbclan")
# Voices of espeak-ng that sound like people; each belongs to one fold only.
VOICES = (
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo"),
    *("Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "adam", "anika", "antonio"),
    *("aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "f1", "f2", "f3"),
    *(
        "f4",
        "f5",
        "grandma",
        "grandpa",
        "gustave",
        "ian",
        "iven",
        "iven2",
        "iven3",
        "john",
        "linda",
    ),
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "miguel"),
    *("norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph"),
    *("steph2", "steph3", "travis", "victor", "zac"),
)
SPEAKERS_PER_VOICE, REPEATS, OTHERS_PER_SPEAKER = 2, 3, 4
SILENCES_PER_FOLD = 60


@dataclass(frozen=True)
class Speaker:
    """One synthetic person: voice with accent, speed and pitch (0..99)."""

    voice: str
    words_per_minute: int
    pitch: int

    @property
    def name(self) -> str:
        """Unique name."""
        return f"{self.voice}@{self.words_per_minute}/{self.pitch}"


@dataclass(frozen=True)
class Order:
    """One word to be said by one speaker."""

    speaker: Speaker
    words_per_minute: int
    pitch: int
    word: str
    label: int


def speakers_of_fold(fold: int, seed: int) -> tuple[Speaker, ...]:
    """The speakers of one fold; voices of different folds differ."""
    rng = np.random.default_rng([seed, 10])
    voices = rng.permutation(VOICES)[fold::FOLDS]
    rng = np.random.default_rng([seed, 11, fold])
    return tuple(
        Speaker(
            f"{rng.choice(ACCENTS)}+{voice}", int(rng.integers(120, 200)), int(rng.integers(25, 76))
        )
        for voice in voices
        for _ in range(SPEAKERS_PER_VOICE)
    )


def _orders(fold: int, seed: int) -> list[Order]:
    rng = np.random.default_rng([seed, 12, fold])
    orders = []
    for speaker in speakers_of_fold(fold, seed):
        said = [(word, KEYWORDS.index(word)) for word in KEYWORDS for _ in range(REPEATS)]
        said += [
            (str(w), UNKNOWN_CLASS) for w in rng.choice(OTHER_WORDS, OTHERS_PER_SPEAKER, False)
        ]
        for word, label in said:
            # Nobody says a word twice in the same way.
            rate = speaker.words_per_minute + int(rng.integers(-15, 16))
            pitch = int(np.clip(speaker.pitch + rng.integers(-8, 9), 0, 99))
            orders.append(Order(speaker, rate, pitch, word, label))
    return orders


def _speak(orders: Sequence[Order]) -> list[F32]:
    """Runs the synthesizer in a process of its own; returns x[T] at 22 050 Hz per order."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise MissingTool(
            "there are no recordings, and the speech synthesizer is not installed",
            hint="pip install 'acclimate[speech]', or acclimate data get speech-commands",
        )
    text = json.dumps([(o.speaker.voice, o.words_per_minute, o.pitch, o.word) for o in orders])
    # -P: this folder must not come first on the path of the child.
    command = [sys.executable, "-P", str(Path(espeak.__file__))]
    child = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if child.returncode != 0:
        raise MissingTool(
            "the speech synthesizer failed",
            found=child.stderr.decode(errors="replace").strip()[-300:],
            hint="acclimate data get speech-commands",
        )
    spoken, at = [], 0
    for _ in orders:
        count = int(np.frombuffer(child.stdout, "<i4", 1, at)[0])
        samples = np.frombuffer(child.stdout, "<i2", count, at + 4)
        spoken.append((samples / 32768).astype(np.float32))
        at += 4 + 2 * count
    return spoken


def _place_in_second(spoken: F32, rng: np.random.Generator) -> F32:
    """Puts a word into one second, with the loudness and background of a real recording."""
    word = soxr.resample(spoken, espeak.SPOKEN_RATE_HZ, SAMPLE_RATE_HZ, quality="MQ")
    loud = np.flatnonzero(np.abs(word) > 0.01 * np.abs(word).max())
    word = word[loud[0] : loud[-1] + 1][:CLIP_SAMPLES]
    clip: F32 = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    start = int(rng.integers(CLIP_SAMPLES - len(word) + 1))
    clip[start : start + len(word)] = word
    loudness = 10 ** rng.uniform(-1.7, -0.9)  # root mean square 0.02 .. 0.13, as in Speech Commands
    clip *= np.float32(loudness / np.sqrt((clip**2).mean()))
    return clip + np.float32(loudness * 10 ** rng.uniform(-1.5, -0.5)) * coloured_noise(1, 1.0, rng)


@lru_cache(maxsize=10)
def _fold_clips(fold: int, seed: int) -> Clips:
    orders = _orders(fold, seed)
    rng = np.random.default_rng([seed, 13, fold])
    samples = [_place_in_second(spoken, rng) for spoken in _speak(orders)]
    for _ in range(SILENCES_PER_FOLD):
        samples.append(np.float32(10 ** rng.uniform(-2.5, 0)) * coloured_noise(1, 1.0, rng))
    labels = [order.label for order in orders] + [SILENCE_CLASS] * SILENCES_PER_FOLD
    names = [order.speaker.name for order in orders] + [""] * SILENCES_PER_FOLD
    return Clips(np.stack(samples), np.array(labels, dtype=np.int64), tuple(names))


def synthetic_clips(folds: Sequence[int], seed: int = 0) -> Clips:
    """Keywords, other words and silence said by synthetic speakers.

    Args:
        folds: which of the five folds; their speakers, and voices, differ.
        seed: the same seed gives the same samples, on any run of the same synthesizer.

    Returns:
        About 900 clips per fold; kept in memory for the next call.

    Raises:
        DataError: a fold is not 0 .. 4.
        MissingTool: the synthesizer is not installed, or fails.
    """
    if bad := [fold for fold in folds if not 0 <= fold < FOLDS]:
        raise DataError(f"there is no fold {bad[0]}", hint=f"folds are 0 .. {FOLDS - 1}")
    parts = [_fold_clips(fold, seed) for fold in folds]
    if not parts:
        raise DataError("no fold was asked for", hint=f"folds are 0 .. {FOLDS - 1}")
    return Clips(
        np.concatenate([part.samples for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(name for part in parts for name in part.speakers),
    )
