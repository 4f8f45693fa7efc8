# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests that need sound; import the one you use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from acclimate.data.clips import CLASSES, CLIP_SAMPLES, Clips
from acclimate.data.source import SpeechSource, recorded_speech
from acclimate.data.speech_commands import DATA_VARIABLE, SHARED_NAME


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of recordings, or skip."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"{DATA_VARIABLE} is not set")
    return Path(named)


@pytest.fixture(scope="session")
def speech_commands(data_dir: Path) -> SpeechSource:
    """The recorded keywords with their noises, or skip."""
    folder = data_dir / SHARED_NAME
    if not folder.is_dir():
        pytest.skip(f"{DATA_VARIABLE} has no {SHARED_NAME}")
    return recorded_speech(folder, data_dir)


@pytest.fixture
def no_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without recordings; yields its empty cache."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


def tone_clips(per_class: int = 2, speakers: int = 6) -> Clips:
    """Clips made of tones, one pitch per class; no file, no synthesizer."""
    rng = np.random.default_rng(0)
    t = np.arange(CLIP_SAMPLES) / 16_000
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    pitch_hz = 200 + 150 * labels[:, None]
    samples = 0.1 * np.sin(2 * np.pi * pitch_hz * t) + 0.01 * rng.standard_normal(
        (len(labels), CLIP_SAMPLES)
    )
    names = tuple(f"speaker{i % speakers}" for i in range(len(labels)))
    return Clips(samples.astype(np.float32), labels.astype(np.int64), names)
