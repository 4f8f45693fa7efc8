# SPDX-License-Identifier: Apache-2.0
"""Cells of accuracy: one adaptation each, in the C of the device, and what it did to accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import Any

import numpy as np
from heard import Epochs, Sounds
from settings import (
    EPOCHS,
    EVERYTHING,
    HUNDRED,
    LEARNS,
    SERIES,
    TUNED_CLEAN_LOSS,
    TUNED_PLACE,
    TUNED_SNR_DB,
)
from spotters import Spotters

from acclimate.data.clips import I64
from acclimate.errors import BadOption
from acclimate.experiment import Experiment
from acclimate.learn import CLEAN, AdaptationSpec, Conditions, accuracy, train_on

Result = dict[str, Any]


@dataclass(frozen=True)
class Before:
    """A network before adaptation; the fields are those of `Run`."""

    data: str
    weights: str
    size: str
    seed: int
    snr_db: float
    judged: str = "test"


@dataclass(frozen=True)
class Run:
    """One adaptation.

    Args:
        data: that is learned and judged with.
        weights: checksum of the pretrained ones.
        size: of the network.
        seed: of the network.
        learns: name of what learns.
        place: whose noise is heard, and judged in.
        snr_db: of both.
        per_class: utterances stored of each class; None for all.
        epochs: passes over them.
        lr: of the first step.
        draw: of utterances, order, shifts and pieces of noise.
        clean_share: of an epoch that is heard without noise.
        noise: "place", or "pool": noises that the network knows already, as a control.
        judged: "test" or "validation".
    """

    data: str
    weights: str
    size: str
    seed: int
    learns: str
    place: str
    snr_db: float
    per_class: int | None
    epochs: int
    lr: float
    draw: int
    clean_share: float = 0.0
    noise: str = "place"
    judged: str = "test"

    @property
    def spec(self) -> AdaptationSpec:
        """As the adaptation loop takes it."""
        return AdaptationSpec(
            snr_db=self.snr_db,
            epochs=self.epochs,
            lr=self.lr,
            seed=self.draw,
            utterances_per_class=self.per_class,
            clean_share=self.clean_share,
            batch=LEARNS[self.learns].batch,
        )

    @property
    def before(self) -> Before:
        """The network that it starts from."""
        return Before(self.data, self.weights, self.size, self.seed, self.snr_db, self.judged)

    @property
    def condition(self) -> Run:
        """What runs of other networks and draws have in common."""
        return replace(self, weights="", seed=0, draw=0)


class Bench:
    """Measures cells.

    Args:
        sounds: what is heard.
        spotters: the networks.
    """

    def __init__(self, sounds: Sounds, spotters: Spotters) -> None:
        self.sounds, self.spotters = sounds, spotters
        self._heard = lru_cache(maxsize=24)(self._heard_by)
        self._learned = lru_cache(maxsize=2)(self._learned_from)
        self.before = Experiment("before", 1, self._before)
        self.runs = Experiment("run", 1, self._run, _weight)

    def _before(self, cell: Before) -> Result:
        names = self.sounds.targets if cell.judged == "test" else (TUNED_PLACE,)
        device = self.spotters.device(cell.size, cell.seed, "fc1")
        device.device.reset()
        hears = (cell.size, cell.seed, True, cell.judged, cell.snr_db)
        counts = {}
        for name in names:
            counts |= self._heard(*hears, (name,)).confusions(device)
        found: Result = {"counts": {name: c.tolist() for name, c in counts.items()}}
        if cell.judged == "test":
            found["others"] = dict(self._heard(*hears, ()).survey(device).places)
        return found

    def _run(self, cell: Run) -> Result:
        """Adapts from the pretrained weights and judges."""
        device = self.spotters.device(cell.size, cell.seed, cell.learns)
        device.device.reset()
        cut = LEARNS[cell.learns].classifier_only
        # Networks and choices of what learns hear the same mixtures: rate and batch do not matter.
        heard = replace(cell.spec, lr=1.0, batch=1)
        epochs = self._learned(
            cell.size, cell.seed, cut, heard, cell.place, cell.judged, cell.noise
        )
        try:
            done = train_on(device, epochs, cell.spec)
        except BadOption:  # the loss is no number: the rate is too high
            return {"diverged": True}
        hears = (cell.size, cell.seed, cut, cell.judged, cell.snr_db)
        counts = self._heard(*hears, (cell.place,)).confusions(device)
        found: Result = {
            "utterances": done.utterances,
            "steps": done.steps,
            "losses": [round(epoch.loss, 5) for epoch in done.epochs],
            "clean": counts[CLEAN].tolist(),
            "place": counts[cell.place].tolist(),
        }
        if cell.judged == "test":
            found["others"] = dict(self._heard(*hears, ()).survey(device).places)
            del found["others"][cell.place]
        return found

    def _heard_by(
        self, size: str, seed: int, cut: bool, judged: str, snr_db: float, names: tuple[str, ...]
    ) -> Conditions:
        """What a device takes of the judged utterances: normalised cepstra, or latents."""
        spotter = self.spotters.find(size, seed)
        conditions = self.sounds.judged(judged, snr_db, names).through(spotter.normalised)
        return conditions.through(self.spotters.prefix(size, seed)) if cut else conditions

    def _learned_from(
        self, size: str, seed: int, cut: bool, spec: AdaptationSpec, place: str, judged: str,
        noise: str,
    ) -> Epochs:  # fmt: skip
        """What a device takes of the mixtures."""
        spotter = self.spotters.find(size, seed)
        heard = self.sounds.epochs(spec, place, judged, noise)
        epochs = [(spotter.normalised(x), y) for x, y in heard]
        if not cut:
            return epochs
        prefix = self.spotters.prefix(size, seed)
        return [(prefix(x), y) for x, y in epochs]


def _weight(run: Run) -> float:
    """Seconds of a cell on an idle core, roughly."""
    step_s = {"fc1": 0.0005, "bias": 0.0005, "last": 0.0007, "all": 0.0008}[run.learns]
    steps = (run.per_class or 150) * 12 * run.epochs
    return step_s * steps + (0.2 if LEARNS[run.learns].classifier_only else 1.5)


@dataclass(frozen=True)
class Choice:
    """What of the grid is measured: the options of the command line.

    Args:
        size: of the network.
        seeds: of networks.
        draws: of utterances.
        learns: names.
        stored: utterances of a class.
        places: targets.
        snrs_db: speech against noise.
        rates: learning rates tried for each name; all by default.
        epochs: instead of the usual ones; 0 for those.
    """

    size: str
    seeds: tuple[int, ...]
    draws: tuple[int, ...]
    learns: tuple[str, ...]
    stored: tuple[int | None, ...]
    places: tuple[str, ...]
    snrs_db: tuple[float, ...]
    rates: int = 0
    epochs: int = 0


class Grid:
    """The cells of a choice, the most important first.

    Args:
        choice: of the command line.
        bench: measures them.
    """

    def __init__(self, choice: Choice, bench: Bench) -> None:
        self.choice, self._bench = choice, bench
        self._data = bench.sounds.description

    def befores(self) -> list[Before]:
        """Every network at every ratio, and at the one where rates are chosen."""
        snrs = dict.fromkeys((TUNED_SNR_DB, *self.choice.snrs_db))
        cells = [replace(self._before(seed), snr_db=snr) for snr in snrs for seed in self._seeds()]
        chosen = [self._before(seed) for seed in self._seeds()]
        return [*cells, *(replace(cell, judged="validation") for cell in chosen)]

    def tries(self) -> list[Run]:
        """Runs that choose learning rates: on the validation speakers, one draw."""
        runs = []
        for per_class in self.choice.stored:
            for seed in self._seeds():
                for learns in self.choice.learns:
                    runs += [
                        self._run(seed, learns, per_class, lr, judged="validation")
                        for lr in self._rates(learns)
                    ]
        return runs

    def runs(self, rates: dict[tuple[str, int | None], float]) -> list[Run]:
        """Runs with the chosen rates: what was asked for first, then draw by draw."""
        c = self.choice
        main = [(place, snr) for snr in c.snrs_db for place in c.places]
        first, rest = main[:1], main[1:]
        return [
            *(r for draw in c.draws for r in self._block(rates, first, c.stored, draw)),
            *(r for draw in c.draws for r in self._controls(rates, draw)),
            *(r for draw in c.draws for r in self._series(rates, draw)),
            *(r for draw in c.draws for r in self._block(rates, rest, c.stored, draw)),
        ]

    def _block(
        self, rates: dict[tuple[str, int | None], float], where: Sequence[tuple[str, float]],
        stored: Sequence[int | None], draw: int,
    ) -> Iterator[Run]:  # fmt: skip
        """Cells that hear the same mixtures stand together."""
        for place, snr_db in where:
            for per_class in stored:
                for seed in self._seeds():
                    for learns in self.choice.learns:
                        run = self._run(seed, learns, per_class, rates[learns, per_class])
                        yield replace(run, place=place, snr_db=snr_db, draw=draw)

    def _controls(self, rates: dict[tuple[str, int | None], float], draw: int) -> Iterator[Run]:
        """The same utterances in noise that is known already, and half of them clean."""
        kinds = [("fc1", HUNDRED), *((("all", EVERYTHING),) if draw < 2 else ())]
        for learns, per_class in kinds:
            if learns in self.choice.learns and per_class in self.choice.stored:
                for change in ({"noise": "pool"}, {"clean_share": 0.5}):
                    for seed in self._seeds():
                        run = self._run(seed, learns, per_class, rates[learns, per_class])
                        yield replace(run, draw=draw, **change)  # type: ignore[arg-type]

    def _series(self, rates: dict[tuple[str, int | None], float], draw: int) -> Iterator[Run]:
        """From few utterances to many: only fc1 learns, with the rate of a hundred."""
        if "fc1" in self.choice.learns and HUNDRED in self.choice.stored:
            for per_class in SERIES:
                for seed in self._seeds():
                    run = self._run(seed, "fc1", per_class, rates["fc1", HUNDRED])
                    yield replace(run, draw=draw)

    def _seeds(self) -> tuple[int, ...]:
        return self.choice.seeds

    def _rates(self, learns: str) -> tuple[float, ...]:
        every = LEARNS[learns].rates
        return every[1 : 1 + self.choice.rates] if self.choice.rates else every

    def _before(self, seed: int) -> Before:
        weights = self._bench.spotters.find(self.choice.size, seed).weights
        return Before(self._data, weights, self.choice.size, seed, TUNED_SNR_DB)

    def _run(
        self, seed: int, learns: str, per_class: int | None, lr: float, judged: str = "test"
    ) -> Run:
        start = self._before(seed)
        epochs = self.choice.epochs or EPOCHS[per_class]
        return Run(
            start.data, start.weights, start.size, seed, learns, TUNED_PLACE, TUNED_SNR_DB,
            per_class, epochs, lr, 0, judged=judged,
        )  # fmt: skip


def share(counts: Sequence[Sequence[int]]) -> float:
    """Accuracy of kept counts."""
    return accuracy(as_counts(counts))


def as_counts(counts: Sequence[Sequence[int]]) -> I64:
    """Kept counts as c[classes,classes]."""
    return np.asarray(counts, dtype=np.int64)


@dataclass(frozen=True)
class Tried:
    """A learning rate on the validation speakers: accuracy in the place, change without noise."""

    lr: float
    place: float
    clean_change: float

    @property
    def allowed(self) -> bool:
        """True if it does not forget too much."""
        return self.clean_change >= -TUNED_CLEAN_LOSS


def tried_rates(
    tries: dict[Run, Result], befores: dict[Before, Result]
) -> dict[tuple[str, int | None], list[Tried]]:
    """Every rate by what learns and how much is stored: the mean over the networks."""
    grouped: dict[tuple[str, int | None], dict[float, list[tuple[float, float]]]] = {}
    for run, result in tries.items():
        before = share(befores[run.before]["counts"][CLEAN])
        pair = (0.0, -before)  # a network that diverged names nothing
        if "diverged" not in result:
            pair = (share(result["place"]), share(result["clean"]) - before)
        grouped.setdefault((run.learns, run.per_class), {}).setdefault(run.lr, []).append(pair)
    return {
        key: [
            Tried(lr, fmean(p for p, _ in pairs), fmean(c for _, c in pairs))
            for lr, pairs in sorted(rates.items())
        ]
        for key, rates in grouped.items()
    }


def chosen_rate(tried: Sequence[Tried]) -> float:
    """The rate with the best accuracy in the place of those that do not forget too much.

    Where all forget too much, the lowest one.
    """
    allowed = [t for t in tried if t.allowed] or [min(tried, key=lambda t: t.lr)]
    return max(allowed, key=lambda t: (t.place, -t.lr)).lr
