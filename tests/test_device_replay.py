# SPDX-License-Identifier: Apache-2.0
"""The replay memory keeps what its policy says, in exactly the bytes that its formula says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from acclimate.device.flash.meaning import Flash
from acclimate.device.replay.meaning import (
    CBRS,
    ECBRS,
    RESERVOIR,
    Replay,
    Settings,
    Status,
    packed,
    slot_bytes,
    split,
)
from device_sandbox import Sandbox, fast_library

NAN, INFINITY = float("nan"), float("inf")
C = fast_library()


class CReplay:
    """The memory in C: in RAM, or in flash with a sector of 32 bytes."""

    def __init__(self, chosen: Settings, capacity: int, K: int, *, in_flash: bool = False) -> None:
        self.sandbox = Sandbox()
        self.c, new, array = self.sandbox.c, self.sandbox.new, self.sandbox.array
        self.n = chosen.n
        self.bytes = self.c.ac_replay_bytes(capacity, chosen.n, chosen.bits)
        self.state, self.slot = new("ac_replay"), array(1, np.uint32)
        self.labels, self.classes = array(capacity, np.uint16), array(3 * K, np.uint32)
        common = (self.state, new("ac_replay_settings", **asdict(chosen)), self.labels, capacity)
        if in_flash:
            self.flash = Flash(-(-self.bytes // 32) * 32, 32, 8)
            self.memory = array(32, np.uint8)
            last = self.sandbox.flash(self.flash), self.memory
            assert self.c.ac_replay_start_flash(*common, self.classes, K, *last) == 0
        else:
            self.memory = array(self.bytes, np.uint8)
            last = self.memory, self.bytes
            assert self.c.ac_replay_start(*common, self.classes, K, *last) == 0

    def offer(self, x: Any, label: int) -> int:
        vector = self.sandbox.array(x, np.float32)
        return int(self.c.ac_replay_offer(self.state, vector, label, self.slot))

    def read(self, slot: int) -> Any:
        out = self.sandbox.array(self.n, np.float32)
        assert self.c.ac_replay_read(self.state, slot, out) == 0
        return out

    def content(self) -> bytes:
        if not self.state.flash:
            return bytes(self.memory)
        assert self.c.ac_replay_flush(self.state) == 0
        return bytes(self.flash.content)


class Session(RuleBasedStateMachine):
    """Items, draws and reads in any order; the meaning goes along."""

    @initialize(
        chosen=st.builds(
            Settings, st.sampled_from([RESERVOIR, CBRS, ECBRS]), st.integers(1, 9),
            st.integers(1, 8), st.sampled_from([1.0, 6.0]), st.sampled_from([0.0, 0.5, 1.0]),
            st.integers(0, 2**32 - 1),
        ),
        capacity=st.integers(1, 8), K=st.integers(1, 4), in_flash=st.booleans(),
    )  # fmt: skip
    def start(self, chosen: Settings, capacity: int, K: int, in_flash: bool) -> None:
        self.c = CReplay(chosen, capacity, K, in_flash=in_flash)
        self.meaning = Replay(chosen, capacity, K)

    @rule(data=st.data(), label=st.integers(-1, 4))
    def offer(self, data: Any, label: int) -> None:
        values = st.floats(-1, 8, width=32) | st.sampled_from([0.0, 3e38, -3e38, NAN, INFINITY])
        x = np.array(data.draw(st.tuples(*[values] * self.c.n)), np.float32)
        before, dropped = self.c.sandbox.accesses, set(self.meaning.labels)
        status, slot = self.meaning.offer(x, label)
        assert self.c.offer(x, label) == status
        if slot is not None:
            assert self.c.slot[0] == slot
            np.testing.assert_array_equal(self.c.read(slot), self.meaning.read(slot))
        if self.meaning.settings.policy == CBRS and self.meaning.capacity >= self.meaning.K:
            assert dropped <= set(self.meaning.labels), "no class that was there is lost"
        assert self.c.sandbox.accesses - before < 600 + 60 * self.c.n + 100 * self.meaning.capacity

    @precondition(lambda self: self.meaning.labels)
    @rule(data=st.data())
    def draw(self, data: Any) -> None:
        count = data.draw(st.integers(0, len(self.meaning.labels)))
        out = self.c.sandbox.array(count + 1, np.uint32)
        assert self.c.c.ac_replay_draw(self.c.state, out, count) == 0
        assert list(out[:count]) == self.meaning.draw(count) and out[count] == 0
        assert len(set(out[:count])) == count

    @precondition(lambda self: self.meaning.labels)
    @rule()
    def draw_balanced(self) -> None:
        assert self.c.c.ac_replay_draw_balanced(self.c.state, self.c.slot) == 0
        assert self.c.slot[0] == self.meaning.draw_balanced()

    @rule()
    def compare_bytes(self) -> None:
        meaning, s = self.meaning, self.meaning.settings
        expected = b"".join(packed(q, s.bits) for q in meaning.slots)
        assert self.c.content()[: len(expected)] == expected

    @precondition(lambda self: hasattr(self, "meaning"))
    @invariant()
    def agree(self) -> None:
        m, count = self.meaning, self.c.state.count
        assert list(self.c.labels[:count]) == m.labels
        classes = self.c.classes.reshape(-1, 3)
        assert classes.tolist() == [
            list(row) for row in zip(m.kept, m.offered, m.full, strict=True)
        ]
        assert sum(m.kept) == count == min(m.seen, m.capacity)
        assert all(kept <= seen for kept, seen in zip(m.kept, m.offered, strict=True))


TestSession = Session.TestCase
TestSession.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@settings(max_examples=60, deadline=None)
@given(slots=st.integers(1, 3000), n=st.integers(1, 300), bits=st.integers(1, 8))
def test_bytes_are_those_of_the_formula(slots: int, n: int, bits: int) -> None:
    assert C.ac_replay_bytes(slots, n, bits) == slots * slot_bytes(n, bits)
    if n * bits % 8 == 0:
        assert C.ac_replay_bytes(slots, n, bits) == slots * n * bits // 8


def test_bytes_of_the_published_memories() -> None:
    """3 000 latents of MobileNetV1 at 128 x 128, 8 bits: 93.8, 23.4, 46.9 and 2.9 MiB."""
    found = [C.ac_replay_bytes(3000, n, 8) / 2**20 for n in (32768, 8192, 16384, 1024)]
    assert [round(v, 1) for v in found] == [93.8, 23.4, 46.9, 2.9]
    assert C.ac_replay_bytes(3000, 8192, 7) == C.ac_replay_bytes(3000, 8192, 8) * 7 // 8


@pytest.mark.parametrize("bits", [8, 7, 6, 4])
def test_errors_of_latents_are_half_a_step(bits: int) -> None:
    rng = np.random.default_rng(bits)
    c = CReplay(Settings(CBRS, 24, bits, 6.0), 40, 2)
    x = rng.uniform(0, 6, (40, 24)).astype(np.float32)
    for vector in x:
        c.offer(vector, 0)
    errors = np.abs(np.array([c.read(slot) for slot in range(40)]) - x)
    step = 6.0 / (2**bits - 1)
    assert 0.45 * step < errors.max() <= step / 2 + 1e-6
    assert len(c.memory) == 40 * 24 * bits / 8


def test_a_reservoir_keeps_every_item_alike() -> None:
    kept = np.zeros(40)
    for seed in range(600):
        meaning = Replay(Settings(RESERVOIR, 1, 8, 1.0, seed=seed), 10, 1)
        slots: dict[int, int] = {}
        for item in range(40):
            _, slot = meaning.offer(np.zeros(1, np.float32), 0)
            if slot is not None:
                slots[slot] = item
        kept[list(slots.values())] += 1
    # Binomial with 600 draws of 1 / 4: deviation 10.6.
    assert kept.min() > 150 - 48 and kept.max() < 150 + 48


@pytest.mark.parametrize(("policy", "low", "high"), [(RESERVOIR, 80, 100), (CBRS, 20, 35),
                                                     (ECBRS, 48, 55)])  # fmt: skip
def test_a_rare_class_stays_as_the_policy_says(policy: int, low: int, high: int) -> None:
    """95 % of the stream is class 0; 100 slots, a quota of one half."""
    rng = np.random.default_rng(0)
    c = CReplay(Settings(policy, 2, 8, 1.0, 0.5), 100, 4)
    for label in rng.choice(4, 3000, p=[0.91, 0.03, 0.03, 0.03]):
        c.offer(rng.random(2), int(label))
    assert low <= c.classes[0] <= high


def test_flash_is_erased_and_written_in_whole_sectors() -> None:
    """The model of flash refuses anything else; one write per sector while it fills."""
    c = CReplay(Settings(CBRS, 8, 8, 1.0), 16, 1, in_flash=True)
    for i in range(16):
        c.offer(np.full(8, i / 15), 0)
    c.content()
    assert c.flash.writes == 2 * 4
    for slot in range(16):
        np.testing.assert_allclose(c.read(slot), np.full(8, slot / 15), atol=0.002)


def test_a_flash_that_fails_has_a_code() -> None:
    c = CReplay(Settings(CBRS, 8, 8, 1.0), 16, 1, in_flash=True)
    c.flash.sector = 64  # from now on it refuses
    codes = [c.offer(np.ones(8), 0) for _ in range(8)]
    assert codes[:4] == [Status.OK] * 4 and codes[4] == Status.FLASH_FAILED


def test_minibatches_are_shared_as_published() -> None:
    """300 new and 1 500 stored samples in minibatches of 128: 21 and 107."""
    assert split(300, 1500, 128) == (14, 21, 107)
    out = [np.zeros(1, np.uint32) for _ in range(3)]
    rng = np.random.default_rng(0)
    drawn = [tuple(map(int, 2 ** rng.uniform(0, 12, 3))) for _ in range(300)]
    for fresh, stored, batch in [(300, 1500, 128), (1, 0, 128), (5, 3, 100), *drawn]:
        assert C.ac_replay_split(fresh, stored, batch, *out) == 0
        batches, of_fresh, of_stored = (int(v[0]) for v in out)
        assert (batches, of_fresh, of_stored) == split(fresh, stored, batch)
        assert batches * of_fresh <= fresh and of_stored <= stored and of_fresh >= 1
        assert of_fresh + of_stored <= batch
    assert C.ac_replay_split(0, 5, 8, *out) == C.ac_replay_split(5, 5, 0, *out) == -1
    assert [C.ac_replay_renewed(1500, i, 300) for i in (0, 4, 9, 1500, 2**32 - 1)] == [
        300, 300, 150, 0, 0,
    ]  # fmt: skip


def test_misuse_has_a_code() -> None:
    c = CReplay(Settings(CBRS, 2, 8), 3, 2)
    one, slot = c.sandbox.array(2, np.float32), c.sandbox.array(1, np.uint32)
    assert c.c.ac_replay_read(c.state, 0, one) == Status.BAD_CALL
    assert c.c.ac_replay_draw(c.state, slot, 1) == Status.BAD_CALL
    assert c.c.ac_replay_draw_balanced(c.state, slot) == Status.BAD_CALL
    assert c.c.ac_replay_put(c.state, 0, one, 0) == Status.BAD_CALL
    c.offer([1, 2], 0)
    assert c.c.ac_replay_put(c.state, 0, one, 1) == Status.OK
    assert list(c.classes) == [0, 1, 0, 1, 0, 0] and list(c.read(0)) == [0, 0]
    labels, classes, room = np.zeros(4, np.uint16), np.zeros(6, np.uint32), np.zeros(8, np.uint8)
    good = asdict(Settings(CBRS, 2, 8))
    bad = ({"policy": 3}, {"n": 0}, {"n": 65537}, {"bits": 0}, {"bits": 9}, {"greatest": 0.0},
           {"greatest": NAN}, {"quota": -0.1}, {"quota": 1.1})  # fmt: skip
    for change in ({}, *bad):
        passed = C.new("ac_replay_settings", **{**good, **change})
        started = C.ac_replay_start(C.new("ac_replay"), passed, labels, 4, classes, 2, room, 8)
        assert started == (Status.BAD_CALL if change else Status.OK)
        small = C.ac_replay_start(C.new("ac_replay"), passed, labels, 4, classes, 2, room, 7)
        assert small == Status.BAD_CALL
