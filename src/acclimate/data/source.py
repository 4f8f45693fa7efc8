# SPDX-License-Identifier: Apache-2.0
"""Keyword speech with noises, from whatever this machine has: recordings, or a synthesizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

from acclimate.data.clips import TEST_FOLDS, TRAIN_FOLDS, VALIDATION_FOLDS, Clips
from acclimate.data.noise import Place, babble_place, generated_places, has_places, read_places
from acclimate.data.speech_commands import (
    ATTRIBUTION,
    data_folder,
    find_speech_commands,
    read_clips,
    read_index,
)
from acclimate.data.synthetic import SYNTHETIC_DESCRIPTION, synthetic_clips
from acclimate.errors import DataError, nearest

# Places that a noise-aware network never hears before it is deployed there.
HELD_OUT_PLACES = ("coffee shop", "city", "mixed voices")
_BABBLE_SEED = 59185  # the seed of the published split; any other would do


@dataclass(frozen=True)
class SpeechSource:
    """Keyword speech split by speaker, and noises split in time.

    Attributes:
        description: one line for reports: which recordings, whose, under which licence.
        recorded: whether people speak; False for the synthesizer.
        load: reads the clips of some folds.
        make_places: makes every place; mixed voices come from the speakers of the validation fold.
    """

    description: str
    recorded: bool
    load: Callable[[tuple[int, ...]], Clips]
    make_places: Callable[[Clips], tuple[Place, ...]]

    def clips(self, folds: Sequence[int]) -> Clips:
        """The clips of these speaker folds."""
        return self.load(tuple(folds))

    def train_clips(self, folds: Sequence[int] = TRAIN_FOLDS) -> Clips:
        """What a network is trained with and a device stores."""
        return self.clips(folds)

    def validation_clips(self) -> Clips:
        """What choices are made with."""
        return self.clips(VALIDATION_FOLDS)

    def test_clips(self) -> Clips:
        """What results are measured with; nothing else ever reads it."""
        return self.clips(TEST_FOLDS)

    @cached_property
    def noises(self) -> Mapping[str, Place]:
        """Every place by name."""
        places = self.make_places(self.validation_clips())
        return MappingProxyType({place.name: place for place in places})

    def place(self, name: str) -> Place:
        """The noise of one place.

        Raises:
            DataError: there is no such place; the hint lists those there are.
        """
        if name not in self.noises:
            raise DataError(f"there is no noise of {name!r}", hint=nearest(name, self.noises))
        return self.noises[name]

    def pool(self) -> tuple[Place, ...]:
        """The places a network may be trained in: all but `HELD_OUT_PLACES`."""
        return tuple(p for p in self.noises.values() if p.name not in HELD_OUT_PLACES)


def recorded_speech(folder: Path, noises: Path | None) -> SpeechSource:
    """Speech Commands from one folder.

    Args:
        folder: recordings, in a layout that `read_index` knows.
        noises: data folder with recorded places; without it noises are generated.
    """
    index = read_index(folder)

    @lru_cache(maxsize=4)
    def load(folds: tuple[int, ...]) -> Clips:
        return read_clips(clip for clip in index if clip.fold in folds)

    recorded = noises is not None and has_places(noises)

    def make_places(voices: Clips) -> tuple[Place, ...]:
        if noises is not None and recorded:
            places = read_places(noises)
        else:
            places = generated_places(voices, _BABBLE_SEED)
        return (*places, babble_place(voices, _BABBLE_SEED))

    kind = "recorded" if recorded else "generated"
    return SpeechSource(f"{ATTRIBUTION}; {kind} noises", True, load, make_places)


def synthetic_speech(seed: int = 0) -> SpeechSource:
    """Speech and noises made on this machine; needs the extra `acclimate[speech]`."""

    def make_places(voices: Clips) -> tuple[Place, ...]:
        return (*generated_places(voices, seed), babble_place(voices, seed))

    return SpeechSource(
        f"{SYNTHETIC_DESCRIPTION}; generated noises",
        False,
        lambda folds: synthetic_clips(folds, seed),
        make_places,
    )


def keyword_speech(seed: int = 0) -> SpeechSource:
    """Chooses Speech Commands where it is (`ACCLIMATE_DATA`, then the cache), else a synthesizer.

    Args:
        seed: of the synthetic voices; recordings do not depend on it.

    Raises:
        DataError: `ACCLIMATE_DATA` names no folder.
        MissingTool: there are no recordings, and the synthesizer is not installed.
    """
    folder = find_speech_commands()
    return recorded_speech(folder, data_folder()) if folder else synthetic_speech(seed)
