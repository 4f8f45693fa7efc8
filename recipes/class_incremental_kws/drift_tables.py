# SPDX-License-Identifier: Apache-2.0
"""Tables of the drift experiment from finished cells."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import sizeof
from statistics import fmean
from typing import Any

from drift import (
    FALSE_ALARMS,
    LEARN,
    LR,
    MOMENT,
    NEVER,
    STREAMS,
    Life,
    Try,
    delay_of,
    watched_windows,
)
from drift_streams import (
    AFTER,
    BEFORE,
    NOTHING,
    STEADY,
    TARGET,
    TUNED_TARGETS,
    VISIT,
    WALK,
    WATCHED,
    WORDS,
)

from acclimate.device.drift.module import DRIFT
from acclimate.experiment import (
    BarChart,
    Beside,
    Column,
    Footer,
    Section,
    Table,
    Whisker,
    points,
    spread,
)

COMMAND = "python recipes/class_incremental_kws/run.py --drift"
PUBLISHED = "+5"  # fc1 and a hundred utterances, on other data: recipes/kws_adaptation
Results = Mapping[Life, Mapping[str, Any]]


def _of(results: Results, starts: str, kind: str) -> list[Mapping[str, Any]]:
    return [r for cell, r in results.items() if (cell.starts, cell.kind) == (starts, kind)]


def _found(results: Results, starts: str, kind: str) -> tuple[str, str]:
    """Share of the streams [%] in which the change was found, and the delay [windows]."""
    lives = _of(results, starts, kind)
    delays = [d for life in lives if (d := delay_of(life["begins"])) is not None]
    return f"{100 * len(delays) / len(lives):.0f}", spread(delays, "{:.0f}") or "-"


def _alarms(results: Results, starts: str, kind: str) -> str:
    """Alarms in 1000 windows that were watched."""
    lives = {c: r["begins"] for c, r in results.items() if (c.starts, c.kind) == (starts, kind)}
    watched = sum(watched_windows(begins, c.warm_up, STEADY) for c, begins in lives.items())
    return f"{1000 * sum(map(len, lives.values())) / watched:.2f}"


def _footer(results: Results, notes: tuple[str, ...]) -> Footer:
    seeds = sorted({cell.seed for cell in results})
    counts = {k: sum(c.kind == k and c.starts in WATCHED for c in results) for k in STREAMS}
    streams = ", ".join(f"{n // len(WATCHED)} of {kind!r}" for kind, n in counts.items())
    first = next(iter(results))
    shown = f"{', '.join(map(str, seeds))}, of streams and utterances; one network; {streams}"
    return Footer(COMMAND, first.data, shown, notes)


def detection_table(results: Results) -> Table:
    """What is found, how late, and how often nothing is found."""
    rows = []
    for watched, columns in WATCHED.items():
        s = next(cell for cell in results if cell.starts == watched)
        rows.append((
            watched, str(len(columns)), f"{s.warm_up}, {s.slack:g}, {s.threshold:g}",
            *_found(results, watched, TARGET), *_found(results, watched, WORDS),
            _alarms(results, watched, NOTHING), _alarms(results, watched, WALK),
        ))  # fmt: skip
    columns_ = (
        Column("watched", "l"), Column("values"), Column("warm-up, slack, threshold"),
        Column(f"{TARGET}: found %"), Column("delay, windows"),
        Column(f"{WORDS}: found %"), Column("delay, windows"),
        Column("false alarms per 1000 watched, nothing changes"), Column(WALK),
    )  # fmt: skip
    tuned, size = " and ".join(TUNED_TARGETS), sizeof(DRIFT.header.types["ac_drift"])
    notes = (
        f"windows of one second, each with an utterance in noise at 0 dB; {BEFORE} in noises that "
        f"the network knows, each window in another, then {AFTER} in the {TARGET}, or half of them "
        "words that are no keywords; delay: mean [range] where the change was found",
        f"without a change: {STEADY} windows a stream, each in another known noise, or {VISIT} in "
        "one known place after the other; alarms per 1000 windows that are watched: those of "
        "warm-ups and phases of learning do not count",
        "settings: the shortest delay with at most "
        f"{FALSE_ALARMS:g} false alarm per 1000, on other speakers, other parts of the known "
        f"noises, and changes to {tuned}",
        f"the detector is drift.c: {size} bytes on this machine, and 20 for every value; nobody "
        "published a figure for it",
    )
    return Table("A change is found", columns_, tuple(rows), _footer(results, notes))


def learning_table(results: Results) -> Table:
    """What the phase of learning gains."""
    before, epochs = _of(results, NEVER, TARGET)[0], next(iter(results)).epochs
    rows: list[tuple[str | Beside, ...]] = []
    for starts in (NEVER, MOMENT, *WATCHED):
        lives, steady = _of(results, starts, TARGET), _of(results, starts, NOTHING)

        def change(key: str, of: list[Mapping[str, Any]]) -> str:
            return points([life[key] - before[key] for life in of]) if of else ""

        gain = change("place", lives) if starts != NEVER else ""
        rows.append((
            starts if starts not in WATCHED else f"detector: {starts}",
            spread([100 * life["place"] for life in lives[: 1 if starts == NEVER else None]]),
            Beside(gain, PUBLISHED if starts == MOMENT else ""),
            change("clean", lives) if starts != NEVER else "",
            change("known", lives) if starts != NEVER else "",
            f"{fmean(len(life['begins']) for life in lives):.1f}",
            change("known", steady),
            f"{fmean(len(life['begins']) for life in steady):.1f}" if steady else "",
        ))  # fmt: skip
    columns = (
        Column("starts learning", "l"), Column(f"{TARGET} %"), Column("gain", beside=True),
        Column("without noise"), Column("known noises"), Column("phases a stream"),
        Column("nothing changes: known noises"), Column("phases a stream"),
    )  # fmt: skip
    notes = (
        f"a phase records the noise of {LEARN} windows, then fc1 learns 8 stored utterances of "
        f"every class in it, {epochs} epochs of plain SGD, lr {LR:g}; every false alarm does too",
        "accuracy at the end of the stream, other speakers; that of the place with a later part "
        "of its noise than is heard and recorded; changes in points, mean [range] over streams",
        f"before: {100 * before['clean']:.1f} % without noise, {100 * before['known']:.1f} % in "
        "the known noises; published: with other data and noises, and no detector",
    )
    return Table("What learning gains", columns, tuple(rows), _footer(results, notes))


def settings_table(results: Results, tries: Mapping[Try, Mapping[str, Any]]) -> Table:
    """How the chosen settings did where they were chosen."""
    rows = []
    for watched in WATCHED:
        s = next(cell for cell in results if cell.starts == watched)
        ((tried, row),) = (
            (cell, row)
            for cell, result in tries.items()
            if (cell.watched, cell.warm_up) == (watched, s.warm_up)
            for row in result["rows"]
            if (row["slack"], row["threshold"]) == (s.slack, s.threshold)
        )
        rows.append((
            watched, f"{s.warm_up}, {s.slack:g}, {s.threshold:g}", f"{row['false_per_1000']:.2f}",
            f"{100 * row['found']:.0f}", f"{row['delay']:.0f}",
        ))  # fmt: skip
    columns = (
        Column("watched", "l"), Column("warm-up, slack, threshold"),
        Column("false alarms per 1000 watched"), Column("found %"), Column("delay, windows"),
    )  # fmt: skip
    notes = (
        f"{tried.streams} streams without a change, and as many to each of "
        f"{' and '.join(TUNED_TARGETS)}; a change that is not found counts as {AFTER} windows; of "
        f"{sum(len(r['rows']) for r in tries.values())} settings",
    )
    return Table("Settings of the detector, where they were chosen", columns, tuple(rows),
                 _footer(results, notes))  # fmt: skip


def drift_section(results: Results, tries: Mapping[Try, Mapping[str, Any]]) -> Section:
    """All tables, and the accuracy as a chart."""
    bars = [
        Whisker.of(starts, [100 * life["place"] for life in _of(results, starts, TARGET)])
        for starts in (NEVER, MOMENT, *WATCHED)
    ]
    tables = (detection_table(results), learning_table(results), settings_table(results, tries))
    chart = BarChart(f"Accuracy in the {TARGET}, by what starts learning", tuple(bars))
    return Section("Drift starts learning", (), tables, (chart,))
