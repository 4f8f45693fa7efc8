# SPDX-License-Identifier: Apache-2.0
"""The store loses no model: power is cut at every write of whole sequences of saves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from acclimate.device.flash.meaning import Flash, crc32
from acclimate.device.store.meaning import Status, Store
from device_sandbox import Sandbox, fast_library, flash_struct
from power import FailingFlash, Torn, garbage, prefix, some_bits, ways_to_tear

MODEL = 0xC0FFEE
GEOMETRIES = [(256, 64, 8), (384, 128, 1), (512, 128, 32), (1024, 512, 4), (640, 64, 64)]
SMALL = (256, 64, 8)


class CStore:
    """The store in C on a flash, called from Python."""

    def __init__(self, flash: Flash, model: int = MODEL) -> None:
        self.c = fast_library()
        self.flash = flash_struct(self.c, flash)
        self.state = self.c.new("ac_store")
        self.status = Status(self.c.ac_store_open(self.state, self.flash, model))

    def save(self, content: bytes, pieces: int = 7) -> Status:
        status = self.c.ac_store_begin(self.state, len(content))
        for at in range(0, len(content) if status == 0 else 0, pieces):
            piece = np.frombuffer(content[at : at + pieces], np.uint8)
            status = status or self.c.ac_store_write(self.state, at, piece, len(piece))
        return Status(status or self.c.ac_store_commit(self.state))

    @property
    def content(self) -> bytes:
        data = np.zeros(self.state.length, np.uint8)
        if self.status == Status.OK:
            assert self.c.ac_store_read(self.state, 0, data, len(data)) == 0
        return data.tobytes()


def contents(seed: int, sizes: tuple[int, ...]) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(size) for size in sizes]


def each_cut(
    geometry: tuple[int, int, int], saves: list[bytes]
) -> Iterator[tuple[FailingFlash, bytes, bytes]]:
    """Flash that fails at each write and erase of each save, the model before and the new one."""
    flash, before = FailingFlash(*geometry), b""
    for content in saves:
        image = bytes(flash.content)
        first = flash.writes
        assert CStore(flash).save(content) == Status.OK
        for cut in range(flash.writes - first):
            yield FailingFlash(*geometry, content=bytearray(image), cut=cut), before, content
        before = content


def torn_at(flash: FailingFlash, content: bytes, torn: Torn) -> FailingFlash:
    """The flash after a save that was torn in this way."""
    failing = replace(flash, content=bytearray(flash.content), torn=torn)
    assert CStore(failing).save(content) == Status.FLASH_FAILED
    assert failing.off
    return failing


def assert_boots(flash: FailingFlash, before: bytes, after: bytes) -> None:
    """Old or new, never another; and the device can save again, whatever was left behind."""
    again = flash.rebooted()
    store = CStore(again)
    assert store.content in (before, after)
    expected = (Status.OK,) if before else (Status.OK, Status.EMPTY, Status.DAMAGED)
    assert store.status in expected
    assert store.save(b"next") == Status.OK
    rebooted = CStore(again)
    assert (rebooted.status, rebooted.content) == (Status.OK, b"next")


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_c_writes_what_the_meaning_says(geometry: tuple[int, int, int]) -> None:
    flash, model = Flash(*geometry), Flash(*geometry)
    for content in contents(1, (40, 0, 17, 64, 1)):
        store, meaning = CStore(flash), Store(model, MODEL)
        assert store.status == meaning.status and store.content == meaning.content
        assert store.save(content) == Status.OK
        meaning.save(content)
        assert flash.content == model.content
        assert flash.writes == model.writes


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_cut_of_every_write_recovers(geometry: tuple[int, int, int]) -> None:
    """Four saves, cut at each write and erase, in every way to tear it: all recover."""
    for flash, before, content in each_cut(geometry, contents(2, (40, 33, 48, 12))):
        size = torn_at(flash, content, prefix(0)).torn_bytes
        for torn in ways_to_tear(min(size, 64), seed=flash.cut or 0):
            assert_boots(torn_at(flash, content, torn), before, content)


@pytest.mark.parametrize("torn", [prefix(0), prefix(11), prefix(10**6), some_bits(1), garbage(2)])
def test_a_model_of_real_size_recovers_at_every_cut(torn: Torn) -> None:
    """3,120 B, the classifier of a small keyword spotter, in a flash of 4 KiB sectors."""
    for flash, before, content in each_cut((16384, 4096, 64), contents(3, (3120, 3120))):
        assert_boots(torn_at(flash, content, torn), before, content)


def test_the_new_model_counts_only_after_the_last_write() -> None:
    old, new = contents(4, (40, 40))
    found = []
    for flash, before, content in each_cut(SMALL, [old, new]):
        if before == old:
            whole = torn_at(flash, content, prefix(10**6))
            found.append(CStore(whole.rebooted()).content)
    assert found == [old] * (len(found) - 1) + [new] and len(found) == 2 + 5 + 1


def test_slots_wear_alike() -> None:
    erased = [0] * 4

    class Counting(Flash):
        def erase(self, at: int, size: int) -> None:
            super().erase(at, size)
            erased[at // size] += 1

    flash = Counting(*SMALL)
    for number in range(20):
        assert CStore(flash).save(bytes([number])) == Status.OK
    assert erased == [10, 10, 10, 10]


def with_sequence(flash: Flash, slot: int, sequence: int) -> None:
    """Changes the number of a slot and makes its header whole again."""
    start = slot * 128
    header = bytearray(flash.content[start : start + 24])
    header[8:12] = struct.pack("<I", sequence)
    header[20:] = struct.pack("<I", crc32(bytes(header[:20])))
    flash.content[start : start + 24] = header


def test_sequence_numbers_begin_again_at_zero() -> None:
    flash = Flash(*SMALL)
    CStore(flash).save(b"one")
    with_sequence(flash, 0, 2**32 - 1)
    for content in (b"two", b"three", b"four"):
        assert CStore(flash).save(content) == Status.OK
        assert CStore(flash).content == content == Store(flash, MODEL).content


def test_what_another_program_saved_is_named_and_its_newest_is_kept() -> None:
    flash = Flash(*SMALL)
    for content in (b"older", b"newer"):
        CStore(flash, model=1).save(content)
    mine = CStore(flash, model=2)
    assert mine.status == Status.OTHER_MODEL == Store(flash, 2).status
    assert mine.save(b"mine") == Status.OK
    assert CStore(flash, model=2).content == b"mine"
    assert CStore(flash, model=1).content == b"newer"


def test_every_single_bit_that_flips_is_noticed() -> None:
    flash = Flash(*SMALL)
    for content in (b"the old model", b"the new model"):
        CStore(flash).save(content)
    intact = bytes(flash.content)
    for bit in range(8 * (24 + 13)):
        flash.content[:] = intact
        flash.content[128 + bit // 8] ^= 1 << bit % 8
        store = CStore(flash)
        assert (store.status, store.content) == (Status.OK, b"the old model")
        assert list(store.state.states) == [Status.OK, Status.DAMAGED]


def test_a_flash_that_does_not_keep_what_is_written_is_found_before_the_header() -> None:
    class Forgetful(Flash):
        def write(self, at: int, data: bytes) -> None:
            super().write(at, bytes(len(data)) if at == 152 else data)

    flash = Forgetful(*SMALL)
    assert CStore(flash).save(b"first") == Status.OK
    # Slot 1 begins at 128 and its header takes three grains: the model's first byte is at 152.
    assert CStore(flash).save(b"second") == Status.FLASH_FAILED
    assert CStore(flash).content == b"first"
    assert bytes(flash.content[128:152]) == b"\xff" * 24


def test_misuse_has_a_code() -> None:
    flash = Flash(*SMALL)
    store = CStore(flash)
    data = np.arange(16, dtype=np.uint8)
    c, state = store.c, store.state
    assert c.ac_store_write(state, 0, data, 1) == Status.BAD_CALL  # without begin
    assert c.ac_store_commit(state) == Status.BAD_CALL
    assert c.ac_store_read(state, 0, data, 1) == Status.BAD_CALL  # there is no model
    assert c.ac_store_begin(state, 105) == Status.TOO_LARGE
    assert c.ac_store_prepare(state, 105) == Status.TOO_LARGE
    assert c.ac_store_begin(state, 104) == Status.OK
    assert c.ac_store_write(state, 4, data, 1) == Status.BAD_CALL  # a gap
    assert c.ac_store_commit(state) == Status.TOO_SMALL
    assert c.ac_store_begin(state, 3) == Status.OK
    assert c.ac_store_write(state, 0, data, 4) == Status.TOO_LARGE
    assert c.ac_store_open(state, None, 1) == Status.BAD_CALL
    assert c.ac_store_open(None, store.flash, 1) == Status.BAD_CALL


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_save_in_pieces_is_the_same(geometry: tuple[int, int, int]) -> None:
    flash, other = Flash(*geometry), Flash(*geometry)
    for content in contents(5, (40, 33)):
        assert CStore(flash).save(content) == Status.OK
        store = CStore(other)
        c, state = store.c, store.state
        assert c.ac_store_erase(state) == Status.BAD_CALL  # without prepare
        writes = other.writes
        assert c.ac_store_prepare(state, len(content)) == Status.OK and other.writes == writes
        data = np.frombuffer(content, np.uint8)
        assert c.ac_store_write(state, 0, data, 1) == Status.BAD_CALL  # not erased yet
        steps = [c.ac_store_erase(state)]
        while steps[-1] == Status.MORE:
            steps.append(c.ac_store_erase(state))
        sectors = geometry[0] // geometry[1] // 2
        assert steps == [Status.MORE] * (sectors - 1) + [Status.OK]
        assert other.writes == writes + sectors
        assert c.ac_store_write(state, 0, data, len(data)) == Status.OK
        assert c.ac_store_commit(state) == Status.OK
    assert (flash.content, flash.writes) == (other.content, other.writes)


class Lifetime(RuleBasedStateMachine):
    """A device that saves, loses power at any moment, in any way, and boots again."""

    def __init__(self) -> None:
        super().__init__()
        self.flash = FailingFlash(*SMALL)
        self.store = CStore(self.flash)
        self.allowed = {b""}

    @rule(content=st.binary(max_size=104), pieces=st.integers(1, 50))
    def save(self, content: bytes, pieces: int) -> None:
        status = self.store.save(content, pieces)
        if status == Status.OK:
            self.allowed, self.store.status = {content}, Status.OK
        else:
            assert self.flash.off
            self.allowed = self.allowed | {content}

    @rule(after=st.integers(0, 20), way=st.integers(0, 140), seed=st.integers(0, 99))
    def plan_a_cut(self, after: int, way: int, seed: int) -> None:
        ways = list(ways_to_tear(64, seed))
        self.flash.cut, self.flash.torn = self.flash.writes + after, ways[way % len(ways)]

    @rule()
    def boot(self) -> None:
        self.flash = self.flash.rebooted()
        self.store = CStore(self.flash)
        assert self.store.content in self.allowed
        self.allowed = {self.store.content}

    @precondition(lambda self: not self.flash.off)
    @invariant()
    def holds_what_was_saved(self) -> None:
        assert self.store.content in self.allowed


TestLifetime = Lifetime.TestCase
TestLifetime.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(0, 300)] * 3) | st.sampled_from(GEOMETRIES),
    content=st.binary(max_size=300),
    length=st.sampled_from([0, 1, 50, 2**31, 2**32 - 1]),
    at=st.sampled_from([0, 1, 2**32 - 1]),
)
def test_hostile_sizes_and_contents_do_no_harm(
    sizes: tuple[int, int, int], content: bytes, length: int, at: int
) -> None:
    sandbox = Sandbox()
    flash = Flash(*sizes, content=bytearray(content.ljust(sizes[0], b"\xff")[: sizes[0]]))
    store = sandbox.new("ac_store")
    sandbox.c.ac_store_open(store, sandbox.flash(flash), MODEL)
    data = sandbox.array(50, np.uint8)
    sandbox.c.ac_store_read(store, at, data, 50)
    if sandbox.c.ac_store_begin(store, length) == Status.OK:
        sandbox.c.ac_store_write(store, at, data, 50)
        sandbox.c.ac_store_commit(store)
    # Both slots are read once to open, one is written and read again: bounded by the size.
    assert sandbox.accesses < 5000 + 200 * sizes[0]


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 2**32 - 1), content=st.binary(min_size=128, max_size=128))
def test_a_whole_header_with_any_length_does_no_harm(length: int, content: bytes) -> None:
    sandbox = Sandbox()
    head = struct.pack("<5I", 0x31534341, MODEL, 1, length, crc32(content))
    head += struct.pack("<I", crc32(head))
    flash = Flash(*SMALL, content=bytearray((head + content)[:128] + content))
    store = sandbox.new("ac_store")
    sandbox.c.ac_store_open(store, sandbox.flash(flash), MODEL)
    assert store.current in (-1, 0)
