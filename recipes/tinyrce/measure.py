# SPDX-License-Identifier: Apache-2.0
"""What the TinyRCE recipe measures: one cell per fold, subject or load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import protocol
import torch
import torch.nn.functional as F
from extractor import Extractor, Training, train

from acclimate.data.bearing import read_bearings
from acclimate.data.motion import Windows, read_basic_motions
from acclimate.device.rce.meaning import Settings, Status
from acclimate.learn.forward import CentroidHead, Head, RceHead, SldaHead, TinyOlHead

REACHES = (0.5, 0.75, 1.0, 1.5)
CAP, EPOCHS, SHOTS = 300, 4, 20
DRAWS = 5  # of random filters
TRANSFER = "phone -> watch"
SOFTMAX_EPOCHS = 30
VARIANTS: tuple[tuple[str, dict[str, float], int], ...] = (
    ("defaults", {}, CAP),
    *((f"reach {v}", {"reach": v}, CAP) for v in (0.4, 0.5, 1.0, 1.5)),
    *((f"cap {v}", {}, v) for v in (10, 20, 50, 100)),
    *((f"cap 50, relief {v}", {"relief": v}, 50) for v in (0.0, 0.1)),
    *((f"cap 50, idle {v}", {"idle": v}, 50) for v in (0.0, 0.01, 1.0)),
    *((f"cap 50, blame {v}", {"blame": v}, 50) for v in (0.0, 10.0)),
    *((f"least {v}", {"least": v}, CAP) for v in (0.0, 0.2, 0.3)),
    ("full table refuses, cap 50", {"refuse": 1}, 50),
    ("radius R_max for all", {"bounded": 0}, CAP),
)


# Extractor, windows to learn from, windows that are tested, R_max / sqrt(n).
Learning = tuple[Extractor, Windows, Windows, float]


@dataclass(frozen=True)
class Cell:
    """One measurement: of a fold, a subject or a load, with what was learned on."""

    unit: int
    place: str = "phone"
    cap: int = CAP
    epochs: int = EPOCHS
    shots: int = SHOTS
    seed: int = 0


class Counts:
    """Confusions by method and subject: rows are classes, the last column is `unknown`."""

    def __init__(self, classes: int) -> None:
        self._classes, self.found = classes, dict[str, dict[str, Any]]()

    def add(self, method: str, windows: Windows, answers: np.ndarray) -> None:
        """Counts answers [N]; -1 is `unknown`."""
        for subject in np.unique(windows.subjects):
            own = windows.subjects == subject
            table = np.zeros((self._classes, self._classes + 1), int)
            np.add.at(table, (windows.labels[own], answers[own]), 1)
            self.found.setdefault(method, {})[str(subject)] = table.tolist()


def balanced(labels: np.ndarray, answers: np.ndarray) -> float:
    """Mean over the classes that there are."""
    return float(np.mean([(answers[labels == k] == k).mean() for k in np.unique(labels)]))


def rce(x: np.ndarray, y: np.ndarray, reach: float, cap: int, epochs: int) -> RceHead:
    """A head that has learned x[F,n]."""
    head = RceHead(Settings(reach=reach), x.shape[1], cap)
    head.fit(x, y, epochs)
    return head


def choose_reach(score: Callable[[float], float]) -> float:
    """The best of `REACHES`, of equally good ones the first."""
    return max(REACHES, key=score)


def elm(x: np.ndarray, seed: int = 0, features: int = 64, width: int = 9) -> np.ndarray:
    """Features [N,64] of random filters that nobody trains: convolution, ReLU, mean over time."""
    random = torch.Generator().manual_seed(seed)
    w = torch.randn(features, x.shape[1], width, generator=random) / (x.shape[1] * width) ** 0.5
    b = torch.randn(features, generator=random)
    out = [F.relu(F.conv1d(part, w, b)).mean(2) for part in torch.from_numpy(x).split(512)]
    return torch.cat(out).numpy()


def elm_pair(first: Windows, second: Windows, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random features of windows to learn from and of others, in units of the first."""
    scale = first.x.std((0, 2), keepdims=True) + 1e-6
    a, b = elm(first.x / scale, seed), elm(second.x / scale, seed)
    mean, deviation = a.mean(0), a.std(0) + 1e-3
    return (a - mean) / deviation, (b - mean) / deviation


def add_rce(counts: Counts, test: Windows, head: RceHead, x: np.ndarray, name: str) -> None:
    """Both policies for what is unknown."""
    near, codes = head.judged(x)
    counts.add(f"{name}, near", test, near)
    counts.add(f"{name}, strict", test, np.where(codes == Status.UNKNOWN, -1, near))


