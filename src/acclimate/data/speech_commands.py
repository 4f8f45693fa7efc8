# SPDX-License-Identifier: Apache-2.0
"""The test set of Google Speech Commands v0.02: ten keywords, other words, silence; 1 s, 16 kHz.

Source: Warden 2018, arXiv:1804.03209; licence CC BY 4.0. Two layouts are read: a folder with an
`index.csv` and FLAC files, and the official archive, which has one folder of WAV files per class.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from acclimate.cache import cache_root
from acclimate.data.clips import (
    CLASSES,
    CLIP_SAMPLES,
    F32,
    SAMPLE_RATE_HZ,
    SILENCE,
    UNKNOWN,
    Clip,
    Clips,
    speaker_fold,
)
from acclimate.errors import DataError

DATA_VARIABLE = "ACCLIMATE_DATA"
SHARED_NAME = "speech_commands_v0.02_test"
ARCHIVE_NAME = "speech_commands_test_set_v0.02"
ATTRIBUTION = "Speech Commands v0.02 test set, P. Warden, Google (CC BY 4.0, arXiv:1804.03209)"

# yes/<speaker>_nohash_<n>.wav, and _unknown_/<word>_<speaker>_nohash_<n>.wav
_FILE_NAME = re.compile(r"(?:(?P<word>[a-z]+)_)?(?P<speaker>[0-9a-f]{8})_nohash_(?P<utterance>\d+)")


def data_folder() -> Path | None:
    """The folder that `ACCLIMATE_DATA` names.

    Raises:
        DataError: the variable is set and names no folder.
    """
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise DataError(
            f"{DATA_VARIABLE} does not name a folder",
            found=named,
            hint=f"unset {DATA_VARIABLE}; acclimate data get speech-commands",
        )
    return Path(named)


def find_speech_commands() -> Path | None:
    """The folder of the recordings: under `ACCLIMATE_DATA`, then in the cache, else None."""
    data = data_folder()
    candidates = [data / SHARED_NAME] if data is not None else []
    candidates.append(cache_root() / ARCHIVE_NAME)
    return next((folder for folder in candidates if folder.is_dir()), None)


def read_index(folder: Path) -> tuple[Clip, ...]:
    """Lists the recordings of one folder, sorted by path.

    Args:
        folder: has an `index.csv`, or one folder of WAV files per class.

    Returns:
        Every clip with its class, word, speaker and fold.

    Raises:
        DataError: the folder holds neither.
    """
    table = folder / "index.csv"
    clips = _from_table(table) if table.is_file() else _from_folders(folder)
    if not clips:
        raise DataError(
            "no recordings of Speech Commands in this folder",
            where=str(folder),
            hint="remove the folder; acclimate data get speech-commands",
        )
    return tuple(sorted(clips, key=lambda clip: clip.path))


def _from_table(table: Path) -> list[Clip]:
    with table.open(newline="") as lines:
        rows = csv.DictReader(lines)
        wanted = {"path", "label", "word", "speaker", "utterance"}
        if missing := wanted - set(rows.fieldnames or ()):
            raise DataError(
                f"index.csv lacks {len(missing)} columns",
                found=", ".join(sorted(missing)),
                where=str(table),
                hint="unset ACCLIMATE_DATA; acclimate data get speech-commands",
            )
        return [
            _clip(
                table.parent / row["path"],
                row["label"],
                row["word"],
                row["speaker"],
                int(row["utterance"] or 0),
            )
            for row in rows
        ]


def _from_folders(folder: Path) -> list[Clip]:
    clips = []
    for path in (p for label in CLASSES for p in (folder / label).glob("*.wav")):
        label = path.parent.name
        if label == SILENCE:
            clips.append(_clip(path, label, "", "", 0))
        elif match := _FILE_NAME.fullmatch(path.stem):
            word = match["word"] or (label if label != UNKNOWN else "")
            clips.append(_clip(path, label, word, match["speaker"], int(match["utterance"])))
    return clips


def _clip(path: Path, label: str, word: str, speaker: str, utterance: int) -> Clip:
    # Silence has no speaker: its file name takes the place.
    return Clip(path, label, word, speaker, utterance, speaker_fold(speaker or path.stem))


def read_clip(path: Path) -> F32:
    """Reads one recording as x[16000], cut or filled with zeros to one second.

    Raises:
        DataError: it is missing, unreadable, or not mono at 16 kHz.
    """
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32")
    except (OSError, RuntimeError) as error:
        raise DataError("a recording cannot be read", found=str(error), where=str(path)) from error
    if rate_hz != SAMPLE_RATE_HZ or samples.ndim != 1:
        raise DataError(
            f"a recording of Speech Commands must be mono at {SAMPLE_RATE_HZ} Hz",
            found=f"{rate_hz} Hz, shape {samples.shape}",
            where=str(path),
        )
    clip: F32 = np.zeros(CLIP_SAMPLES, dtype=np.float32)
    clip[: len(samples)] = samples[:CLIP_SAMPLES]
    return clip


def read_clips(index: Iterable[Clip]) -> Clips:
    """Reads recordings into memory, in the order of the index."""
    listed = tuple(index)
    samples: F32 = np.zeros((len(listed), CLIP_SAMPLES), dtype=np.float32)
    for row, clip in zip(samples, listed, strict=True):
        row[:] = read_clip(clip.path)
    labels = np.array([CLASSES.index(clip.label) for clip in listed], dtype=np.int64)
    return Clips(samples, labels, tuple(clip.speaker for clip in listed))
