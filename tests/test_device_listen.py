# SPDX-License-Identifier: Apache-2.0
"""Windows of a stream: C hands out what its meaning does, and counts what is lost."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.listen.meaning import Listener, Status, smoothed
from device_sandbox import Sandbox, fast_library


class Both:
    """The ring in C and its meaning, which must agree after every call."""

    def __init__(self, capacity: int, window: int, hop: int) -> None:
        self.sandbox = Sandbox()
        self.state = self.sandbox.new("ac_listen")
        self.reader = self.sandbox.new("ac_listen_reader")
        self.ring = self.sandbox.array(capacity, np.int16)
        c = self.sandbox.c
        assert c.ac_listen_start(self.state, self.ring, capacity) == 0
        assert c.ac_listen_join(self.reader, self.state, window, hop) == 0
        self.meaning = Listener(capacity, window, hop)
        self.x = self.sandbox.array(window, np.int16)
        self.next = 0

    def push(self, count: int) -> None:
        pcm = self.sandbox.array((np.arange(count) + self.next).astype(np.int16), np.int16)
        self.next += count
        assert self.sandbox.c.ac_listen_push(self.state, pcm, count) == 0
        self.meaning.push(pcm)
        self.agree()

    def take(self) -> Status:
        status = self.sandbox.c.ac_listen_take(self.reader, self.x)
        expected, window = self.meaning.take()
        assert status == expected
        if window is not None:
            assert (self.x == window).all()
        self.agree()
        return Status(status)

    def agree(self) -> None:
        c, reader, meaning = self.sandbox.c, self.reader, self.meaning
        assert c.ac_listen_due(reader) == meaning.due()
        assert c.ac_listen_spare(reader) == meaning.spare()
        assert (reader.taken, reader.missed) == (meaning.taken, meaning.missed)


@settings(max_examples=150, deadline=None)
@given(
    window=st.integers(1, 40),
    hop=st.integers(1, 40),
    spare=st.integers(0, 60),
    moves=st.lists(st.integers(-3, 60), max_size=40),
)
def test_c_hands_out_what_the_meaning_does(
    window: int, hop: int, spare: int, moves: list[int]
) -> None:
    hop = min(hop, window)
    both = Both(window + hop + spare, window, hop)
    for move in moves:
        if move > 0:
            both.push(min(move, window + hop + spare))
        else:
            both.take()


def test_a_reader_that_keeps_up_gets_every_window_in_order() -> None:
    both = Both(24, 16, 4)
    for _ in range(50):
        both.push(4)
        if both.next >= 16:
            assert both.take() == Status.OK
            assert both.x[0] == both.next - 16
    assert both.reader.missed == 0 and both.reader.taken == 47


def test_a_reader_that_is_late_is_told_what_it_missed() -> None:
    both = Both(24, 16, 4)
    for _ in range(10):
        both.push(8)
    assert both.take() == Status.MISSED
    # Of 80 samples the newest 24 are there: windows at 0 .. 52 are gone.
    assert both.x[0] == 56 and both.reader.missed == 14
    assert [both.take() for _ in range(3)] == [Status.OK, Status.OK, Status.NONE]


def test_counters_begin_again_after_four_billion_samples() -> None:
    both = Both(24, 16, 4)
    state = both.state
    state.claimed = state.written = both.reader.start = 2**32 - 10
    for _ in range(6):
        both.push(4)
    assert both.take() == Status.OK
    assert both.x[0] == 0 and both.reader.start == 2**32 - 6


@pytest.mark.parametrize(
    "sizes", [(15, 16, 4), (19, 16, 4), (24, 16, 0), (64, 16, 17), (0, 0, 0), (2**31, 16, 4)]
)
def test_sizes_that_cannot_be_are_refused(sizes: tuple[int, int, int]) -> None:
    c = fast_library()
    state, reader, ring = c.new("ac_listen"), c.new("ac_listen_reader"), np.zeros(64, np.int16)
    capacity, window, hop = sizes
    started = c.ac_listen_start(state, ring, capacity)
    assert started == (Status.OK if 0 < capacity < 2**31 else Status.BAD_CALL)
    assert c.ac_listen_join(reader, state, window, hop) == Status.BAD_CALL
    assert c.ac_listen_take(reader, ring) == Status.BAD_CALL
    assert c.ac_listen_due(reader) == c.ac_listen_spare(reader) == 0
    assert c.ac_listen_push(state, ring, capacity + 1) == Status.BAD_CALL
    assert state.written == 0


def test_several_readers_have_windows_of_their_own() -> None:
    """A classifier with windows of 16 every 4, and a recorder of frames of 8 that comes later."""
    both = Both(24, 16, 4)
    both.push(8)
    c, recorder = both.sandbox.c, both.sandbox.new("ac_listen_reader")
    assert c.ac_listen_join(recorder, both.state, 8, 8) == Status.OK
    both.push(8)
    frame = both.sandbox.array(8, np.int16)
    assert c.ac_listen_take(recorder, frame) == Status.OK and frame[0] == 8
    assert c.ac_listen_take(recorder, frame) == Status.NONE
    assert both.take() == Status.OK


def test_no_torn_window_gets_out_while_another_thread_writes() -> None:
    """A writer that is not stopped, much faster than the reader: every window is of one piece."""
    c = fast_library()
    state, reader = c.new("ac_listen"), c.new("ac_listen_reader")
    ring, x = np.zeros(4096, np.int16), np.zeros(2048, np.int16)
    assert c.ac_listen_start(state, ring, 4096) == 0
    assert c.ac_listen_join(reader, state, 2048, 512) == 0
    stop = threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set():
            pcm = (np.arange(64) + at).astype(np.int16)
            c.ac_listen_push(state, pcm, 64)
            at += 64

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = 0
        for _ in range(200_000):
            if c.ac_listen_take(reader, x) in (Status.OK, Status.MISSED):
                steps = np.diff(x.astype(np.int32)) % 65536
                assert (steps == 1).all()
                found += 1
            if found == 300:
                break
        assert found == 300
    finally:
        stop.set()
        writer.join()


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3), max_size=6),
    inertia=st.floats(0, 0.9375, width=32),
)
def test_posteriors_are_those_of_the_meaning(scores: list[list[float]], inertia: float) -> None:
    sandbox = Sandbox()
    p, expected = sandbox.array(3, np.float32), np.zeros(3)
    for row in scores:
        given_scores = sandbox.array(row, np.float32)
        assert sandbox.c.ac_listen_smooth(p, given_scores, 3, inertia) == Status.OK
        expected = smoothed(expected, np.array(row, np.float32), inertia)
        np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-30)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_change_no_posterior(bad: float) -> None:
    c: Any = fast_library()
    p, scores = np.array([0.25, 0.75], np.float32), np.array([1.0, bad], np.float32)
    assert c.ac_listen_smooth(p, scores, 2, 0.5) == Status.NOT_FINITE
    assert list(p) == [0.25, 0.75]
    for inertia in (-0.5, 1.0, bad):
        assert c.ac_listen_smooth(p, p, 2, inertia) == Status.BAD_CALL
    assert c.ac_listen_smooth(p, p, 0, 0.5) == Status.BAD_CALL


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4),
    count=st.integers(0, 40),
)
def test_counters_of_any_value_do_no_harm(words: list[int], count: int) -> None:
    """Even a state that was overwritten leads to no access outside of the ring."""
    both = Both(24, 16, 4)
    state, reader = both.state, both.reader
    state.claimed, state.written, reader.start, reader.taken = words
    pcm = both.sandbox.array(40, np.int16)
    both.sandbox.c.ac_listen_push(state, pcm, min(count, 24))
    both.sandbox.c.ac_listen_take(reader, both.x)
    assert reader.place < 24 and state.place < 24
