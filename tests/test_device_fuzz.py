# SPDX-License-Identifier: Apache-2.0
"""No public function of a device module is left out of the sandbox, and the small ones are here."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device import MODULES, Module
from acclimate.device.adapt.plan import Outcome, Phase
from acclimate.device.batch.meaning import permuted
from acclimate.device.codec.meaning import mulaw_decode, mulaw_encode
from acclimate.device.flash.meaning import Flash
from acclimate.device.utterances.meaning import Format, encoded_bytes, record
from device_sandbox import Sandbox, names_of
from test_device_adapt import PLAN, device

WORDS = st.integers(0, 2**32 - 1)
ANY = st.floats(width=32)
FLOATS = st.lists(ANY, max_size=40)
FILES = sorted(
    [*Path(__file__).parent.glob("test_device_*.py"), Path(__file__).parent / "session.py"]
)


def called_in_a_sandbox() -> set[str]:
    """Names of C functions that tests call through one."""
    return {name for file in FILES for name in _calls(ast.parse(file.read_text()), False)}


def _calls(tree: ast.AST, inside: bool) -> Iterator[str]:
    """`sandbox.c.NAME`; `c.NAME` in a function and `self.c.NAME` in a class that has a sandbox."""
    for node in ast.iter_child_nodes(tree):
        scope = isinstance(node, (ast.FunctionDef, ast.ClassDef))
        here = inside or (scope and "andbox" in ast.unparse(node))
        if isinstance(node, ast.Attribute) and node.attr.startswith("ac_"):
            owner = ast.unparse(node.value)
            if owner.endswith("andbox.c") or (here and (owner == "c" or owner.endswith(".c"))):
                yield node.attr
        yield from _calls(node, here)


@pytest.mark.parametrize("module", MODULES, ids=names_of(MODULES))
def test_every_public_function_is_called_in_a_sandbox(module: Module) -> None:
    of_others = {name for need in module.needs for name in need.header.functions}
    own = module.header.functions.keys() - of_others
    assert own and not own - called_in_a_sandbox()


def test_a_function_that_no_test_calls_would_be_found() -> None:
    text = (
        "C.ac_one(1)\ndef f():\n    c = Sandbox().c\n    c.ac_two(2)\ndef g():\n    c.ac_three(3)"
    )
    assert set(_calls(ast.parse(text), False)) == {"ac_two"}


@settings(max_examples=200, deadline=None)
@given(a=ANY, b=ANY, db=ANY)
def test_numbers_of_mix_are_numbers(a: float, b: float, db: float) -> None:
    c = Sandbox().c
    assert c.ac_mix_sqrt(a) >= 0 or np.isinf(a)
    assert 0 < c.ac_mix_amplitude(db) < 1.01e6
    if np.isfinite([a, b]).all():
        assert 0 <= c.ac_mix_gain(a, b, db) <= 1e6


@settings(max_examples=200, deadline=None)
@given(x=FLOATS, limit=st.floats(0, 2, width=32))
def test_vectors_are_bounded_if_no_number_of_them_is_beyond(x: list[float], limit: float) -> None:
    sandbox = Sandbox()
    values = sandbox.array(np.array(x, np.float32), np.float32)
    expected = (np.abs(values) <= limit).all()
    assert sandbox.c.ac_vector_bounded(values, len(x), limit) == expected
    inside = sandbox.array(np.full(5, -limit), np.float32)
    assert sandbox.c.ac_vector_bounded(inside, 5, limit) == 1


@settings(max_examples=100, deadline=None)
@given(sample=st.integers(-32768, 32767), code=st.integers(0, 255))
def test_mulaw_takes_any_sample_and_any_code(sample: int, code: int) -> None:
    c = Sandbox().c
    assert c.ac_codec_mulaw_encode(sample) == mulaw_encode(np.array([sample], np.int16))[0]
    assert c.ac_codec_mulaw_decode(code) == mulaw_decode(np.array([code], np.uint8))[0]


@settings(max_examples=100, deadline=None)
@given(
    x=FLOATS.filter(bool), form=st.sampled_from([Format.F32, Format.S8]), number=WORDS,
    capacity=WORDS, label=st.integers(0, 65535),
)  # fmt: skip
def test_stored_features_are_read_within_their_array(
    x: list[float], form: Format, number: int, capacity: int, label: int
) -> None:
    sandbox, count = Sandbox(), len(x)
    values = np.nan_to_num(np.array(x, np.float32))
    with np.errstate(all="ignore"):
        stored = record(label, form, values, 8).ljust(1024, b"\xff")
    flash = sandbox.flash(Flash(1024, 1024, 8, content=bytearray(stored)))
    index, log = sandbox.new("ac_utterances_entry"), sandbox.new("ac_utterances")
    assert sandbox.c.ac_utterances_open(log, flash, index, 1) == 0
    assert sandbox.c.ac_utterances_of_class(log, label) == 1
    y = sandbox.array(count, np.float32)
    assert sandbox.c.ac_utterances_read_f32(log, 0, y, count) == 0
    assert sandbox.c.ac_utterances_read_f32(log, number | 1, y, capacity) < 0
    assert sandbox.c.ac_utterances_read_f32(log, 0, y, min(capacity, count - 1)) < 0
    assert sandbox.c.ac_utterances_bytes(flash, 77, count) == 0
    size = sandbox.c.ac_utterances_bytes(flash, form, capacity)
    assert size == 0 or size >= encoded_bytes(form, capacity) + 24
    assert (size == 0) == (capacity >= 2**29)


@settings(max_examples=100, deadline=None)
@given(frame=WORDS)
def test_settings_of_noise_for_any_frame(frame: int) -> None:
    sandbox = Sandbox()
    made = sandbox.new("ac_noise_settings")
    sandbox.c.ac_noise_defaults(made, frame)
    assert made.frame == frame


@settings(max_examples=100, deadline=None)
@given(N=st.integers(1, 2000), key=WORDS, data=st.data())
def test_a_permutation_stays_within_its_numbers(N: int, key: int, data: Any) -> None:
    sandbox, i = Sandbox(), data.draw(st.integers(0, N - 1))
    found = sandbox.c.ac_batch_permuted(i, N, key)
    assert found == permuted(i, N, key) and 0 <= found < N


@settings(max_examples=100, deadline=None)
@given(scores=FLOATS, classes=st.integers(-(2**31), 2**31 - 1))
def test_the_sum_of_any_scores(scores: list[float], classes: int) -> None:
    sandbox = Sandbox()
    best, total = (sandbox.array(1, np.float32) for _ in range(2))
    given_ = sandbox.array(scores, np.float32)
    number = min(classes, len(scores))
    status = sandbox.c.ac_scores_normalizer(best, total, given_, number)
    if number <= 0:
        assert status == -1
    elif not np.isfinite(scores[:number]).all():
        assert status == -2
    else:
        assert best[0] == np.max(given_[:number]) and 1 <= total[0] <= number * 1.00001


@settings(max_examples=100, deadline=None)
@given(x=FLOATS, v=ANY, low=ANY, high=ANY)
def test_vectors_of_anything(x: list[float], v: float, low: float, high: float) -> None:
    sandbox = Sandbox()
    values = sandbox.array(x, np.float32)
    assert sandbox.c.ac_vector_not_finite(values, len(x)) == (~np.isfinite(values)).sum()
    assert sandbox.c.ac_vector_within(v, low, high) == (low <= v <= high)


@settings(max_examples=200, deadline=None)
@given(fresh=WORDS, stored=WORDS, batch=WORDS, capacity=WORDS, i=WORDS)
def test_replay_shares_any_numbers(
    fresh: int, stored: int, batch: int, capacity: int, i: int
) -> None:
    sandbox = Sandbox()
    batches, new, old = (sandbox.array(1, np.uint32) for _ in range(3))
    if sandbox.c.ac_replay_split(fresh, stored, batch, batches, new, old) >= 0:
        assert 0 < int(new[0]) + int(old[0]) <= batch and batches[0] > 0
    assert sandbox.c.ac_replay_renewed(capacity, i, fresh) <= min(fresh, capacity // (i + 1))


@settings(max_examples=100, deadline=None)
@given(sizes=st.tuples(WORDS, WORDS, WORDS), size=WORDS)
def test_sizes_of_flash_may_be_anything(sizes: tuple[int, int, int], size: int) -> None:
    sandbox = Sandbox()
    flash = sandbox.flash(Flash(8, 8, 8))
    flash.size, flash.sector, flash.grain = sizes
    rounded = sandbox.c.ac_flash_round(flash, size)
    assert rounded == 0 or rounded - size < flash.grain
    if sandbox.c.ac_flash_usable(flash):
        assert 0 < flash.grain <= 64 and flash.size % flash.sector == 0
    assert sandbox.c.ac_flash_usable(None) == 0


@settings(max_examples=100, deadline=None)
@given(content=st.binary(min_size=1, max_size=300), data=st.data())
def test_flash_in_memory_stays_within_what_it_is_told(content: bytes, data: Any) -> None:
    sandbox = Sandbox()
    memory = sandbox.array(list(content), np.uint8)
    at = data.draw(st.integers(0, len(content)))
    size = data.draw(st.integers(0, len(content) - at))
    out = sandbox.array(size, np.uint8)
    assert sandbox.c.ac_flash_ram_read(memory, at, out, size) == 0
    assert bytes(out) == content[at : at + size]
    assert sandbox.c.ac_flash_ram_erase(memory, at, size) == 0
    assert bytes(memory[at : at + size]) == b"\xff" * size
    assert sandbox.c.ac_flash_ram_write(memory, at, out, size) == 0
    assert bytes(memory) == content
    crc, flash = sandbox.array([2**32 - 1], np.uint32), Flash(len(content), 1, 1)
    flash.content[:] = content
    assert sandbox.c.ac_flash_crc32(sandbox.flash(flash), at, size, crc) == 0
    assert int(crc[0]) ^ (2**32 - 1) == zlib.crc32(content[at : at + size])
    assert sandbox.c.ac_flash_crc32(sandbox.flash(flash), at, len(content) + 1, crc) != 0


@settings(max_examples=100, deadline=None)
@given(
    length=WORDS,
    order=st.lists(st.sampled_from(["prepare", "erase", "begin", "commit"]), max_size=9),
)
def test_a_store_is_written_in_any_order(length: int, order: list[str]) -> None:
    sandbox = Sandbox()
    flash, store = sandbox.flash(Flash(1024, 256, 8)), sandbox.new("ac_store")
    assert sandbox.c.ac_store_erase(store) < 0
    sandbox.c.ac_store_open(store, flash, 7)
    for name in order:
        if name == "prepare":
            sandbox.c.ac_store_prepare(store, length % 1024 if "begin" in order else length)
        elif name == "begin":
            sandbox.c.ac_store_begin(store, length)
        elif name == "erase":
            sandbox.c.ac_store_erase(store)
        else:
            sandbox.c.ac_store_commit(store)
    assert store.current in (-1, 0, 1)


def test_defaults_are_written_within_their_structs() -> None:
    sandbox = Sandbox()
    sandbox.c.ac_rce_defaults(sandbox.new("ac_rce_settings"))
    sandbox.c.ac_rce_baseline(sandbox.new("ac_rce_settings"))
    sandbox.c.ac_drift_defaults(sandbox.new("ac_drift_settings"))


@settings(max_examples=25, deadline=None)
@given(order=st.lists(st.sampled_from(["step"] * 6 + ["disturb", "stop"]), max_size=150))
def test_a_session_is_disturbed_and_stopped_at_any_moment(order: list[str]) -> None:
    sandbox = Sandbox()
    made = device(sandbox=sandbox)
    before = made.model.save()
    sandbox.c.ac_adapt_disturb(made.state)
    sandbox.c.ac_adapt_stop(made.state)
    made.start(PLAN)
    for name in order:
        if name == "step":
            made.step()
        elif name == "disturb":
            sandbox.c.ac_adapt_disturb(made.state)
        else:
            sandbox.c.ac_adapt_stop(made.state)
    for _ in range(2000):
        if made.state.phase == Phase.IDLE:
            break
        made.step()
    assert made.state.phase == Phase.IDLE
    assert made.outcome == Outcome.ADAPTED or made.model.save() == before
