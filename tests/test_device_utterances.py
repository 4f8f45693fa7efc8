# SPDX-License-Identifier: Apache-2.0
"""Stored utterances come back, and power may fail at every write of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acclimate.device.flash.meaning import Flash
from acclimate.device.utterances.meaning import (
    Format,
    Status,
    Utterance,
    encode,
    encoded_bytes,
    record,
    utterances,
)
from device_sandbox import Sandbox, fast_library, flash_struct
from power import FailingFlash, garbage, ways_to_tear

C = fast_library()
GEOMETRIES = [(1024, 256, 8), (768, 256, 1), (2048, 512, 64), (1024, 128, 32)]
SOUND = (Format.PCM16, Format.ADPCM, Format.MULAW)


def values(form: Format, count: int, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng([seed, count, form])
    if form in SOUND:
        return np.asarray((3000 * rng.standard_normal(count)).astype(np.int16))
    return rng.standard_normal(count).astype(np.float32)


class Log:
    """The log in C on a flash, called from Python."""

    def __init__(self, flash: Flash, size: int = 64) -> None:
        self.flash = flash_struct(C, flash)
        self.index = (C.header.types["ac_utterances_entry"] * max(size, 1))()
        self.state = C.new("ac_utterances")
        address = C.header.types["ac_utterances_entry"].from_buffer(self.index)
        self.status = Status(C.ac_utterances_open(self.state, self.flash, address, size))

    def append(self, label: int, form: Format, x: NDArray[Any]) -> Status:
        function = C.ac_utterances_append_s16 if form in SOUND else C.ac_utterances_append_f32
        return Status(function(self.state, label, form, x, len(x)))

    def read(self, number: int) -> tuple[Status, NDArray[Any]]:
        entry = self.index[number]
        sound = entry.format in SOUND
        x = np.zeros(entry.count, np.int16 if sound else np.float32)
        function = C.ac_utterances_read_s16 if sound else C.ac_utterances_read_f32
        return Status(function(self.state, number, x, len(x))), x

    def all(self) -> list[tuple[int, int, bytes]]:
        """Label, format and values of each; every checksum must be right."""
        found = []
        for number in range(self.state.count):
            status, x = self.read(number)
            assert status == Status.OK
            found.append((self.index[number].label, self.index[number].format, x.tobytes()))
        return found


def as_found(found: Utterance) -> tuple[int, int, bytes]:
    return found.label, found.format, found.decoded().tobytes()


WANTED = [(3, Format.PCM16, 21), (0, Format.ADPCM, 33), (3, Format.MULAW, 10),
          (65535, Format.F32, 7), (1, Format.S8, 30)]  # fmt: skip


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_c_writes_what_the_meaning_says_and_reads_it_back(geometry: tuple[int, int, int]) -> None:
    flash = Flash(*geometry)
    log, expected = Log(flash), b""
    for label, form, count in WANTED:
        x = values(form, count)
        assert log.append(label, form, x) == Status.OK
        expected += record(label, form, x, geometry[2])
        assert C.ac_utterances_bytes(log.flash, form, count) == len(
            record(label, form, x, geometry[2])
        )
    assert bytes(flash.content[: len(expected)]) == expected
    reopened = Log(flash)
    assert reopened.all() == [as_found(u) for u in utterances(bytes(flash.content), geometry[2])]
    assert [label for label, *_ in reopened.all()] == [label for label, *_ in WANTED]
    assert C.ac_utterances_of_class(reopened.state, 3) == 2
    assert C.ac_utterances_of_class(reopened.state, 9) == 0


@pytest.mark.parametrize("form", Format)
def test_formats_keep_what_they_promise(form: Format) -> None:
    flash = Flash(8192, 4096, 8)
    x, log = values(form, 999), Log(flash)
    log.append(0, form, x)
    status, found = log.read(0)
    assert status == Status.OK
    assert len(encode(form, x)) == encoded_bytes(form, 999)
    error = np.abs(found.astype(float) - x)
    bound: Any = 0
    if form == Format.MULAW:
        bound = (np.abs(x.astype(float)) + 132) / 32
    if form == Format.S8:
        bound = 0.5001 * np.abs(x).max() / 127
    if form == Format.ADPCM:
        return  # its quality is a test of the codec
    assert (error <= bound).all()


def appended_until_cut(flash: FailingFlash) -> list[tuple[int, int, bytes]]:
    log = Log(flash)
    for label, form, count in WANTED:
        if log.append(label, form, values(form, count)) != Status.OK:
            break
    log_again = Log(flash.rebooted())
    return log_again.all()


def all_wanted(geometry: tuple[int, int, int]) -> list[tuple[int, int, bytes]]:
    flash = Flash(*geometry)
    log = Log(flash)
    for label, form, count in WANTED:
        log.append(label, form, values(form, count))
    return log.all()


def assert_goes_on(flash: FailingFlash, before: list[tuple[int, int, bytes]]) -> None:
    """Another utterance is appended beside those that are there, or there is no room for it."""
    again = flash.rebooted()
    log = Log(again)
    assert log.all() == before
    status = log.append(7, Format.PCM16, values(Format.PCM16, 3))
    assert status in (Status.OK, Status.FULL)
    added = [(7, Format.PCM16, values(Format.PCM16, 3).tobytes())] * (status == Status.OK)
    reopened = Log(again.rebooted()).all()
    assert reopened == before + added
    assert reopened == [as_found(u) for u in utterances(bytes(again.content), again.grain)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_cut_of_every_append_recovers(geometry: tuple[int, int, int]) -> None:
    """What was appended before is there; what was being appended is whole or not there."""
    whole = all_wanted(geometry)
    total = Flash(*geometry)
    log = Log(total)
    for label, form, count in WANTED:
        log.append(label, form, values(form, count))
    for cut in range(total.writes):
        reference = FailingFlash(*geometry, cut=cut)
        done = len(appended_until_cut(reference))
        for torn in ways_to_tear(reference.torn_bytes, seed=cut):
            flash = FailingFlash(*geometry, cut=cut, torn=torn)
            found = appended_until_cut(flash)
            assert found in (whole[:done], whole[: done + 1])
            assert_goes_on(flash, found)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_cut_of_a_clear_leaves_whole_utterances(geometry: tuple[int, int, int]) -> None:
    whole = all_wanted(geometry)
    for sector in range(geometry[0] // geometry[1]):
        for torn in [*ways_to_tear(64, seed=sector), garbage(99)]:
            flash = FailingFlash(*geometry, torn=torn)
            log = Log(flash)
            for label, form, count in WANTED:
                log.append(label, form, values(form, count))
            flash.cut = flash.writes + sector
            assert C.ac_utterances_clear(log.state) == Status.FLASH_FAILED
            again = flash.rebooted()
            log = Log(again)
            left = []
            for number in range(log.state.count):
                status, x = log.read(number)
                # A checksum finds values of which the erase has taken a part.
                if status == Status.OK:
                    left.append((log.index[number].label, log.index[number].format, x.tobytes()))
                else:
                    assert status == Status.DAMAGED
            assert left == [one for one in whole if one in left], "in their order, none of them new"
            assert log.append(7, Format.MULAW, values(Format.MULAW, 5)) in (Status.OK, Status.FULL)
            assert C.ac_utterances_clear(log.state) == Status.OK
            assert Log(again).state.count == 0 and bytes(again.content).strip(b"\xff") == b""


def test_it_is_full_when_memory_or_index_is() -> None:
    flash = Flash(256, 64, 8)
    log = Log(flash)
    assert log.append(0, Format.PCM16, values(Format.PCM16, 117)) == Status.FULL  # 260 B
    assert log.append(0, Format.PCM16, values(Format.PCM16, 116)) == Status.OK  # 256 B
    assert log.append(0, Format.PCM16, values(Format.PCM16, 1)) == Status.FULL
    assert Log(flash).append(0, Format.PCM16, values(Format.PCM16, 1)) == Status.FULL
    assert C.ac_utterances_clear(log.state) == Status.OK
    short = Log(flash, size=1)
    assert short.append(0, Format.MULAW, values(Format.MULAW, 8)) == Status.OK
    assert short.append(0, Format.MULAW, values(Format.MULAW, 8)) == Status.FULL
    assert Log(flash, size=0).status == Status.FULL
    assert Log(flash, size=1).status == Status.OK


def test_a_bit_that_flips_is_noticed() -> None:
    flash = Flash(512, 256, 8)
    Log(flash).append(1, Format.PCM16, values(Format.PCM16, 20))
    intact = bytes(flash.content)
    for bit in range(8 * len(record(1, Format.PCM16, values(Format.PCM16, 20), 8))):
        flash.content[:] = intact
        flash.content[bit // 8] ^= 1 << bit % 8
        log = Log(flash)
        assert log.state.count == 0 or log.read(0)[0] == Status.DAMAGED


def test_a_flash_that_forgets_is_found_at_once() -> None:
    class Forgetful(Flash):
        def write(self, at: int, data: bytes) -> None:
            super().write(at, bytes(len(data)) if at == 32 else data)

    flash = Forgetful(512, 256, 8)
    log = Log(flash)
    assert log.append(1, Format.PCM16, values(Format.PCM16, 40)) == Status.FLASH_FAILED
    assert log.append(1, Format.PCM16, values(Format.PCM16, 1)) == Status.FULL  # open again
    assert Log(flash).append(1, Format.PCM16, values(Format.PCM16, 1)) == Status.OK
    assert Log(flash).state.count == 1


def test_in_ram_without_python_callbacks() -> None:
    memory = np.zeros(4096, np.uint8)
    functions = {
        name: C.header.types[f"ac_flash_{name}"](("ac_flash_ram_" + name, C.built))
        for name in ("read", "write", "erase")
    }
    ram = C.new("ac_flash", user=memory.ctypes.data, size=4096, sector=4096, grain=1, **functions)
    index = C.header.types["ac_utterances_entry"]()
    log = C.new("ac_utterances")
    C.ac_utterances_open(log, ram, index, 1)
    assert C.ac_utterances_clear(log) == Status.OK
    x, back = values(Format.F32, 490), np.zeros(490, np.float32)
    assert C.ac_utterances_append_f32(log, 4, Format.F32, x, 490) == Status.OK
    assert C.ac_utterances_read_f32(log, 0, back, 490) == Status.OK
    np.testing.assert_array_equal(back, x)


def test_misuse_has_a_code() -> None:
    log = Log(Flash(512, 256, 8))
    sound, features = values(Format.PCM16, 4), values(Format.F32, 4)
    assert C.ac_utterances_append_s16(log.state, 0, Format.F32, sound, 4) == Status.BAD_CALL
    assert C.ac_utterances_append_f32(log.state, 0, Format.MULAW, features, 4) == Status.BAD_CALL
    assert C.ac_utterances_append_s16(log.state, 0, 5, sound, 4) == Status.BAD_CALL
    assert C.ac_utterances_append_s16(log.state, 0, 0, sound, 0) == Status.BAD_CALL
    assert C.ac_utterances_append_s16(log.state, 0, 0, sound, 2**32 - 1) == Status.BAD_CALL
    nan = np.array([1, np.nan], np.float32)
    assert C.ac_utterances_append_f32(log.state, 0, Format.S8, nan, 2) == Status.NOT_FINITE
    assert C.ac_utterances_append_f32(log.state, 0, Format.F32, nan, 2) == Status.OK
    assert C.ac_utterances_read_f32(log.state, 0, features, 1) == Status.BAD_CALL
    assert C.ac_utterances_read_s16(log.state, 0, sound, 4) == Status.BAD_CALL
    assert C.ac_utterances_read_f32(log.state, 1, features, 4) == Status.BAD_CALL
    assert C.ac_utterances_bytes(log.flash, 9, 1) == 0
    assert C.ac_utterances_bytes(log.flash, 3, 2**31) == 0


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(0, 300)] * 3) | st.sampled_from(GEOMETRIES),
    content=st.binary(max_size=300),
    cut_in=st.integers(0, 300),
    form=st.integers(-1, 6),
    count=st.sampled_from([0, 1, 17, 2**29, 2**31, 2**32 - 1]),
    slots=st.integers(0, 4),
)
def test_hostile_memories_and_sizes_do_no_harm(
    sizes: tuple[int, int, int], content: bytes, cut_in: int, form: int, count: int, slots: int
) -> None:
    """A memory of garbage with a true record somewhere in it."""
    sandbox = Sandbox()
    whole = record(1, Format.ADPCM, values(Format.ADPCM, 9), max(sizes[2], 1))
    mixed = (content[:cut_in] + whole + content[cut_in:]).ljust(sizes[0], b"\xff")[: sizes[0]]
    flash = Flash(*sizes, content=bytearray(mixed))
    index = sandbox.new("ac_utterances_entry") if slots else None
    log = sandbox.new("ac_utterances")
    sandbox.c.ac_utterances_open(log, sandbox.flash(flash), index, min(slots, 1))
    x = sandbox.array(17, np.int16)
    y = sandbox.array(17, np.float32)
    sandbox.c.ac_utterances_read_s16(log, 0, x, 17)
    # More than the memory holds is refused before a value is looked at.
    sandbox.c.ac_utterances_append_s16(log, 0, form, x, count)
    sandbox.c.ac_utterances_append_f32(log, 0, form, y, count)
    sandbox.c.ac_utterances_clear(log)
    sandbox.c.ac_utterances_append_s16(log, 0, form, x, min(count, 17))
    sandbox.c.ac_utterances_read_s16(log, 0, x, 17)
    assert sandbox.accesses < 20_000 + 300 * sizes[0]
