# SPDX-License-Identifier: Apache-2.0
"""Random numbers and draws repeat with their seed, in C as in Python, and are balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate.device.batch.meaning import BATCH_MAX, Batch, Draw, Status, permuted
from acclimate.device.random.meaning import Random
from device_sandbox import Sandbox, fast_library

C = fast_library()


class CBatch:
    """The batcher in C."""

    def __init__(
        self, N: int, clean_share: float, seed: int, labels: list[int] | None = None
    ) -> None:
        self.state, self.draw = C.new("ac_batch"), C.new("ac_batch_draw")
        self.labels = None if labels is None else np.array(labels, np.uint8)
        if self.labels is None:
            self.status = C.ac_batch_start(self.state, N, clean_share, seed)
        else:
            self.status = C.ac_batch_start_balanced(self.state, N, clean_share, seed, self.labels)

    def next(self) -> Draw:
        self.status = C.ac_batch_next(self.state, self.draw)
        return Draw(self.draw.utterance, bool(self.draw.clean))


def test_numbers_are_those_of_the_published_generator() -> None:
    """The first numbers of pcg32-demo with its seed 42 and stream 54."""
    random = C.new("ac_random")
    C.ac_random_seed(random, 42, 54)
    published = [0xA15C02B7, 0x7B47F409, 0xBA1D3330, 0x83D2F293, 0xBFA4784B, 0xCBED606E]
    assert [C.ac_random_next(random) for _ in range(6)] == published


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**64 - 1),
    count=st.integers(0, 2**32 - 1),
    ends=st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1)),
)
def test_every_draw_is_that_of_the_meaning(
    seed: int, stream: int, count: int, ends: tuple[int, int]
) -> None:
    sandbox, meaning = Sandbox(), Random(seed, stream)
    random = sandbox.new("ac_random")
    sandbox.c.ac_random_seed(random, seed, stream)
    for _ in range(4):
        assert sandbox.c.ac_random_next(random) == meaning.next()
        assert sandbox.c.ac_random_below(random, count) == meaning.below(count)
        between = sandbox.c.ac_random_between(random, *ends)
        assert between == meaning.between(*ends)
        assert ends[0] <= between <= max(ends)
        assert sandbox.c.ac_random_unit(random) == meaning.unit() < 1


def test_draws_below_a_count_are_equally_likely() -> None:
    random = Random(1)
    found = np.bincount([random.below(10) for _ in range(20_000)], minlength=10)
    assert ((found - 2000) ** 2 / 2000).sum() < 27.9  # chi-square, 9 degrees of freedom, 0.1 %


@pytest.mark.parametrize("N", [1, 2, 3, 12, 16, 17, 120, 255, 257, 1000])
def test_every_key_gives_a_permutation(N: int) -> None:
    for key in (0, 1, 2**32 - 1):
        found = [C.ac_batch_permuted(i, N, key) for i in range(N)]
        assert sorted(found) == list(range(N))
        assert found == [permuted(i, N, key) for i in range(N)]


@pytest.mark.parametrize("N", [3, 12, 100])
def test_permutations_put_every_number_everywhere(N: int) -> None:
    keys = [Random(7, i).next() for i in range(3000)]
    for i in (0, N - 1):
        found = np.bincount([permuted(i, N, key) for key in keys], minlength=N)
        expected = len(keys) / N
        statistic = ((found - expected) ** 2 / expected).sum()
        # Chi-square with N - 1 degrees of freedom: mean N - 1, deviation sqrt(2 N - 2).
        assert statistic < N - 1 + 5 * np.sqrt(2 * N)


def test_neighbours_do_not_stay_neighbours() -> None:
    steps = [abs(permuted(i + 1, 1000, 5) - permuted(i, 1000, 5)) for i in range(999)]
    assert 300 < np.mean(steps) < 370  # a third of N for independent places


@settings(max_examples=60, deadline=None)
@given(
    N=st.integers(1, 60), share=st.floats(0, 1, width=32), seed=st.integers(0, 2**32 - 1),
    labels=st.none() | st.integers(1, 256),
)  # fmt: skip
def test_c_draws_what_the_meaning_draws(
    N: int, share: float, seed: int, labels: int | None
) -> None:
    rng = np.random.default_rng(seed)
    chosen = None if labels is None else [int(v) for v in rng.integers(0, labels, N)]
    c, meaning = CBatch(N, share, seed, chosen), Batch(N, share, seed, chosen)
    for _ in range(3 * N + 1):
        assert c.next() == meaning.next()


def test_an_epoch_has_every_utterance_once_and_its_share_of_clean_ones() -> None:
    batch = CBatch(120, 0.25, 3)
    orders, cleans = [], []
    for _ in range(3):
        draws = [batch.next() for _ in range(120)]
        orders.append([d.utterance for d in draws])
        cleans.append({d.utterance for d in draws if d.clean})
        assert sorted(orders[-1]) == list(range(120)) and len(cleans[-1]) == 30
    assert orders[0] != orders[1] != orders[2]
    assert cleans[0] != cleans[1], "other utterances stay clean in the next epoch"
    first, again = CBatch(120, 0.25, 3), CBatch(120, 0.25, 4)
    assert [first.next().utterance for _ in range(120)] == orders[0]
    assert [again.next().utterance for _ in range(120)] != orders[0]


def test_an_epoch_begins_with_its_code() -> None:
    batch = CBatch(3, 0.0, 1)
    statuses = []
    for _ in range(7):
        batch.next()
        statuses.append(batch.status)
    assert statuses == [Status.NEW_EPOCH, 0, 0, Status.NEW_EPOCH, 0, 0, Status.NEW_EPOCH]


def test_classes_take_turns_and_their_members_too() -> None:
    labels = [0] * 50 + [3] * 5 + [255] * 1 + [7] * 10
    batch = CBatch(len(labels), 0.0, 9, labels)
    drawn = [batch.next().utterance for _ in range(4 * 50)]
    rounds = [{labels[i] for i in drawn[at : at + 4]} for at in range(0, 200, 4)]
    assert rounds == [{0, 3, 7, 255}] * 50
    counts = np.bincount(drawn, minlength=len(labels))
    assert (counts[:50] == 1).all() and (counts[50:55] == 10).all()
    assert counts[55] == 50 and (counts[56:] == 5).all()
    firsts = {labels[drawn[at]] for at in range(0, 200, 4)}
    assert len(firsts) > 1, "the order of the classes changes from round to round"


def test_clean_counts_are_rounded() -> None:
    for N, share, clean in ((3, 0.5, 2), (3, 0.49, 1), (1, 0.5, 1), (1, 0.49, 0), (7, 1.0, 7)):
        assert CBatch(N, share, 0).state.clean == clean == Batch(N, share, 0).clean


def test_misuse_has_a_code() -> None:
    state, draw, labels = C.new("ac_batch"), C.new("ac_batch_draw"), np.zeros(4, np.uint8)
    assert C.ac_batch_next(state, draw) == Status.BAD_CALL
    for N, share in ((0, 0.0), (BATCH_MAX + 1, 0.0), (4, -0.1), (4, 1.1), (4, float("nan"))):
        assert C.ac_batch_start(state, N, share, 0) == Status.BAD_CALL
        assert C.ac_batch_start_balanced(state, N, share, 0, labels) == Status.BAD_CALL
    assert C.ac_batch_start_balanced(state, 4, 0.0, 0, None) == Status.BAD_CALL
    assert C.ac_batch_permuted(4, 4, 0) == C.ac_batch_permuted(0, 2**32 - 1, 0) == 0


@settings(max_examples=100, deadline=None)
@given(
    N=st.integers(0, 40) | st.sampled_from([BATCH_MAX, 2**32 - 1]),
    share=st.floats(width=32),
    seed=st.integers(0, 2**32 - 1),
    balanced=st.booleans(),
    data=st.data(),
)
def test_hostile_arguments_and_labels_that_change_do_no_harm(
    N: int, share: float, seed: int, balanced: bool, data: st.DataObject
) -> None:
    sandbox = Sandbox()
    batch, draw = sandbox.new("ac_batch"), sandbox.new("ac_batch_draw")
    given_labels = st.lists(st.integers(0, 255), min_size=min(N, 40), max_size=min(N, 40))
    labels = sandbox.array(data.draw(given_labels) or [0], np.uint8)
    if balanced and N <= 40:
        sandbox.c.ac_batch_start_balanced(batch, N, share, seed, labels)
    else:
        sandbox.c.ac_batch_start(batch, N, share, seed)
    for _ in range(5):
        if sandbox.c.ac_batch_next(batch, draw) >= 0:
            assert draw.utterance < N
        labels[:] = data.draw(st.integers(0, 255))
    assert sandbox.accesses < 30_000
