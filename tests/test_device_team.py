# SPDX-License-Identifier: Apache-2.0
"""A team of cores computes what one core does, bit for bit, in whatever order its parts run."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.codec.meaning import adpcm_unpack
from acclimate.device.flash.meaning import Flash
from acclimate.device.library import address
from acclimate.device.team import meaning
from acclimate.device.utterances.meaning import Format, Status, decode, encode, record
from device_sandbox import Sandbox, fast_library, flash_struct
from session import T
from test_device_adapt import PLAN, assert_same, device

C = fast_library()
WORD = 2**32 - 1


def team_of(library: Any, parts: int, seed: int = 0) -> Any:
    """A team whose parts run one after the other, in an order of its own each time."""
    order = random.Random(seed)

    def fork(part: Any, work: int, count: int) -> None:
        for number in order.sample(range(count), count):
            part(work, number)

    return library.new("ac_team", fork=library.callback("ac_team_fork", fork), parts=parts)


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(0, 10**6) | st.integers(0, WORD),
    parts=st.integers(0, 20) | st.integers(0, WORD),
)
def test_parts_are_all_there_is_and_differ_by_one(count: int, parts: int) -> None:
    c = Sandbox().c
    assert c.ac_team_begin(count, 3, 0) == 0
    if parts == 0:
        return
    shown = range(min(parts, 20) + 1)
    begins = [c.ac_team_begin(count, part, parts) for part in shown]
    assert begins == [meaning.begin(count, part, parts) for part in shown]
    assert c.ac_team_begin(count, parts, parts) == count
    assert set(np.diff(begins)) <= {count // parts, count // parts + 1}


@settings(max_examples=50, deadline=None)
@given(parts=st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 20), missing=st.booleans())
def test_a_team_that_cannot_be_is_the_caller_alone(parts: int, missing: bool) -> None:
    sandbox = Sandbox()
    done: list[int] = []
    part = C.callback("ac_team_part", lambda _, number: done.append(number))
    given_ = team_of(C, parts)
    team = sandbox.new("ac_team", parts=parts, **({} if missing else {"fork": given_.fork}))
    usable = not missing and 1 <= parts <= meaning.MOST
    assert sandbox.c.ac_team_parts(team) == (parts if usable else 1)
    sandbox.c.ac_team_do(team, part, None)
    assert sorted(done) == list(range(parts if usable else 1))
    sandbox.c.ac_team_do(team, C.header.types["ac_team_part"](), None)
    assert sandbox.c.ac_team_parts(None) == 1


@settings(max_examples=100, deadline=None)
@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_the_checksum_of_two_pieces_comes_from_theirs(first: bytes, second: bytes) -> None:
    c = Sandbox()
    pieces = [c.array(np.frombuffer(b, np.uint8), np.uint8) for b in (first, second)]
    one = c.c.ac_crc32(WORD, pieces[0], len(first))
    other = c.c.ac_crc32(0, pieces[1], len(second))
    joined = c.c.ac_crc32_join(one, other, c.c.ac_crc32_power(len(second)))
    assert joined ^ WORD == zlib.crc32(first + second)
    assert one ^ WORD == zlib.crc32(first)


def test_the_checksum_of_very_long_pieces() -> None:
    zeros = bytes(3_000_000)
    found = C.ac_crc32_join(WORD, 0, C.ac_crc32_power(len(zeros)))
    assert found ^ WORD == zlib.crc32(zeros)
    assert C.ac_crc32_power(0) == 2**31 and C.ac_crc32_power(WORD) != 0


@settings(max_examples=100, deadline=None)
@given(
    T=st.integers(1, 900),
    shift=st.integers(-950, 950) | st.sampled_from([-(2**31), 2**31 - 1]),
    loud=st.sampled_from([0, 3, 3000, 32767]),
    snr_db=st.sampled_from([-120.0, -10.0, 0.0, 13.0]),
    parts=st.integers(1, 16),
    odd=st.integers(0, 3),
    in_place=st.booleans(),
)
def test_a_team_mixes_what_one_core_does(
    T: int, shift: int, loud: int, snr_db: float, parts: int, odd: int, in_place: bool
) -> None:
    rng = np.random.default_rng([T, loud])
    speech = rng.integers(-20000, 20001, T).astype(np.int16)
    noise = np.clip(loud * rng.standard_normal(T + 9), -32768, 32767).astype(np.int16)
    wanted, count = np.zeros(T, np.int16), np.zeros(1, np.int32)
    sizes = (T, T + 9, shift, 5, snr_db)
    status = C.ac_mix_s16(wanted, speech, noise, *sizes, count)
    sandbox = Sandbox()
    # Arrays that begin in the middle of a word too.
    s = sandbox.array(np.r_[np.zeros(odd % 2), speech], np.int16)[odd % 2 :]
    n = sandbox.array(np.r_[np.zeros(odd // 2), noise], np.int16)[odd // 2 :]
    out = s if in_place else sandbox.array(T, np.int16)
    clipped = sandbox.array(1, np.int32)
    team = sandbox.new("ac_team", parts=parts, fork=team_of(C, parts, T).fork)
    assert sandbox.c.ac_mix_s16_by(team, out, s, n, *sizes, clipped) == status
    np.testing.assert_array_equal(out, wanted)
    assert clipped[0] == count[0]
    assert sandbox.c.ac_mix_s16_by(team, out, s, n, 0, T + 9, 0, 0, 0.0, clipped) == -1


SOUND = (Format.PCM16, Format.ADPCM, Format.MULAW)


def ram(sandbox: Sandbox, content: np.ndarray) -> Any:
    """A flash that lies in memory, where its bytes are read without a copy."""
    library, size = sandbox.c.library, len(content)
    functions = {
        name: library.header.types[f"ac_flash_{name}"]((f"ac_flash_ram_{name}", library.built))
        for name in ("read", "write", "erase")
    }
    sizes = {"size": size, "sector": size, "grain": 8}
    return sandbox.new("ac_flash", user=content.ctypes.data, **functions, **sizes)


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(1, 12) | st.integers(1, 5000),
    form=st.sampled_from(SOUND),
    parts=st.integers(0, 16),
    mapped=st.booleans(),
    spare=st.integers(0, 3),
)
def test_a_team_reads_what_was_stored(
    count: int, form: Format, parts: int, mapped: bool, spare: int
) -> None:
    x = (3000 * np.random.default_rng(count).standard_normal(count)).astype(np.int16)
    stored = record(3, form, x, 8).ljust(16384, b"\xff")
    sandbox = Sandbox()
    content = sandbox.array(np.frombuffer(stored, np.uint8), np.uint8)
    flash = sandbox.flash(Flash(16384, 4096, 8, content=bytearray(stored)))
    if mapped:
        flash = ram(sandbox, content)
    index, log = sandbox.new("ac_utterances_entry"), sandbox.new("ac_utterances")
    assert sandbox.c.ac_utterances_open(log, flash, index, 1) == Status.OK
    assert sandbox.c.ac_utterances_of_class(log, 3) == 1
    out = sandbox.array(count + spare, np.int16)
    team = sandbox.new("ac_team", parts=parts, fork=team_of(C, parts, count).fork)
    read = sandbox.c.ac_utterances_read_s16_by
    assert read(team if parts else None, log, 0, out, count + spare) == Status.OK
    np.testing.assert_array_equal(out[:count], decode(form, encode(form, x), count))
    assert not out[count:].any()
    assert read(team, log, 1, out, count) == read(team, log, 0, out, count - 1) == Status.BAD_CALL
    content[16] ^= 16
    assert read(team, log, 0, out, count) == (Status.DAMAGED if mapped else Status.OK)


def test_only_memory_is_read_without_a_copy() -> None:
    sandbox = Sandbox()
    content = sandbox.array(64, np.uint8)
    assert sandbox.c.ac_flash_mapped(ram(sandbox, content)) == content.ctypes.data
    assert C.ac_flash_mapped(flash_struct(C, Flash(64, 64, 8))) is None
    assert sandbox.c.ac_flash_mapped(None) is None


@settings(max_examples=100, deadline=None)
@given(
    data=st.binary(min_size=528, max_size=528), count=st.integers(0, 1024), odd=st.integers(0, 1)
)
def test_any_bytes_unpack_as_the_meaning_says(data: bytes, count: int, odd: int) -> None:
    sandbox = Sandbox()
    size = 4 * -(-count // 256) + (count + 1) // 2
    x = sandbox.array(count + odd, np.int16)
    sandbox.c.ac_codec_adpcm_unpack(x[odd:], sandbox.array(list(data[:size]), np.uint8), count)
    np.testing.assert_array_equal(x[odd:], adpcm_unpack(data[:size], count))


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_a_long_word_decodes_in_place_by_any_team(parts: int) -> None:
    """A second of sound, whose bytes come to the end of the array that it fills."""
    x = (9000 * np.sin(np.arange(16000) ** 1.2 / 50)).astype(np.int16)
    flash = flash_struct(C, Flash(65536, 4096, 8))
    entries, log, back = C.new("ac_utterances_entry"), C.new("ac_utterances"), np.zeros_like(x)
    C.ac_utterances_open(log, flash, entries, 1)
    assert C.ac_utterances_append_s16(log, 1, Format.ADPCM, x, len(x)) == Status.OK
    team = team_of(C, parts)
    assert C.ac_utterances_read_s16_by(team, log, 0, back, len(x)) == Status.OK
    encoded = encode(Format.ADPCM, x)
    np.testing.assert_array_equal(back, decode(Format.ADPCM, encoded, len(x)))


@pytest.mark.parametrize("parts", [2, 5, 16])
def test_a_session_of_a_team_goes_as_the_meaning_says(parts: int) -> None:
    made = device(balanced=True)
    team = team_of(C, parts)
    made.parts.team = address(team)
    assert_same(made, replace(PLAN, shift=T // 2))
