# SPDX-License-Identifier: Apache-2.0
"""Interleaved learning and testing: scenarios, metrics, and strategies on every kind of device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.data.clips import F32
from acclimate.device.centroids.meaning import Centroids
from acclimate.device.rce.meaning import Rce
from acclimate.device.rce.meaning import Settings as RceSettings
from acclimate.device.slda.meaning import Slda
from acclimate.device.tinyol.meaning import TinyOl
from acclimate.errors import BadOption
from acclimate.learn.forward import CentroidHead, RceHead, SldaHead, TinyOlHead
from acclimate.learn.protocol import (
    Distilled,
    Experience,
    FineTune,
    Joint,
    Kind,
    Labelled,
    LatentMemory,
    Outcome,
    Price,
    Regularized,
    Replay,
    Schedule,
    Streaming,
    class_incremental,
    domain_incremental,
    groups_of,
    run,
)

CLASSES, WIDTH = 6, 12


def clusters(samples: int, seed: int, shift: float = 0.0) -> Labelled:
    """Gaussian clusters about fixed centres, `samples` of each class."""
    centres = np.random.default_rng(99).standard_normal((CLASSES, WIDTH))
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(CLASSES), samples))
    x = centres[y] + 0.4 * rng.standard_normal((len(y), WIDTH)) + shift
    return Labelled(x.astype(np.float32), y)


TRAIN, TEST = clusters(30, 0), clusters(20, 1)
SCENARIO = class_incremental(TRAIN, TEST, groups_of(CLASSES, 2))
SUMS = ("predict", "accumulate", "apply")


def firmware(**options: object) -> ac.Firmware:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU(), nn.Linear(16, CLASSES)).eval()
    label = torch.zeros(1, dtype=torch.long)
    example = (torch.zeros(1, WIDTH), (label, torch.zeros(1, CLASSES)))
    example = example if "loss" in options else (torch.zeros(1, WIDTH), label)
    return ac.compile(model, example=example, **options)


class Reservoir:
    """Keeps the first samples of a stream, enough for these tests."""

    def __init__(self, size: int) -> None:
        self.size, self.x, self.y = size, list[F32](), list[int]()
        self.rng = np.random.default_rng(0)
        self.seen = 0

    def insert(self, x: F32, y: int) -> None:
        self.seen += 1
        if len(self.y) < self.size:
            self.x.append(x)
            self.y.append(y)
            return
        place = int(self.rng.integers(self.seen))
        if place < self.size:
            self.x[place], self.y[place] = x, y

    def draw(self, count: int) -> Labelled:
        chosen = self.rng.permutation(len(self.y))[:count]
        return Labelled(np.stack(self.x)[chosen], np.array(self.y)[chosen])

    def __len__(self) -> int:
        return len(self.y)

    def size_bytes(self) -> int:
        return self.size * (4 * WIDTH + 1)


class Table:
    """A strategy whose accuracies are known: it answers what it was told to."""

    def __init__(self, right: list[list[float]], sizes: int) -> None:
        self.right, self.sizes, self.learned = right, sizes, -1

    def learn(self, experience: Experience) -> None:
        self.learned += 1

    def scores(self, x: F32) -> F32:
        number, label = int(x[0, 0]), x[:, 1].astype(int)
        share = 0.0 if self.learned < 0 else self.right[self.learned][number]
        good = np.arange(len(x)) < round(share * len(x))
        scores = np.zeros((len(x), 4), np.float32)
        scores[np.arange(len(x)), np.where(good, label, 3 - label)] = 1
        return scores

    def price(self) -> Price:
        return Price(2048, 0.5, {"train": 7})


def table_outcome(right: list[list[float]]) -> Outcome:
    domains = {}
    for number in range(len(right)):
        y = np.arange(20) % 2
        x = np.stack([np.full(20, number), y], 1).astype(np.float32)
        domains[f"place {number}"] = (Labelled(x, y), Labelled(x, y))
    return run(domain_incremental(domains), Table(right, 20))


def test_metrics_by_hand() -> None:
    right = [[0.8, 0.2, 0.1], [0.9, 0.7, 0.3], [0.5, 0.6, 0.9]]
    outcome = table_outcome(right)
    np.testing.assert_allclose(outcome.accuracy, right, atol=1e-6)
    assert outcome.average_accuracy == pytest.approx((0.5 + 0.6 + 0.9) / 3)
    assert outcome.learning_accuracy == pytest.approx((0.8 + 0.7 + 0.9) / 3)
    assert outcome.forgetting == pytest.approx(((0.9 - 0.5) + (0.7 - 0.6)) / 2)
    assert outcome.backward_transfer == pytest.approx(((0.5 - 0.8) + (0.6 - 0.7)) / 2)
    assert outcome.forward_transfer == pytest.approx((0.2 + 0.3) / 2)
    assert outcome.accuracy_per_kb == pytest.approx(100 * outcome.average_accuracy / 2)
    assert outcome.accuracy_per_mj == pytest.approx(200 * outcome.average_accuracy)
    np.testing.assert_allclose(outcome.so_far(), [0.8, 0.8, 2 / 3], atol=1e-6)
    assert outcome.as_json()["forgetting"] == outcome.forgetting


def test_metrics_of_one_experience() -> None:
    outcome = table_outcome([[0.6]])
    assert outcome.average_accuracy == pytest.approx(0.6)
    assert (outcome.forgetting, outcome.backward_transfer, outcome.forward_transfer) == (0, 0, 0)


def test_scenarios() -> None:
    assert SCENARIO.kind is Kind.CLASS
    assert [e.classes for e in SCENARIO.experiences] == [(0, 1), (2, 3), (4, 5)]
    assert SCENARIO.seen(1) == (0, 1, 2, 3)
    for experience in SCENARIO.experiences:
        assert set(experience.train.y) == set(experience.test.y) == set(experience.classes)
    assert class_incremental(TRAIN, TEST, [[0]], told=True).kind is Kind.TASK
    assert sorted(c for group in groups_of(7, 3, seed=4) for c in group) == list(range(7))
    assert groups_of(7, 3, seed=4) == groups_of(7, 3, seed=4) != groups_of(7, 3, seed=5)


def test_scenarios_that_cannot_be() -> None:
    with pytest.raises(BadOption, match="in two groups"):
        class_incremental(TRAIN, TEST, [[0, 1], [1, 2]])
    with pytest.raises(BadOption, match="nothing to learn from"):
        class_incremental(TRAIN, TEST, [[17]])
    with pytest.raises(BadOption, match="at least one experience"):
        domain_incremental({})
    with pytest.raises(BadOption, match="labels"):
        Labelled(TRAIN.x, TRAIN.y[1:])
    with pytest.raises(BadOption, match="schedule"):
        Schedule(epochs=0)
    with pytest.raises(BadOption, match="sums of gradients"):
        FineTune(firmware(), Schedule(batch=4))
    with pytest.raises(BadOption, match="has no regularizer"):
        Regularized(firmware(), Schedule())
    with pytest.raises(BadOption, match="replay mixes"):
        Replay(firmware(), Schedule(), Reservoir(10))


def strategies(device: str, schedule: Schedule) -> dict[str, FineTune]:
    plain, held = firmware(entries=SUMS), firmware(entries=SUMS, regularizer=ac.EWC(30.0))
    moved, kept = firmware(regularizer=ac.SI(0.02)), firmware(entries=SUMS, loss=ac.LwF())
    single = Schedule(schedule.epochs, schedule.lr)
    return {
        "naive": FineTune(plain, schedule, plain.run(device)),
        "replay": Replay(plain, schedule, Reservoir(24), device=plain.run(device)),
        "ewc": Regularized(held, schedule, 20, held.run(device)),
        "si": Regularized(moved, single, device=moved.run(device)),
        "lwf": Distilled(kept, schedule, kept.run(device)),
        "joint": Joint(plain, schedule, plain.run(device)),
    }


def test_strategies_differ_as_they_are_known_to() -> None:
    outcomes = {
        name: run(SCENARIO, strategy)
        for name, strategy in strategies("host", Schedule(epochs=6, lr=0.1, batch=4)).items()
    }
    final = {name: outcome.average_accuracy for name, outcome in outcomes.items()}
    assert final["naive"] < 0.7, "without memory most of the first classes is lost"
    assert outcomes["naive"].forgetting > 0.3
    assert final["replay"] > final["naive"] + 0.2
    assert final["ewc"] > final["naive"]
    assert final["joint"] > 0.9
    assert outcomes["replay"].forgetting < outcomes["naive"].forgetting / 2
    told = class_incremental(TRAIN, TEST, groups_of(CLASSES, 2), told=True)
    for name in ("ewc", "si", "lwf"):
        fresh = strategies("host", Schedule(epochs=6, lr=0.1, batch=4))
        outcome = run(told, fresh[name])
        naive = run(told, fresh["naive"])
        assert outcome.average_accuracy >= naive.average_accuracy - 0.02, name
    assert outcomes["replay"].price.ram_bytes - outcomes["naive"].price.ram_bytes == 24 * 49


def test_the_program_in_numpy_learns_what_the_c_learns() -> None:
    few = class_incremental(clusters(3, 2), clusters(5, 3), groups_of(CLASSES, 3))
    schedule = Schedule(epochs=2, lr=0.05, batch=2)
    there, here = strategies("numpy", schedule), strategies("host", schedule)
    for name in here:
        a, b = run(few, there[name]), run(few, here[name])
        np.testing.assert_allclose(a.accuracy, b.accuracy, err_msg=name)
        assert a.price == b.price
        for parameter, value in here[name].device.weights.items():
            np.testing.assert_allclose(
                there[name].device.weights[parameter], value, rtol=1e-3, atol=1e-5, err_msg=name
            )


def test_one_step_on_the_cluster() -> None:
    few = class_incremental(clusters(1, 2), clusters(1, 3), [[0, 1]])
    (experience,) = few.experiences
    for name, strategy in strategies("host", Schedule(lr=0.05, batch=2)).items():
        moved = ac.retarget(strategy.firmware, "gap9")
        other = strategies("numpy", Schedule(lr=0.05, batch=2))[name]
        other.firmware, other.device = moved, moved.run()
        strategy.learn(experience)
        other.learn(experience)
        for parameter, value in strategy.device.weights.items():
            np.testing.assert_allclose(
                other.device.weights[parameter], value, rtol=1e-3, atol=1e-5, err_msg=name
            )
        assert other.price().energy_mj is not None and other.price().energy_mj > 0


HEADS = {
    "centroids": lambda: CentroidHead(WIDTH, CLASSES),
    "slda": lambda: SldaHead(WIDTH, CLASSES),
    "tinyol": lambda: TinyOlHead(WIDTH, CLASSES, 0.1),
    "rce": lambda: RceHead(RceSettings(), WIDTH, 60),
}


@pytest.mark.parametrize("name", HEADS)
def test_streaming_heads_learn_each_sample_once(name: str) -> None:
    strategy = Streaming(HEADS[name](), CLASSES, extractor_bytes=1000)
    outcome = run(SCENARIO, strategy)
    assert outcome.before.tolist() == [0.5, 0.0, 0.0]  # all scores are equal: class 0
    assert outcome.learning_accuracy > 0.9
    assert outcome.price.calls == {"learn": len(TRAIN)}
    assert outcome.price.ram_bytes == 1000 + strategy.head.size_bytes > 1000 + 4 * WIDTH
    if name != "tinyol":  # gradients forget
        assert outcome.average_accuracy > 0.9


def answers_by_meaning(name: str) -> np.ndarray:
    """Of the test samples, after the experiences of the scenario in NumPy."""
    learned = [e.train for e in SCENARIO.experiences]
    stream = [(x, int(y)) for part in learned for x, y in zip(part.x, part.y, strict=True)]
    if name == "rce":
        rce = Rce(RceSettings(), WIDTH, 60)
        for part in learned:
            rce.fit(part.x, part.y.tolist(), 1)
        return np.array([rce.classify(x).label for x in TEST.x])
    if name == "slda":
        slda = Slda(WIDTH, CLASSES, 0.05)
        for x, y in stream:
            slda.learn(x, y)
        return slda.scores(TEST.x).argmax(1)
    if name == "tinyol":
        tinyol = TinyOl(WIDTH, CLASSES)
        tinyol.standardise(np.zeros(WIDTH), np.ones(WIDTH))
        for x, y in stream:
            tinyol.learn(x, y, 0.1)
        return np.array([tinyol.classify(x)[1] for x in TEST.x])
    centroids = Centroids(WIDTH, CLASSES)
    for x, y in stream:
        centroids.learn(x, y)
    return np.array([centroids.classify(x)[1] for x in TEST.x])


@pytest.mark.parametrize("name", HEADS)
def test_streaming_heads_are_the_meaning_of_their_modules(name: str) -> None:
    strategy = Streaming(HEADS[name](), CLASSES)
    outcome = run(SCENARIO, strategy)
    answers = answers_by_meaning(name)
    assert np.array_equal(strategy.scores(TEST.x).argmax(1), answers)
    sizes = np.array([len(e.test) for e in SCENARIO.experiences])
    assert outcome.accuracy[-1] @ sizes / sizes.sum() == pytest.approx((answers == TEST.y).mean())


def test_features_of_a_frozen_extractor_come_before_the_head() -> None:
    seen = []

    def features(x: F32) -> F32:
        seen.append(len(x))
        return x[:, :5]

    outcome = run(SCENARIO, Streaming(SldaHead(5, CLASSES), CLASSES, features))
    assert seen[0] == len(SCENARIO.experiences[0].train) and outcome.average_accuracy > 0.5


def test_importance_is_measured_on_the_minibatches_that_were_learned() -> None:
    made = firmware(entries=SUMS, regularizer=ac.EWC(10.0))
    schedule = Schedule(epochs=2, lr=0.05, batch=2, seed=5)
    strategy = Regularized(made, schedule, as_learned=True)
    first, second = SCENARIO.experiences[:2]
    measured = []
    strategy.device.importance = lambda x, y, share: measured.append((x[0], share))
    strategy.learn(first)
    rng, N = np.random.default_rng(5), len(first.train)
    learned = first.train.x[np.concatenate([rng.permutation(N) for _ in range(2)])]
    assert np.array_equal([x for x, _ in measured], learned), "in their order"
    assert sum(share for _, share in measured) == pytest.approx(1.0)
    measured.clear()
    strategy.keep(second)
    assert len(measured) == len(second.train), "nothing of it was learned: its samples"


@pytest.mark.parametrize("kind", [FineTune, Replay, Joint, Regularized])
def test_what_is_known_is_kept_and_not_learned(kind: type[FineTune]) -> None:
    schedule = Schedule(epochs=1, lr=0.05, batch=2)
    regularizer = ac.EWC(10.0) if kind is Regularized else None
    made = firmware(entries=SUMS, regularizer=regularizer)
    more = (LatentMemory(12, CLASSES, (WIDTH,), 4.0),) if kind is Replay else ()
    strategy = kind(made, schedule, *more)
    before = {name: array.copy() for name, array in strategy.device.weights.items()}
    strategy.keep(SCENARIO.experiences[0])
    assert strategy.calls["accumulate"] == 0
    for name, array in strategy.device.weights.items():
        assert np.array_equal(array, before[name])
    if kind is Replay:
        assert len(more[0]) == 12 and strategy.kept_bytes() == 12 * WIDTH
    if kind is Joint:
        assert strategy.kept_bytes() > 0
    if kind is Regularized:
        assert strategy.calls["importance"] == len(SCENARIO.experiences[0].train)
    outcome = run(SCENARIO, kind(made, schedule, *more), known=1)
    learned = sum(len(e.train) for e in SCENARIO.experiences[1:])
    assert outcome.price.calls["accumulate"] >= learned
