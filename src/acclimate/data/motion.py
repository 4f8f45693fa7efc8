# SPDX-License-Identifier: Apache-2.0
"""Windows of motion with labels: SP-SW-HAR (phone and watch) and BasicMotions.

SP-SW-HAR: 18 subjects, accelerometer and gyroscope at about 100 Hz, five activities; Matey-Sanz et
al., Data in Brief 2023, 109809 (CC BY 4.0). BasicMotions: 80 series of four activities at 10 Hz, of
the UEA archive; the package `aeon` carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import F32
from acclimate.data.speech_commands import DATA_VARIABLE, data_folder
from acclimate.errors import DataError

ACTIVITIES = ("SEATED", "STANDING_UP", "WALKING", "TURNING", "SITTING_DOWN")
PLACES = {"phone": "sp", "watch": "sw"}
WINDOW = 100  # samples: 1 s
PURITY = 0.85  # of a window's samples have its label
HAR_ATTRIBUTION = "SP-SW-HAR, Matey-Sanz et al. 2023 (CC BY 4.0, doi 10.5281/zenodo.8398688)"
BASIC_ATTRIBUTION = "BasicMotions of the UEA archive, as package aeon carries it (BSD-3-Clause)"
_BASIC_CLASSES = ("Standing", "Running", "Walking", "Badminton")


@dataclass(frozen=True)
class Windows:
    """Windows of sensor signals.

    Attributes:
        x: [N,C,T].
        labels: [N], index of `classes`.
        subjects: [N], who or what was measured.
        recordings: [N], count within the subject, in the order of time.
        classes: names.
    """

    x: F32
    labels: NDArray[np.int64]
    subjects: NDArray[np.int64]
    recordings: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Windows:
        """Those of a mask or a list of numbers."""
        whole = (self.labels, self.subjects, self.recordings)
        labels, subjects, recordings = (part[chosen] for part in whole)
        return Windows(self.x[chosen], labels, subjects, recordings, self.classes)

    def of(self, subjects: Sequence[int]) -> Windows:
        """Those of some subjects."""
        return self.take(np.isin(self.subjects, list(subjects)))


def joined(parts: Sequence[Windows]) -> Windows:
    """Windows one after the other.

    Raises:
        DataError: there are none.
    """
    if not parts:
        raise DataError("there are no windows", hint=f"{DATA_VARIABLE}=FOLDER of the data sets")
    names = ("x", "labels", "subjects", "recordings")
    x, labels, subjects, recordings = (
        np.concatenate([getattr(part, name) for part in parts]) for name in names
    )
    return Windows(x, labels, subjects, recordings, parts[0].classes)


def cut(
    x: F32, labels: NDArray[np.int64], hop: int, window: int = WINDOW, purity: float = PURITY
) -> tuple[F32, NDArray[np.int64]]:
    """Windows of one recording.

    Args:
        x: [N,C], in the order of time.
        labels: [N].
        hop: samples from the start of a window to that of the next.
        window: samples.
        purity: share of samples that must have the most frequent label.

    Returns:
        [K,C,window] and their labels [K].
    """
    starts = range(0, len(x) - window + 1, hop)
    kept, named = [], []
    for at in starts:
        counts = np.bincount(labels[at : at + window])
        if counts.max() >= purity * window:
            kept.append(x[at : at + window].T)
            named.append(int(counts.argmax()))
    shape = (len(kept), x.shape[1], window)
    return np.array(kept, np.float32).reshape(shape), np.array(named, np.int64)


def find_set(name: str) -> Path:
    """The folder of a data set below `ACCLIMATE_DATA`.

    Raises:
        DataError: it is not there.
    """
    root = data_folder()
    if root is None or not (root / name).is_dir():
        raise DataError(
            f"the data set {name} is not here",
            found=f"{DATA_VARIABLE} = {root}",
            hint=f"{DATA_VARIABLE}=FOLDER, where FOLDER/{name} holds its files",
        )
    return root / name


def read_sp_sw_har(place: str, hop: int, folder: Path | None = None) -> Windows:
    """Activities of 18 subjects, x[N,6,100] in m/s^2 and rad/s; a recording is one walk.

    Args:
        place: phone or watch.
        hop: samples from window to window.
        folder: of the files; by default that below `ACCLIMATE_DATA`.

    Raises:
        DataError: the files are not there.
    """
    if place not in PLACES:
        raise DataError(f"there is no place {place!r}", hint="phone or watch")
    folder = find_set("sp_sw_har") if folder is None else folder
    parts = []
    for path in sorted(folder.glob(f"s*_{PLACES[place]}.npz")):
        subject = int(path.stem[1:].split("_")[0])
        with np.load(path, allow_pickle=False) as data:
            x, labels, walks = data["x"], data["y"].astype(np.int64), data["execution"]
        for number, walk in enumerate(np.unique(walks)):
            windows, named = cut(x[walks == walk], labels[walks == walk], hop)
            same = np.ones(len(named), np.int64)
            parts.append(Windows(windows, named, subject * same, number * same, ACTIVITIES))
    return joined(parts)


def basic_motions_folder() -> Path:
    """Where BasicMotions is: below `ACCLIMATE_DATA`, else in the package `aeon` if it is installed.

    Raises:
        DataError: it is in neither place.
    """
    root = data_folder()
    package = find_spec("aeon")
    places = [root / "basic_motions"] if root is not None else []
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "datasets" / "data" / "BasicMotions")
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError("BasicMotions is not here", hint="pip install --no-deps aeon")
    return found


def read_basic_motions(folder: Path | None = None) -> Windows:
    """Four activities, x[80,6,100] at 10 Hz; subject 0 is the training part, 1 the test part.

    Raises:
        DataError: the files are not there or hold something else.
    """
    folder = basic_motions_folder() if folder is None else folder
    parts = []
    for subject, part in enumerate(("TRAIN", "TEST")):
        path = folder / f"BasicMotions_{part}.ts"
        try:
            text = path.read_text()
        except OSError as error:
            raise DataError(f"{path.name} cannot be read", found=str(error)) from error
        parts.append(_read_ts(text, path, subject))
    return joined(parts)


def _read_ts(text: str, path: Path, subject: int) -> Windows:
    """Series of a `.ts` file: the dimensions of each between colons, its label last."""
    lines = [line for line in text.partition("@data")[2].splitlines() if line.strip()]
    rows, labels = [], []
    for line in lines:
        *dimensions, label = line.split(":")
        if label not in _BASIC_CLASSES:
            raise DataError(f"{path.name} has an unknown class", found=label, where=str(path))
        labels.append(_BASIC_CLASSES.index(label))
        rows.append([[float(v) for v in one.split(",")] for one in dimensions])
    x = np.array(rows, np.float32)
    if x.ndim != 3:
        raise DataError(f"{path.name} has no series of equal size", where=str(path))
    same = np.full(len(labels), subject, np.int64)
    return Windows(x, np.array(labels, np.int64), same, np.arange(len(labels)), _BASIC_CLASSES)