def compare(e: Extractor, known: Windows, test: Windows, reach: float, cell: Cell) -> Any:
    """Full backpropagation, RCE on the same extractor, RCE on random features."""
    counts = Counts(len(known.classes))
    counts.add("backpropagation", test, e.answers(test.x))
    majority = np.full(len(test), np.bincount(known.labels).argmax())
    counts.add("majority class", test, majority)
    x = e.features(known.x)
    head = rce(x, known.labels, reach, cell.cap, cell.epochs)
    learned = head.distances
    add_rce(counts, test, head, e.features(test.x), "RCE")
    once = rce(x, known.labels, reach, cell.cap, 1)
    counts.add("RCE, once, near", test, once.answers(e.features(test.x)))
    centroids = CentroidHead(x.shape[1], len(known.classes))
    centroids.learn(x, known.labels)
    counts.add("nearest class mean", test, centroids.answers(e.features(test.x)))
    own, other = elm_pair(known, test)
    random_head = rce(own, known.labels, reach, cell.cap, cell.epochs)
    add_rce(counts, test, random_head, other, "ELM-64 + RCE")
    return {
        "confusions": counts.found, "reach": reach, "neurons": head.neurons, "F": len(known),
        "distances": learned, "n": x.shape[1], "epochs": cell.epochs,
        "neurons_once": once.neurons,
    }  # fmt: skip


def held_out(known: Windows) -> np.ndarray:
    """Which training windows [N] are not learned where settings are compared: a third of the users,
    of the recordings if there are no more than two users."""
    groups = known.subjects if len(np.unique(known.subjects)) > 2 else known.recordings
    return np.asarray(groups % 3 == 0)


def reach_of_users(e: Extractor, known: Windows, cell: Cell) -> float:
    """Learns from two thirds of the training users (or recordings), measures the others."""
    held = held_out(known)
    x, y = e.features(known.x), known.labels

    def score(reach: float) -> float:
        head = rce(x[~held], y[~held], reach, cell.cap, cell.epochs)
        return balanced(y[held], head.answers(x[held]))

    return choose_reach(score)


def single_user(folder: Path, cell: Cell) -> Any:
    """One user: learns from the first half of the recordings, tested with the second."""
    e = protocol.single_user(cell.place, cell.unit, folder)
    known = protocol.early(protocol.activity(cell.place, protocol.TRAIN_HOP).of([cell.unit]))
    test = protocol.late(protocol.activity(cell.place, protocol.TEST_HOP).of([cell.unit]))
    return compare(e, known, test, reach_of_users(e, known, cell), cell)


def learned_by_others(folder: Path, cell: Cell) -> Learning:
    """Two users that nobody has learned from."""
    e = protocol.left_out(cell.place, cell.unit, folder)
    known = protocol.activity(cell.place, protocol.TEST_HOP).of(protocol.others(cell.unit))
    test = protocol.activity(cell.place, protocol.TEST_HOP).of(protocol.fold_subjects(cell.unit))
    return e, known, test, reach_of_users(e, known, cell)


def left_out(folder: Path, cell: Cell) -> Any:
    """Every method, for two users that nobody has learned from."""
    return compare(*learned_by_others(folder, cell), cell)


def basic(folder: Path, cell: Cell) -> Any:
    """BasicMotions, as its authors split it."""
    windows, e = read_basic_motions(), protocol.basic_motions(folder)
    known, test = windows.of([0]), windows.of([1])
    return compare(e, known, test, reach_of_users(e, known, cell), cell)


