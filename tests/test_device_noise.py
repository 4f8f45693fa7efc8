# SPDX-License-Identifier: Apache-2.0
"""The recorder keeps noise and leaves out voices, and refuses recordings that are worth nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acclimate.data import synthetic
from acclimate.data.noise import coloured_noise
from acclimate.device.noise.meaning import Recorder, Settings, Status, variance
from device_sandbox import Sandbox, fast_library

C = fast_library()
USUAL = Settings()
FRAME = USUAL.frame
RATE_HZ = 16_000


class CRecorder:
    """The recorder in C."""

    def __init__(self, settings: Settings = USUAL, capacity: int = 400) -> None:
        self.settings = C.new("ac_noise_settings", **asdict(settings))
        self.ring = np.zeros(capacity * settings.frame, np.int16)
        self.state = C.new("ac_noise")
        self.status = C.ac_noise_start(self.state, self.settings, self.ring, capacity)

    def push(self, x: NDArray[np.int16]) -> Status:
        return Status(C.ac_noise_push(self.state, x))

    def finish(self) -> tuple[Status, NDArray[np.int16]]:
        status = Status(C.ac_noise_finish(self.state))
        return status, self.ring[: self.state.samples]


def frames_of(x: NDArray[Any], frame: int = FRAME) -> NDArray[np.int16]:
    whole = np.clip(np.round(x[: len(x) // frame * frame]), -32768, 32767).astype(np.int16)
    return whole.reshape(-1, frame)


def noise(seconds: int, level: float, slope: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
    """Samples with this root mean square."""
    return 10 * level * coloured_noise(seconds, slope, np.random.default_rng(seed)).astype(float)


def voice(seconds: float, level: float, pitch_hz: float = 140.0) -> NDArray[np.float64]:
    """Vowel-like: harmonics with a formant at 600 Hz, in syllables of a quarter of a second."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    harmonics = np.arange(1, 20)[:, None] * pitch_hz
    strength = 1 / (1 + ((harmonics - 600) / 300) ** 2)
    tone = (strength * np.sin(2 * np.pi * harmonics * t)).sum(0)
    syllables = np.abs(np.sin(2 * np.pi * 2 * t)) + 0.1
    tone *= syllables
    return np.asarray(level * tone / tone.std())


def recorded(x: NDArray[Any], settings: Settings = USUAL) -> tuple[NDArray[np.int64], Status]:
    """Status of every frame, and of the whole; C must agree with the meaning on all of it."""
    c, meaning, statuses = CRecorder(settings), Recorder(settings, 400), []
    for frame in frames_of(x, settings.frame):
        statuses.append(c.push(frame))
        assert statuses[-1] == meaning.push(frame)
        assert (c.state.floor, c.state.kept) == (meaning.floor, len(meaning.frames))
    status, kept = c.finish()
    assert status == meaning.finish()
    np.testing.assert_array_equal(kept, np.concatenate([*meaning.frames, np.zeros(0, np.int16)]))
    return np.array(statuses), status


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("level", [20, 300, 3000])
def test_noise_alone_is_kept(slope: float, level: float) -> None:
    statuses, status = recorded(noise(5, level, slope))
    assert status == Status.OK
    assert (statuses[USUAL.warm_up :] == Status.OK).mean() > 0.8


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("snr_db", [10, 20])
def test_a_voice_is_left_out_and_the_noise_around_it_kept(slope: float, snr_db: float) -> None:
    x = noise(6, 200, slope)
    spoken = np.zeros(len(x))
    for start in (2, 4):
        spoken[start * RATE_HZ : (start + 1) * RATE_HZ] = voice(1, 200 * 10 ** (snr_db / 20))
    statuses, status = recorded(x + spoken)
    loud = np.sqrt((frames_of(spoken).astype(float) ** 2).mean(1)) > 200
    quiet = ~loud & ~np.convolve(loud, np.ones(2 * USUAL.hang + 3), "same").astype(bool)
    quiet[: USUAL.warm_up] = False
    assert status == Status.OK
    assert (statuses[loud] == Status.OK).mean() < 0.05
    assert (statuses[quiet] == Status.OK).mean() > 0.8


def test_synthesized_words_are_left_out() -> None:
    pytest.importorskip("espeakng_loader")
    speaker = synthetic.speakers_of_fold(0, 0)[0]
    words = ("yes", "no", "left", "stop")
    orders = [synthetic.Order(speaker, 150, 50, word, 0) for word in words]
    x = noise(2 * len(words) + 1, 100)
    spoken = np.zeros(len(x))
    for i, word in enumerate(synthetic._speak(orders)):
        said = soxr.resample(word, 22_050, RATE_HZ).astype(float)[:RATE_HZ]
        start = (1 + 2 * i) * RATE_HZ
        spoken[start : start + len(said)] = 1000 * said / said.std()
    statuses, status = recorded(x + spoken)
    loud = np.sqrt((frames_of(spoken).astype(float) ** 2).mean(1)) > 300
    assert status == Status.OK
    assert (statuses[loud] == Status.OK).mean() < 0.1
    assert (statuses[~loud] == Status.OK).mean() > 0.5


def test_the_frames_before_a_voice_are_taken_back() -> None:
    hiss = frames_of(noise(1, 200, 0.0))
    c = CRecorder(replace(USUAL, back=3, hang=2))
    for frame in hiss[:30]:
        c.push(frame)
    assert c.state.kept == 20
    assert c.push(frames_of(voice(0.02, 8000))[0]) == Status.VOICE
    assert c.state.kept == 17
    assert [c.push(frame) for frame in hiss[30:33]] == [Status.VOICE, Status.VOICE, Status.OK]


