# SPDX-License-Identifier: Apache-2.0
"""Heads of forward learning from Python, and the windows that they learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acclimate.data.motion import cut, read_basic_motions
from acclimate.device.rce.meaning import Rce, Settings, Status
from acclimate.errors import BadOption, DataError
from acclimate.learn.forward import CentroidHead, Head, RceHead, SldaHead, TinyOlHead

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(0, 3, (4, 6))
LABELS = RNG.integers(0, 4, 300)
X = (CENTRES[LABELS] + RNG.normal(0, 0.5, (300, 6))).astype(np.float32)
HEADS = {
    "rce": lambda: RceHead(Settings(), 6, 60),
    "centroids": lambda: CentroidHead(6, 4),
    "slda": lambda: SldaHead(6, 4),
    "tinyol": lambda: TinyOlHead(6, 4),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_what_can_be_told_apart(name: str) -> None:
    head: Head = HEADS[name]()
    head.learn(X[:200], LABELS[:200])
    assert (head.answers(X[200:]) == LABELS[200:]).mean() > 0.97


def test_the_rce_head_is_the_meaning() -> None:
    head, meaning = RceHead(Settings(), 6, 10), Rce(Settings(), 6, 10)
    assert head.fit(X, LABELS, 3) == (meaning.fit(X, list(LABELS), 3) == Status.CONVERGED)
    assert (head.neurons, head.distances) == (len(meaning.radii), meaning.distances)
    labels, codes = head.judged(X[:50])
    answers = [meaning.classify(x) for x in X[:50]]
    assert list(labels) == [a.label for a in answers]
    assert list(codes) == [a.status for a in answers]


def test_what_a_head_refuses_is_an_error() -> None:
    with pytest.raises(BadOption, match="rce refuses"):
        RceHead(Settings(reach=-1), 6, 10)
    with pytest.raises(BadOption, match="slda refuses"):
        SldaHead(2, 2).learn(np.full((1, 2), np.nan, np.float32), np.zeros(1, np.int64))


def test_windows_have_one_label_for_most_of_their_samples() -> None:
    labels = np.repeat([0, 1], [130, 70])
    x = np.arange(400, dtype=np.float32).reshape(200, 2)
    windows, named = cut(x, labels, 10)
    kept = [at for at in range(0, 101, 10) if abs(np.mean(labels[at : at + 100]) - 0.5) >= 0.35]
    assert [int(window[0, 0]) // 2 for window in windows] == kept and len(kept) > 3
    for window, label in zip(windows, named, strict=True):
        start = int(window[0, 0]) // 2
        assert (labels[start : start + 100] == label).mean() >= 0.85
    assert cut(x[:50], labels[:50], 10)[0].shape == (0, 2, 100)


def test_series_are_read_with_their_labels(tmp_path: Path) -> None:
    for part in ("TRAIN", "TEST"):
        text = "@data\n1,2:3,4:Walking\n5,6:7,8:Standing\n"
        (tmp_path / f"BasicMotions_{part}.ts").write_text(text)
    windows = read_basic_motions(tmp_path)
    assert windows.x.tolist()[0] == [[1, 2], [3, 4]] and list(windows.labels) == [2, 0, 2, 0]
    assert list(windows.subjects) == [0, 0, 1, 1] and len(windows.of([1])) == 2
    (tmp_path / "BasicMotions_TEST.ts").write_text("@data\n1,2:Flying\n")
    with pytest.raises(DataError, match="unknown class"):
        read_basic_motions(tmp_path)