def labelled(windows: Windows, shots: int, seed: int) -> Windows:
    """At most `shots` windows of every class, in random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(windows))
    chosen = [order[windows.labels[order] == k][:shots] for k in range(len(windows.classes))]
    return windows.take(rng.permutation(np.concatenate(chosen)))


def adapted(e: Extractor, shown: Windows, test: Windows, reach: float, cell: Cell) -> Any:
    """Every head learns the same labelled windows of one user."""
    counts, K = Counts(len(shown.classes)), len(shown.classes)
    x, z, y = e.features(shown.x), e.features(test.x), shown.labels
    counts.add("no adaptation", test, e.answers(test.x))
    counts.add("majority class", test, np.full(len(test), np.bincount(test.labels).argmax()))
    head = rce(x, y, reach, cell.cap, cell.epochs)
    learned = head.distances
    add_rce(counts, test, head, z, "RCE")
    softmax = TinyOlHead(x.shape[1], K)
    for _ in range(SOFTMAX_EPOCHS):
        softmax.learn(x, y)
    counts.add("softmax head", test, softmax.answers(z))
    neurons_once = []  # in random order, then class by class
    sorted_ = np.argsort(y, kind="stable")
    for order, name in ((np.arange(len(y)), "random order"), (sorted_, "class by class")):
        once = RceHead(Settings(reach=reach), x.shape[1], cell.cap)
        heads: dict[str, Head] = {
            "RCE": once,
            "nearest class mean": CentroidHead(x.shape[1], K),
            "streaming LDA": SldaHead(x.shape[1], K),
            "TinyOL": TinyOlHead(x.shape[1], K),
        }
        for kind, one in heads.items():
            one.learn(x[order], y[order])
            counts.add(f"{kind}, once, {name}", test, one.answers(z))
        neurons_once.append(once.neurons)
    own, other = elm_pair(shown, test)
    add_rce(counts, test, rce(own, y, reach, cell.cap, cell.epochs), other, "ELM-64 + RCE")
    counts.add("full fine-tuning", test, fine_tuned(e, shown).answers(test.x))
    return {
        "confusions": counts.found, "neurons": head.neurons, "neurons_once": neurons_once[0],
        "F": len(y), "distances": learned, "n": x.shape[1], "reach": reach,
        "epochs": cell.epochs,
    }  # fmt: skip


def fine_tuned(e: Extractor, shown: Windows) -> Extractor:
    """All layers go on learning from the labelled windows."""
    model = type(e.model)(e.model.fc1.out_features, e.model.conv1.in_channels)
    model.load_state_dict(e.model.state_dict())
    scaled = replace_x(shown, shown.x / e.scale[:, None])
    how = Training("", epochs=20, batch=16, lr=0.001, tilt=0.1)
    return replace(e, model=train(scaled, how, model))


def replace_x(windows: Windows, x: np.ndarray) -> Windows:
    """The same windows with other values."""
    return replace(windows, x=x.astype(np.float32))


def merge(results: list[Any]) -> Any:
    """Results of several subjects as one cell."""
    out: dict[str, Any] = {"confusions": {}}
    for result in results:
        for method, tables in result["confusions"].items():
            out["confusions"].setdefault(method, {}).update(tables)
    for name in ("neurons", "neurons_once", "F", "distances", "n", "reach", "epochs"):
        out[name] = float(np.mean([result[name] for result in results]))
    return out


def learned_on_watch(folder: Path, cell: Cell) -> list[Learning]:
    """Phone -> watch for two users: labels from the first half of their recordings."""
    e = protocol.left_out("phone", cell.unit, folder)
    shown = protocol.early(protocol.activity("watch", protocol.LABEL_HOP))
    test = protocol.late(protocol.activity("watch", protocol.TEST_HOP))
    judges = protocol.others(cell.unit)[::3]

    def score(reach: float) -> float:
        found = []
        for subject in judges:
            known = labelled(shown.of([subject]), cell.shots, cell.seed)
            head = rce(e.features(known.x), known.labels, reach, cell.cap, cell.epochs)
            held = test.of([subject])
            found.append(balanced(held.labels, head.answers(e.features(held.x))))
        return float(np.mean(found))

    reach = choose_reach(score)
    return [
        (e, labelled(shown.of([user]), cell.shots, cell.seed), test.of([user]), reach)
        for user in protocol.fold_subjects(cell.unit)
    ]


def transfer(folder: Path, cell: Cell) -> Any:
    """Every head, phone -> watch, for two users."""
    return merge([adapted(*learning, cell) for learning in learned_on_watch(folder, cell)])


def elm_draws(folder: Path, cell: Cell) -> Any:
    """RCE on random features, with one draw of the filters after the other."""
    transferred = cell.place == TRANSFER
    parts = learned_on_watch if transferred else lambda *how: [learned_by_others(*how)]
    learnings = parts(folder, cell)
    counts = Counts(len(learnings[0][1].classes))
    for _, known, test, reach in learnings:
        for seed in range(DRAWS):
            own, other = elm_pair(known, test, seed)
            head = rce(own, known.labels, reach, cell.cap, cell.epochs)
            counts.add(f"draw {seed}", test, head.answers(other))
    return {"confusions": counts.found, "place": cell.place}


def bearing(folder: Path, cell: Cell) -> Any:
    """From 0 hp to another load: labels from the first half of the recordings."""
    e, windows = protocol.bearings(folder), read_bearings(cell.unit)
    base = protocol.early(read_bearings(0))
    reach = reach_of_users(e, labelled(base, 60, cell.seed), cell)
    known = labelled(protocol.early(windows), cell.shots, cell.seed)
    return adapted(e, known, protocol.late(windows), reach, cell)


def sensitivity(folder: Path, cell: Cell) -> Any:
    """The laws that no source settles, on training users: nobody who is tested is looked at."""
    e = protocol.left_out("phone", cell.unit, folder)
    known = protocol.activity("phone", protocol.TEST_HOP).of(protocol.others(cell.unit))
    held = held_out(known)
    x, y, found = e.features(known.x), known.labels, {}
    for name, change, cap in VARIANTS:
        head = RceHead(replace(Settings(), **change), x.shape[1], cap)
        head.fit(x[~held], y[~held], cell.epochs)
        near, codes = head.judged(x[held])
        found[name] = {
            "near": balanced(y[held], near), "unknown": float((codes == Status.UNKNOWN).mean()),
            "neurons": head.neurons, "removed": int(head.state.removed),
        }  # fmt: skip
    return found
