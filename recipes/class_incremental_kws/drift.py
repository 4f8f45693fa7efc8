# SPDX-License-Identifier: Apache-2.0
"""Cells of the drift experiment: what the detector of the device finds, and what learning gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from drift_streams import (
    AFTER,
    BEFORE,
    NOTHING,
    SNR_DB,
    STEADY,
    TARGET,
    TUNED_TARGETS,
    WALK,
    WATCHED,
    WORDS,
    Ears,
    Plan,
    Stream,
)

from acclimate.data.clips import F32
from acclimate.device.drift.meaning import Settings, Status
from acclimate.device.drift.module import DRIFT
from acclimate.device.library import Library, load
from acclimate.experiment import Experiment
from acclimate.learn import AdaptationSpec, train_on

VERSION = 2
NEVER, MOMENT = "never", "at the known moment"
LEARN = 60  # windows of a phase of learning, whose noise is recorded
LR, EPOCHS = 0.003, 10  # what recipes/kws_adaptation chose for fc1 and a hundred utterances
TUNED_SEED = 100
FALSE_ALARMS = 1.0  # allowed per 1000 watched windows where settings are chosen
STREAMS = {TARGET: 5, WORDS: 5, NOTHING: 3, WALK: 3}  # of every seed
WARM_UPS, SLACKS = (100, 200, 400), (0.1, 0.25, 0.5)
THRESHOLDS = (5.0, 8.0, 12.0, 18.0, 27.0, 40.0, 60.0)


class Watch:
    """The detector of the device: drift.c.

    Args:
        settings: of the detector.
        S: values of a window.
    """

    def __init__(self, settings: Settings, S: int) -> None:
        c = _library()
        self._state, self._memory = c.new("ac_drift"), np.zeros(5 * S, np.float32)
        passed = c.new("ac_drift_settings", **asdict(settings))
        assert c.ac_drift_start(self._state, passed, S, self._memory) == Status.WARMING
        self._push = c.ac_drift_push

    def push(self, values: F32) -> int:
        """Takes v[S] of a window; a code of `Status`."""
        return int(self._push(self._state, values))


@lru_cache(maxsize=1)
def _library() -> Library:
    return load(DRIFT)


def begins_of(values: F32, settings: Settings) -> list[int]:
    """Windows at which phases of learning begin in a stream of v[T,S]."""
    watch = Watch(settings, values.shape[1])
    return [t for t, row in enumerate(values) if watch.push(row) == Status.BEGIN]


def delay_of(begins: Sequence[int]) -> int | None:
    """Windows from the change to the first phase that began after it; None if none did."""
    return next((t - BEFORE for t in begins if t >= BEFORE), None)


def watched_windows(begins: Sequence[int], warm_up: int, windows: int) -> int:
    """Windows of a stream in which an alarm can be: outside of warm-ups and phases of learning."""
    count, start = 0, warm_up
    for t in begins:
        count, start = count + t + 1 - start, t + LEARN + warm_up
    return count + max(0, windows - start)


@dataclass(frozen=True)
class Try:
    """Settings of a detector, on streams that nothing is judged with.

    Attributes:
        data: description of the recordings.
        weights: checksum of the network.
        watched: name of the values.
        warm_up: of the detector.
        slacks: tried with each threshold.
        thresholds: tried.
        streams: of every kind.
    """

    data: str
    weights: str
    watched: str
    warm_up: int
    slacks: tuple[float, ...] = SLACKS
    thresholds: tuple[float, ...] = THRESHOLDS
    streams: int = 8


@dataclass(frozen=True)
class Life:
    """One stream that a device hears, and what makes it learn.

    Attributes:
        data: description of the recordings.
        weights: checksum of the network.
        kind: of stream.
        seed: of what is drawn.
        number: of the stream.
        starts: what starts learning: NEVER, MOMENT, or the name of watched values.
        judged_every: of the test utterances, each so many-th is used.
        epochs: of a phase of learning.
        warm_up: of the detector; zeros where there is none.
        slack: of the detector.
        threshold: of the detector.
    """

    data: str
    weights: str
    kind: str
    seed: int
    number: int
    starts: str
    judged_every: int = 1
    epochs: int = EPOCHS
    warm_up: int = 0
    slack: float = 0.0
    threshold: float = 0.0

    @property
    def settings(self) -> Settings:
        """Of the detector."""
        return Settings(self.warm_up, LEARN, self.slack, self.threshold)


class Lives:
    """Measures cells.

    Args:
        ears: the network and what it hears.
    """

    def __init__(self, ears: Ears) -> None:
        self.ears = ears
        self._tuning = lru_cache(maxsize=None)(self._tuning_values)
        self.tries = Experiment("drift_try", VERSION, self._tried)
        self.lives = Experiment("drift", VERSION, self._lived)

    def _tuning_values(self, kind: str, number: int) -> F32:
        stream = self.ears.stream(Plan(kind, "validation", TUNED_SEED, number))
        self.ears.device.device.reset()
        return stream.values(self.ears.device.predict(stream.latents))

    def _tried(self, cell: Try) -> dict[str, Any]:
        """Every slack and threshold: false alarms per 1000 watched, mean delay, share found."""
        columns = list(WATCHED[cell.watched])

        def begins(kind: str, settings: Settings) -> list[list[int]]:
            streams = (self._tuning(kind, n)[:, columns] for n in range(cell.streams))
            return [begins_of(np.ascontiguousarray(v), settings) for v in streams]

        rows = []
        for slack in cell.slacks:
            for threshold in cell.thresholds:
                settings = Settings(cell.warm_up, LEARN, slack, threshold)
                steady = begins(NOTHING, settings)
                watched = sum(watched_windows(b, cell.warm_up, STEADY) for b in steady)
                delays = [delay_of(b) for kind in TUNED_TARGETS for b in begins(kind, settings)]
                rows.append({
                    "slack": slack, "threshold": threshold,
                    "false_per_1000": 1000 * sum(map(len, steady)) / watched,
                    "delay": float(np.mean([AFTER if d is None else d for d in delays])),
                    "found": sum(d is not None for d in delays) / len(delays),
                })  # fmt: skip
        return {"rows": rows}

    def _lived(self, cell: Life) -> dict[str, Any]:
        """Hears a stream to its end; when phases began, and the accuracy afterwards."""
        device = self.ears.device
        device.device.reset()
        stream = self.ears.stream(Plan(cell.kind, "test", cell.seed, cell.number))
        begins: list[int] = []
        if cell.starts == MOMENT:
            begins = [BEFORE]
            self._adapt(stream.noise[BEFORE : BEFORE + LEARN], cell, 0)
        elif cell.starts != NEVER:
            begins = self._watched(cell, stream)
        place, known = (conditions.survey(device) for conditions in self.ears.judged)
        return {
            "begins": begins,
            "place": place.at(TARGET),
            "clean": place.clean,
            "known": known.elsewhere(""),
        }

    def _watched(self, cell: Life, stream: Stream) -> list[int]:
        """Learns whenever the detector says so; the detector then watches what learned."""
        columns = list(WATCHED[cell.starts])
        watch = Watch(cell.settings, len(columns))

        def values() -> F32:
            every = stream.values(self.ears.device.predict(stream.latents))
            return np.ascontiguousarray(every[:, columns])

        seen, begins, recorded = values(), list[int](), list[int]()
        for t in range(len(seen)):
            status = watch.push(seen[t])
            if status == Status.BEGIN:
                begins.append(t)
            if status in (Status.BEGIN, Status.LEARNING, Status.ENDED):
                recorded.append(t)
            if status == Status.ENDED:
                self._adapt(stream.noise[recorded], cell, len(begins) - 1)
                seen, recorded = values(), []
        return begins

    def _adapt(self, noise: F32, cell: Life, session: int) -> None:
        """fc1 learns stored utterances in the noise that was recorded."""
        seed = 1000 * cell.seed + 10 * cell.number + session
        spec = AdaptationSpec(snr_db=SNR_DB, epochs=cell.epochs, lr=LR, seed=seed)
        train_on(self.ears.device, self.ears.mixed(noise, spec), spec)


def chosen(tries: Mapping[Try, Mapping[str, Any]], watched: str) -> tuple[int, float, float]:
    """Warm-up, slack, threshold with the shortest delay among those with few false alarms.

    Where all have too many, those with the fewest.
    """
    rows = [
        (row["false_per_1000"], row["delay"], cell.warm_up, row["slack"], row["threshold"])
        for cell, result in tries.items()
        if cell.watched == watched
        for row in result["rows"]
    ]
    least = max(FALSE_ALARMS, min(rows)[0])
    best = min((row for row in rows if row[0] <= least), key=lambda row: (row[1], row[0]))
    return best[2:]


def tries_of(ears: Ears, *, quick: bool) -> list[Try]:
    """Cells that choose the settings."""
    if quick:
        few = Try(ears.source.description, ears.weights, "", 100, (0.25, 0.5), (12.0, 27.0), 1)
        return [replace(few, watched=watched) for watched in WATCHED]
    every = product(WATCHED, WARM_UPS)
    return [Try(ears.source.description, ears.weights, *which) for which in every]


def lives_of(
    ears: Ears, tries: Mapping[Try, Mapping[str, Any]], seeds: Sequence[int], *, quick: bool
) -> list[Life]:
    """Cells of the tables; those that hear the same stream stand together."""
    settings = {watched: chosen(tries, watched) for watched in WATCHED}
    first = Life(ears.source.description, ears.weights, "", 0, 0, "")
    first = replace(first, judged_every=8, epochs=2) if quick else first
    cells = []
    for seed, (kind, streams) in product(seeds, STREAMS.items()):
        for number in range(1 if quick else streams):
            life = replace(first, kind=kind, seed=seed, number=number)
            if kind == TARGET:
                cells += [replace(life, starts=starts) for starts in (NEVER, MOMENT)]
            for watched, (warm_up, slack, threshold) in settings.items():
                cells.append(replace(life, starts=watched, warm_up=warm_up, slack=slack,
                                     threshold=threshold))  # fmt: skip
    return cells
