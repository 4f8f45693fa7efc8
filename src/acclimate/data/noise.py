# SPDX-License-Identifier: Apache-2.0
"""Noise of places: recordings, babble made of other voices, and generated stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from acclimate.data.clips import F32, SAMPLE_RATE_HZ, Clips
from acclimate.errors import DataError

TRAIN_SHARE = 0.6  # of a recording, in time; the rest is only for tests
BABBLE_VOICES, BABBLE_SECONDS = 5, 30

# File below the data folder -> who made it; the licence goes where the sound goes.
_WARDEN = "P. Warden, Speech Commands, CC BY 4.0"
RECORDED_PLACES = {
    "coffee shop": ("noise_blanket/coffee-shop.ogg", "stephan, public domain"),
    "city": ("noise_blanket/city.ogg", "gezortenplotz, CC BY"),
    "boat": ("noise_blanket/boat.ogg", "Falcet, CC0"),
    "wind": ("noise_blanket/wind.ogg", "felix.blume, CC0"),
    "summer night": ("noise_blanket/summer-night.ogg", "Lisa Redfern, public domain"),
    "dishes": ("speech_commands_background_noise/doing_the_dishes.flac", _WARDEN),
    "miaowing": ("speech_commands_background_noise/dude_miaowing.flac", _WARDEN),
    "exercise bike": ("speech_commands_background_noise/exercise_bike.flac", _WARDEN),
    "running tap": ("speech_commands_background_noise/running_tap.flac", _WARDEN),
    "pink noise": ("speech_commands_background_noise/pink_noise.flac", _WARDEN),
    "white noise": ("speech_commands_background_noise/white_noise.flac", _WARDEN),
}


@dataclass(frozen=True)
class NoiseRecording:
    """Mono noise at 16 kHz: samples x[T] within -1 .. 1."""

    name: str
    samples: F32


# The pseudo-noise under which speech stays clean.
QUIET = NoiseRecording("quiet", np.zeros(2 * SAMPLE_RATE_HZ, dtype=np.float32))


@dataclass(frozen=True)
class Place:
    """The noise of one place in two parts that share no moment.

    Attributes:
        name: of the place.
        train: what a device may record and adapt to.
        test: what it is measured with.
        origin: author and licence, or how the noise was made.
    """

    name: str
    train: NoiseRecording
    test: NoiseRecording
    origin: str


def split_in_time(recording: NoiseRecording, origin: str) -> Place:
    """Makes a place of one recording: the first 60 % train, the rest tests."""
    cut = round(TRAIN_SHARE * len(recording.samples))
    train = NoiseRecording(recording.name, recording.samples[:cut])
    test = NoiseRecording(recording.name, recording.samples[cut:])
    return Place(recording.name, train, test, origin)


def read_noise(path: Path, name: str) -> NoiseRecording:
    """Reads a recording of any rate and number of channels as mono at 16 kHz.

    Raises:
        DataError: the file is missing or unreadable.
    """
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise DataError("a noise cannot be read", found=str(error), where=str(path)) from error
    mono = samples.mean(1, dtype=np.float32)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    return NoiseRecording(name, np.asarray(mono, dtype=np.float32))


def has_places(data: Path) -> bool:
    """Whether a data folder has any recorded place."""
    return any((data / file).is_file() for file, _ in RECORDED_PLACES.values())


def read_places(data: Path) -> tuple[Place, ...]:
    """The recorded places that a data folder has, each split in time."""
    found = ((name, data / file, by) for name, (file, by) in RECORDED_PLACES.items())
    return tuple(
        split_in_time(read_noise(path, name), origin)
        for name, path, origin in found
        if path.is_file()
    )


def babble(name: str, voices: Clips, rng: np.random.Generator) -> NoiseRecording:
    """Several people who talk at once: 30 s of five random voices, each as loud as the others.

    Args:
        name: of the recording.
        voices: what may be said; silence is left out.
        rng: chooses who says what.

    Raises:
        DataError: there are fewer speakers than voices.
    """
    speakers = sorted(set(voices.speakers) - {""})
    if len(speakers) < BABBLE_VOICES:
        raise DataError(f"babble needs {BABBLE_VOICES} speakers", found=f"{len(speakers)}")
    T = voices.samples.shape[1]
    track: F32 = np.zeros(BABBLE_SECONDS * T, dtype=np.float32)
    of = np.array(voices.speakers)
    for speaker in rng.permutation(speakers)[:BABBLE_VOICES]:
        clips = voices.samples[rng.choice(np.flatnonzero(of == speaker), BABBLE_SECONDS)]
        loudness = np.sqrt((clips**2).mean(1, keepdims=True)) + 1e-6
        talk = (0.1 / BABBLE_VOICES**0.5 * clips / loudness).ravel()
        track += np.roll(talk, rng.integers(T))  # words of different voices must not begin together
    return NoiseRecording(name, track)


def babble_place(voices: Clips, seed: int) -> Place:
    """The place "mixed voices": one half of the speakers for training, the other half for tests."""
    rng = np.random.default_rng([seed, 1])
    people = rng.permutation(sorted(set(voices.speakers) - {""}))
    train, test = (
        babble("mixed voices", voices.take(np.flatnonzero(np.isin(voices.speakers, half))), rng)
        for half in (people[::2], people[1::2])
    )
    origin = f"{BABBLE_VOICES} voices of the speech data, summed"
    return Place("mixed voices", train, test, origin)


def coloured_noise(seconds: int, slope: float, rng: np.random.Generator) -> F32:
    """Gaussian noise whose power falls as 1 / f^slope above 20 Hz; root mean square 0.1."""
    T = seconds * SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal(T))
    spectrum *= np.maximum(np.fft.rfftfreq(T, 1 / SAMPLE_RATE_HZ), 20.0) ** (-slope / 2)
    samples = np.fft.irfft(spectrum, T)
    return np.asarray(0.1 * samples / samples.std(), dtype=np.float32)


def _clatter(seconds: int, rng: np.random.Generator) -> F32:
    """Cups and plates: decaying rings at random moments, three a second."""
    samples: F32 = np.zeros(seconds * SAMPLE_RATE_HZ, dtype=np.float32)
    t = np.arange(SAMPLE_RATE_HZ // 4) / SAMPLE_RATE_HZ
    for start in rng.integers(0, len(samples) - len(t), 3 * seconds):
        ring = np.sin(2 * np.pi * rng.uniform(1500, 5000) * t) * np.exp(-t * rng.uniform(20, 80))
        samples[start : start + len(t)] += (rng.uniform(0.05, 0.4) * ring).astype(np.float32)
    return samples


def _gusts(seconds: int, rng: np.random.Generator) -> F32:
    """Loudness that swells and fades every few seconds, within 0.2 .. 1."""
    points = rng.uniform(0.2, 1.0, seconds + 1)
    at = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return np.asarray(np.interp(at, np.arange(seconds + 1), points), dtype=np.float32)


def generated_places(voices: Clips, seed: int) -> tuple[Place, ...]:
    """Stand-ins for recorded places, made from a seed: 30 s each.

    Args:
        voices: speakers for the murmur of the coffee shop and the mixed voices.
        seed: the same seed gives the same noise.
    """
    seconds = BABBLE_SECONDS
    murmur = babble("coffee shop", voices, np.random.default_rng([seed, 2])).samples

    def shop(rng: np.random.Generator) -> F32:
        cups, air = _clatter(seconds, rng), coloured_noise(seconds, 1.0, rng)
        return np.asarray(0.6 * murmur + 0.3 * cups + 0.6 * air, dtype=np.float32)

    def city(rng: np.random.Generator) -> F32:
        return _gusts(seconds, rng) * coloured_noise(seconds, 1.6, rng)

    recipes: dict[str, Callable[[np.random.Generator], F32]] = {
        "coffee shop": shop,
        "city": city,
        "wind": lambda rng: _gusts(seconds, rng) * coloured_noise(seconds, 2.0, rng),
        "dishes": lambda rng: _clatter(seconds, rng) + 0.3 * coloured_noise(seconds, 0.0, rng),
        "pink noise": lambda rng: coloured_noise(seconds, 1.0, rng),
        "white noise": lambda rng: coloured_noise(seconds, 0.0, rng),
    }
    return tuple(
        split_in_time(NoiseRecording(name, make(np.random.default_rng([seed, 3, i]))), "generated")
        for i, (name, make) in enumerate(recipes.items())
    )