def test_the_ring_keeps_the_newest_frames_in_order() -> None:
    settings = replace(USUAL, shortest=2, ratio_q4=65536)
    for pushed in range(1, 12):
        c = CRecorder(settings, capacity=4)
        hiss = frames_of(noise(1, 200, 0.0))
        for frame in hiss[: USUAL.warm_up + pushed]:
            c.push(frame)
        _, kept = c.finish()
        last = hiss[USUAL.warm_up : USUAL.warm_up + pushed][-4:]
        np.testing.assert_array_equal(kept, last.ravel())


def test_bad_recordings_are_refused_with_their_reason() -> None:
    hiss = noise(3, 200)
    assert recorded(hiss[:16_000])[1] == Status.TOO_SHORT
    assert recorded(np.zeros(48_000))[1] == Status.SILENT
    assert recorded(np.full(48_000, 5000.0))[1] == Status.SILENT, "an offset is no sound"
    assert recorded(noise(3, 1.0))[1] == Status.SILENT
    assert recorded(noise(3, 20_000))[1] == Status.CLIPPED
    assert recorded(hiss)[1] == Status.OK


def test_defaults_are_those_of_the_meaning() -> None:
    found = C.new("ac_noise_settings")
    C.ac_noise_defaults(found, FRAME)
    assert {name: getattr(found, name) for name, *_ in found._fields_} == asdict(USUAL)


def test_misuse_has_a_code() -> None:
    c = CRecorder()
    frame = np.zeros(FRAME, np.int16)
    c.finish()
    assert c.push(frame) == Status.BAD_CALL  # it is over
    assert c.finish()[0] == Status.BAD_CALL
    assert CRecorder(capacity=0).status == Status.BAD_CALL
    for wrong in ({"frame": 15}, {"frame": 4097}, {"ratio_q4": 15}, {"rise": 16}, {"warm_up": 0}):
        settings = C.new("ac_noise_settings", **{**asdict(USUAL), **wrong})
        assert C.ac_noise_start(c.state, settings, c.ring, 1) == Status.BAD_CALL
        assert not replace(USUAL, **wrong).possible()
    assert C.ac_noise_start(c.state, c.settings, c.ring, 2**31 // FRAME + 1) == Status.BAD_CALL


EXTREMES = st.sampled_from([-32768, 32767, 0]) | st.integers(-32768, 32767)


@settings(max_examples=100, deadline=None)
@given(x=st.lists(EXTREMES, min_size=16, max_size=64))
def test_variance_is_exact(x: list[int]) -> None:
    sandbox = Sandbox()
    given_x = sandbox.array(x, np.int16)
    assert sandbox.c.ac_noise_variance(given_x, len(x)) == variance(given_x)


@pytest.mark.parametrize("value", [-32768, 32767])
def test_the_longest_frame_does_not_overflow(value: int) -> None:
    sandbox = Sandbox()
    x = sandbox.array(np.full(4096, value), np.int16)
    assert sandbox.c.ac_noise_variance(x, 4096) == 0
    x[::2] = -1 - value
    assert sandbox.c.ac_noise_variance(x, 4096) == variance(x)


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.tuples(st.integers(16, 24), st.integers(1, 6)),
    fields=st.fixed_dictionaries(
        {
            "ratio_q4": st.sampled_from([16, 64, 65536]),
            "rise": st.integers(1, 15),
            "warm_up": st.sampled_from([1, 3, 2**32 - 1]),
            "hang": st.sampled_from([0, 2, 2**32 - 1]),
            "back": st.sampled_from([0, 1, 3, 2**32 - 1]),
            "shortest": st.sampled_from([0, 1, 2**32 - 1]),
            "silence": st.sampled_from([0, 4, 2**32 - 1]),
            "clipped_permille": st.sampled_from([0, 1, 2**32 - 1]),
            "crossings_low": st.sampled_from([0, 2, 2**32 - 1]),
            "crossings_high": st.sampled_from([0, 20, 2**32 - 1]),
        }
    ),
    pushed=st.integers(0, 14),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_recording_ends_as_the_meaning_says(
    sizes: tuple[int, int], fields: dict[str, int], pushed: int, seed: int
) -> None:
    frame, capacity = sizes
    chosen = Settings(frame=frame, **fields)
    sandbox, meaning = Sandbox(), Recorder(chosen, capacity)
    rng = np.random.default_rng(seed)
    ring = sandbox.array(frame * capacity, np.int16)
    state = sandbox.new("ac_noise")
    passed = sandbox.new("ac_noise_settings", **asdict(chosen))
    assert sandbox.c.ac_noise_start(state, passed, ring, capacity) == Status.OK
    for _ in range(pushed):
        level = 10.0 ** rng.uniform(0, 5)
        x = sandbox.array(np.clip(level * rng.standard_normal(frame), -32768, 32767), np.int16)
        assert sandbox.c.ac_noise_push(state, x) == meaning.push(x)
    assert sandbox.c.ac_noise_finish(state) == meaning.finish()
    kept = np.concatenate([*meaning.frames, np.zeros(0, np.int16)])
    np.testing.assert_array_equal(ring[: state.samples], kept)
    assert sandbox.accesses < 1000 + 100 * pushed + 20 * frame * (pushed + capacity)
