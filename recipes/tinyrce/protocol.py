# SPDX-License-Identifier: Apache-2.0
"""Who learns and who is tested in the TinyRCE recipe: splits and their extractors."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from extractor import Extractor, Training, trained_extractor

from acclimate.data.bearing import read_bearings
from acclimate.data.motion import Windows, read_basic_motions, read_sp_sw_har

SUBJECTS = tuple(range(1, 19))
FOLDS = 9  # two subjects each
TEST_HOP = 50
LABEL_HOP = 10
TRAIN_HOP = 25


@lru_cache(maxsize=8)
def activity(place: str, hop: int) -> Windows:
    """Windows of all subjects, phone or watch."""
    return read_sp_sw_har(place, hop)


def fold_subjects(fold: int) -> tuple[int, ...]:
    """The subjects that fold 0 .. 8 leaves out."""
    return tuple(subject for subject in SUBJECTS if subject % FOLDS == fold)


def others(fold: int) -> tuple[int, ...]:
    """The subjects that fold learns from."""
    return tuple(subject for subject in SUBJECTS if subject % FOLDS != fold)


def early(windows: Windows) -> Windows:
    """The first half of every subject's recordings: what its user labels."""
    return windows.take(_before(windows))


def late(windows: Windows) -> Windows:
    """The second half: what is tested."""
    return windows.take(~_before(windows))


def _before(windows: Windows) -> np.ndarray:
    first = np.zeros(len(windows), bool)
    for subject in np.unique(windows.subjects):
        own = windows.subjects == subject
        middle = (windows.recordings[own].max() + 1) // 2
        first |= own & (windows.recordings < middle)
    return first


def left_out(place: str, fold: int, folder: Path) -> Extractor:
    """The extractor that has never seen the subjects of a fold."""
    training = Training(place, fold_subjects(fold), hop=TRAIN_HOP, half_turns=place == "phone")
    return trained_extractor(training, lambda: activity(place, TRAIN_HOP).of(others(fold)), folder)


def single_user(place: str, subject: int, folder: Path) -> Extractor:
    """The extractor of one user, trained on the first half of the recordings."""
    training = Training(place, subject=subject, hop=LABEL_HOP, epochs=20, tilt=0.1)
    return trained_extractor(
        training, lambda: early(activity(place, LABEL_HOP).of([subject])), folder
    )


def bearings(folder: Path) -> Extractor:
    """The extractor of vibration, trained on the first half of the recordings at 0 hp."""
    training = Training("bearing", hop=200, epochs=12, tilt=0.0)
    return trained_extractor(training, lambda: early(read_bearings(0)), folder)


def basic_motions(folder: Path) -> Extractor:
    """The extractor of BasicMotions, trained on its training part."""
    training = Training("basic", epochs=60, batch=8)
    return trained_extractor(training, lambda: read_basic_motions().of([0]), folder)
