# SPDX-License-Identifier: Apache-2.0
"""Recordings are found, read and split as they say; without them a synthesizer speaks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acclimate.data import synthetic
from acclimate.data.clips import CLASSES, SILENCE_CLASS, choose_balanced, speaker_fold
from acclimate.data.source import HELD_OUT_PLACES, SpeechSource, keyword_speech
from acclimate.data.speech_commands import SHARED_NAME, read_clip, read_index
from acclimate.data.synthetic import speakers_of_fold, synthetic_clips
from acclimate.errors import DataError, MissingTool
from data_fixtures import data_dir, no_recordings, speech_commands

__all__ = ["data_dir", "no_recordings", "speech_commands"]


@pytest.fixture
def archive_folder(tmp_path: Path) -> Path:
    """Three files in the layout of the official archive."""
    for name in (
        "yes/0c540988_nohash_1.wav",
        "_unknown_/bed_87070229_nohash_2.wav",
        "_silence_/7.wav",
    ):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(12_000, 0.25), 16_000, subtype="PCM_16")
    (tmp_path / "set" / "README.md").write_text("not a clip")
    return tmp_path / "set"


def test_official_layout_is_read(archive_folder: Path) -> None:
    silence, unknown, yes = read_index(archive_folder)
    assert (silence.label, silence.word, silence.speaker) == ("_silence_", "", "")
    assert (unknown.label, unknown.word, unknown.speaker, unknown.utterance) == (
        *("_unknown_", "bed", "87070229"),
        2,
    )
    assert (yes.label, yes.word, yes.speaker, yes.fold) == (
        *("yes", "yes", "0c540988"),
        speaker_fold("0c540988"),
    )


def test_short_clip_is_filled_with_zeros(archive_folder: Path) -> None:
    samples = read_clip(archive_folder / "yes" / "0c540988_nohash_1.wav")
    assert samples.shape == (16_000,) and samples.dtype == np.float32
    np.testing.assert_array_equal(samples[[0, 11_999, 12_000]], [0.25, 0.25, 0.0])


@pytest.mark.parametrize("content", [b"", b"RIFF not sound"])
def test_unreadable_clip_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read(.|\n)*bad\.wav"):
        read_clip(tmp_path / "bad.wav")


def test_wrong_rate_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    with pytest.raises(DataError, match="found: 8000 Hz"):
        read_clip(tmp_path / "a.wav")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recordings"):
        read_index(tmp_path)


def test_index_without_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="found: speaker, utterance, word"):
        read_index(tmp_path)


def test_data_variable_must_name_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCLIMATE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="does not name a folder"):
        keyword_speech()


def test_downloaded_set_is_used_with_generated_noises(
    no_recordings: Path, archive_folder: Path
) -> None:
    no_recordings.mkdir()
    archive_folder.rename(no_recordings / "speech_commands_test_set_v0.02")
    source = keyword_speech()
    assert source.recorded and "Speech Commands" in source.description
    assert "generated noises" in source.description
    assert len(source.clips(range(5))) == 3


def test_balanced_choice_takes_as_many_of_every_class() -> None:
    labels = np.array([0] * 9 + [1] * 5 + [2] * 2)
    chosen = choose_balanced(labels, 3, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [3, 3, 2]
    assert len(set(chosen.tolist())) == 8


def test_without_recordings_a_synthesizer_speaks(no_recordings: Path) -> None:
    source = keyword_speech(seed=1)
    clips = source.test_clips()
    assert not source.recorded and source.description.startswith("synthetic speech")
    assert clips.samples.shape == (len(clips), 16_000) and clips.samples.dtype == np.float32
    assert set(clips.labels) == set(range(12)) and len(clips) > 500
    loud = np.sqrt((clips.samples[clips.labels != SILENCE_CLASS] ** 2).mean(1))
    assert loud.min() > 0.01 and np.isfinite(clips.samples).all()


def test_synthetic_speech_repeats_exactly() -> None:
    first = synthetic_clips((3,), seed=1)
    synthetic._fold_clips.cache_clear()
    again = synthetic_clips((3,), seed=1)
    np.testing.assert_array_equal(first.samples, again.samples)


def test_synthetic_voices_belong_to_one_fold() -> None:
    voices = [{s.voice.split("+")[1] for s in speakers_of_fold(fold, 0)} for fold in range(5)]
    assert sum(len(v) for v in voices) == len(set().union(*voices)) == len(synthetic.VOICES)


def test_missing_synthesizer_says_what_to_install(
    no_recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match=r"pip install 'acclimate\[speech\]'"):
        keyword_speech(seed=99).test_clips()


def test_unknown_place_lists_the_places(no_recordings: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'coffee shop'"):
        keyword_speech(seed=1).place("coffeeshop")


@pytest.mark.data
def test_folds_equal_the_column_of_the_index(data_dir: Path) -> None:
    folder = data_dir / SHARED_NAME
    with (folder / "index.csv").open(newline="") as lines:
        column = {folder / row["path"]: row["speaker_fold"] for row in csv.DictReader(lines)}
    spoken = [clip for clip in read_index(folder) if clip.speaker]
    assert len(spoken) > 3000
    assert all(column[clip.path] == str(clip.fold) for clip in spoken)


@pytest.mark.data
def test_recorded_splits_share_no_speaker(speech_commands: SpeechSource) -> None:
    parts = [
        speech_commands.train_clips(),
        speech_commands.validation_clips(),
        speech_commands.test_clips(),
    ]
    people = [set(part.speakers) - {""} for part in parts]
    assert not people[0] & people[1] and not people[1] & people[2] and not people[0] & people[2]
    assert all(set(part.labels) == set(range(len(CLASSES))) for part in parts)


@pytest.mark.data
def test_recorded_places_are_there_and_the_pool_lacks_those_held_out(
    speech_commands: SpeechSource,
) -> None:
    assert set(HELD_OUT_PLACES) < set(speech_commands.noises)
    assert {p.name for p in speech_commands.pool()}.isdisjoint(HELD_OUT_PLACES)
    assert len(speech_commands.pool()) >= 9
    for place in speech_commands.noises.values():
        for part in (place.train, place.test):
            assert part.samples.dtype == np.float32 and len(part.samples) > 5 * 16_000
            assert 1e-3 < part.samples.std() < 1.0
