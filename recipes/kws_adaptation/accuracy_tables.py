# SPDX-License-Identifier: Apache-2.0
"""Cells of accuracy -> tables: gains beside what was asked, forgetting, what adaptation does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean

from accuracy import Before, Choice, Result, Run, Tried, chosen_rate, share
from gains import Gains, by_class, groups, keywords_gain, mean_class, unknown_gain
from settings import (
    DECK_GAINS,
    EVERYTHING,
    HUNDRED,
    LEARNS,
    SERIES,
    TITLES,
    TUNED_CLEAN_LOSS,
    TUNED_PLACE,
    TUNED_SNR_DB,
)

from acclimate.data.clips import CLASSES
from acclimate.experiment import (
    BarChart,
    Beside,
    Column,
    Footer,
    Line,
    LineChart,
    Section,
    Table,
    Whisker,
    asked,
    points,
    spread,
)
from acclimate.learn import CLEAN

LEARNS_COLUMN = Column("what learns", "l")
STORED_COLUMN = Column("utterances", "l")


class Tables:
    """Tables of one size of the network.

    Args:
        choice: what was to be measured.
        data: in one line.
        befores: networks before adaptation.
        tried: rates on the validation speakers.
        runs: adaptations, with their results.
        command: how it was called.
    """

    def __init__(
        self, choice: Choice, data: str, befores: dict[Before, Result],
        tried: dict[tuple[str, int | None], list[Tried]], runs: dict[Run, Result], command: str,
    ) -> None:  # fmt: skip
        self.choice, self._data, self._befores, self.tried = choice, data, befores, tried
        self._runs, self._command = runs, command
        self.diverged = sum("diverged" in result for result in runs.values())

    def gains(self, learns: str, per_class: int | None, place: str = TUNED_PLACE,
              snr_db: float = TUNED_SNR_DB, **other: object) -> Gains:  # fmt: skip
        """The runs of these settings; `other` are fields that are not the usual ones."""
        usual = {"clean_share": 0.0, "noise": "place", **other}
        wanted = {
            "learns": learns, "per_class": per_class, "place": place, "snr_db": snr_db, **usual,
        }  # fmt: skip
        found = [
            (run, result)
            for run, result in self._runs.items()
            if all(getattr(run, name) == value for name, value in wanted.items())
            and "diverged" not in result
        ]
        return Gains(tuple(found), self._befores)

    def before(self, name: str, snr_db: float) -> list[float]:
        """Accuracy of every network before adaptation, in a condition."""
        return [
            share(found["counts"][name])
            for cell, found in self._befores.items()
            if cell.judged == "test" and cell.snr_db == snr_db and name in found["counts"]
        ]

    def footer(self, *notes: str) -> Footer:
        """Under every table."""
        c = self.choice
        seeds = f"networks {_numbers(c.seeds)}, draws {_numbers(c.draws)}"
        return Footer(self._command, self._data, seeds, notes)

    def stored(self, per_class: int | None) -> str:
        """How many utterances that is."""
        return "all" if per_class is EVERYTHING else f"{12 * per_class}"

    def places(self) -> Iterable[Table]:
        """One table per target: gains by what learns and how much is stored."""
        for place in self.choice.places:
            rows: list[tuple[str | Beside, ...]] = [
                (
                    "before adaptation", "",
                    *(Beside(_percent(self.before(place, snr))) for snr in self.choice.snrs_db),
                    _percent(self.before(CLEAN, self.choice.snrs_db[0])), "", "",
                )
            ]  # fmt: skip
            for per_class in self.choice.stored:
                rows += [self._row(place, learns, per_class) for learns in self.choice.learns]
            yield Table(
                f"Adapting to the {place}: change of accuracy [points], mean [worst..best run]",
                (
                    LEARNS_COLUMN, STORED_COLUMN,
                    *(Column(f"{snr:g} dB", beside=snr == 0) for snr in self.choice.snrs_db),
                    Column("clean"), Column("other noises"), Column("runs"),
                ),
                tuple(rows),
                self.footer(
                    f"clean, other noises, runs: of {self.choice.snrs_db[0]:g} dB. Each network is"
                    " compared with itself. Draws of all utterances differ in mixtures only.",
                    "published: other data (DEMAND, all of GSC v2), speech as noise, SNR unknown.",
                ),
            )  # fmt: skip

    def _row(self, place: str, learns: str, per_class: int | None) -> tuple[str | Beside, ...]:
        by_snr = [self.gains(learns, per_class, place, snr) for snr in self.choice.snrs_db]
        first = by_snr[0]
        deck = DECK_GAINS.get((learns, per_class), "") if place != "city" else ""
        return (
            TITLES[learns],
            self.stored(per_class),
            *(
                Beside(points(g.place()) if g else "", deck if snr == 0 else "")
                for g, snr in zip(by_snr, self.choice.snrs_db, strict=True)
            ),
            points(first.change(CLEAN)) if first else "",
            points(first.others()) if first else "",
            str(len(first.runs)),
        )

    def bars(self) -> Table | None:
        """What is asked, and whether it is reached."""
        rows: list[tuple[str, ...]] = []

        def add(what: str, values: list[float], bound: float, mean: bool = True) -> None:
            found = 100 * (fmean(values) if mean else min(values))
            rows.append(
                (what, f"{bound:+g}", f"{found:+.1f}", str(len(values)), asked(found, bound))
            )

        few, whole = self.gains("fc1", HUNDRED), self.gains("all", EVERYTHING)
        clean_half = {"clean_share": 0.5}
        if few:
            add("fc1, 96 utterances: gain, mean", few.place(), 5)
            add("fc1, 96 utterances: gain, worst run", few.place(), 3, mean=False)
            add("fc1, 96 utterances: clean", few.change(CLEAN), -4)
            add("fc1, 96 utterances: other noises", few.others(), -5)
        if whole:
            add("everything, all utterances: gain, mean", whole.place(), 10)
            add("everything, all utterances: clean", whole.change(CLEAN), -4)
            add("everything, all utterances: other noises", whole.others(), -5)
        for learns, per_class in (("fc1", HUNDRED), ("all", EVERYTHING)):
            name = f"{TITLES[learns]}, {self.stored(per_class)} utterances"
            if half := self.gains(learns, per_class, **clean_half):
                add(f"{name}, half of them clean: clean", half.change(CLEAN), -2)
            if control := self.gains(learns, per_class, noise="pool"):
                found = 100 * fmean(control.place())
                verdict = asked(abs(found), 2, at_least=False)
                count = str(len(control.runs))
                rows.append(
                    (f"{name}, control: known noise", "±2", f"{found:+.1f}", count, verdict)
                )
        if not rows:
            return None
        return Table(
            f"What is asked in the {TUNED_PLACE} at 0 dB [points]",
            (Column("what", "l"), Column("asked"), Column("measured"), Column("runs"),
             Column("verdict", "l")),
            tuple(rows),
            self.footer("asked: at least; of the control: within. Means unless it says otherwise."),
        )  # fmt: skip

    def controls(self) -> Table:
        """Known noise in the place of the new one; half of the utterances clean."""
        rows = []
        for learns, per_class in (("fc1", HUNDRED), ("all", EVERYTHING)):
            for name, other in (
                ("the noise of the place", {}),
                ("half of them clean", {"clean_share": 0.5}),
                ("control: noises that the network knows", {"noise": "pool"}),
            ):
                if g := self.gains(learns, per_class, **other):
                    worst, loss = g.worst_other()
                    rows.append((
                        TITLES[learns], self.stored(per_class), name, points(g.place()),
                        points(g.change(CLEAN)), points(g.others()), f"{worst} {100 * loss:+.1f}",
                        str(len(g.runs)),
                    ))  # fmt: skip
        return Table(
            f"Controls in the {TUNED_PLACE} at 0 dB: change of accuracy [points]",
            (LEARNS_COLUMN, STORED_COLUMN, Column("learned from", "l"), Column("in the place"),
             Column("clean"), Column("other noises"), Column("worst of them", "l"), Column("runs")),
            tuple(rows),
            self.footer("The same utterances, rates and numbers of steps in all rows of a kind."),
        )  # fmt: skip

    def series(self) -> tuple[Table, LineChart | None]:
        """From few stored utterances to many: fc1 learns."""
        found = [(n, self.gains("fc1", n)) for n in SERIES]
        known = [(n, g) for n, g in found if g]
        changes: dict[str, Callable[[Gains], list[float]]] = {
            "in the place": Gains.place,
            "clean": lambda g: g.change(CLEAN),
            "other noises": Gains.others,
        }
        table = Table(
            f"How many utterances: fc1 learns in the {TUNED_PLACE} at 0 dB [points]",
            (STORED_COLUMN, *(Column(name) for name in changes), Column("runs")),
            tuple(
                (self.stored(n), *(points(pick(g)) for pick in changes.values()), str(len(g.runs)))
                for n, g in known
            ),
            self.footer("With the rate that was chosen for 96."),
        )
        lines = tuple(
            Line(name, tuple((12.0 * n, tuple(100 * v for v in pick(g))) for n, g in known))
            for name, pick in changes.items()
        )
        title = f"Change of accuracy by stored utterances, {TUNED_PLACE}"
        chart = LineChart(title, "stored utterances", lines, logarithmic=True) if known else None
        return table, chart

    def rates(self) -> Table:
        """Learning rates that were tried and chosen."""
        rows = []
        for (learns, per_class), tried in self.tried.items():
            chosen = chosen_rate(tried)
            shown = [
                f"{t.lr:g}: {100 * t.place:.1f} %{'' if t.allowed else ' (forgets)'}" for t in tried
            ]
            edge = " (end of the list)" if chosen in (tried[0].lr, tried[-1].lr) else ""
            rows.append(
                (TITLES[learns], self.stored(per_class), f"{chosen:g}{edge}", ", ".join(shown))
            )
        return Table(
            "Learning rates, chosen on the validation speakers",
            (LEARNS_COLUMN, STORED_COLUMN, Column("chosen"), Column("rate: accuracy", "l")),
            tuple(rows),
            self.footer(
                f"Judged in the {TUNED_PLACE} at {TUNED_SNR_DB:g} dB with fold 2, in the last part"
                " of the noise that a device may record, after learning from the part before; draw"
                " 0, mean of the networks.",
                "Chosen: best accuracy there of those that lose at most"
                f" {100 * TUNED_CLEAN_LOSS:g} points without noise. One rate for all places and"
                " ratios. Plain SGD; the rate falls to zero in a straight line.",
            ),
        )

    def classes(self) -> Table:
        """Accuracy of every class before and after."""
        kinds = [("fc1", HUNDRED), ("all", EVERYTHING)]
        found = [(kind, g) for kind in kinds if (g := self.gains(*kind))]
        heads, columns = [LEARNS_COLUMN, STORED_COLUMN], list[list[str]]()
        if found:
            start, _ = found[0][1].counts("place")
            columns.append(["before", "", *by_class(start), f"{100 * mean_class(start):.1f}"])
        for (learns, per_class), g in found:
            _, after = g.counts("place")
            head = [TITLES[learns], self.stored(per_class)]
            columns.append([*head, *by_class(after), f"{100 * mean_class(after):.1f}"])
        heads += [*(Column(name) for name in CLASSES), Column("mean of classes")]
        return Table(
            f"Accuracy of every class in the {TUNED_PLACE} at 0 dB [%]",
            tuple(heads),
            tuple(map(tuple, columns)),
            self.footer("Silence is the noise alone."),
        )

    def confusions(self) -> Table:
        """What keywords and other words are taken for."""
        rows, before = list[tuple[str, ...]](), False
        kinds = [("bias", HUNDRED), ("fc1", HUNDRED), ("last", EVERYTHING), ("all", EVERYTHING)]
        for learns, per_class in kinds:
            if g := self.gains(learns, per_class):
                start, after = g.counts("place")
                rows += [] if before else [("before", "", *groups(start))]
                rows.append((TITLES[learns], self.stored(per_class), *groups(after)))
                before = True
        heads = (
            "keyword: right", "another keyword", "unknown", "silence", "unknown: right",
            "a keyword", "silence", "silence: right", "named unknown",
        )  # fmt: skip
        return Table(
            f"What words are taken for in the {TUNED_PLACE} at 0 dB [%]",
            (LEARNS_COLUMN, STORED_COLUMN, *map(Column, heads)),
            tuple(rows),
            self.footer("named unknown: share of all words; 11 % of them are."),
        )

    def meaning(self) -> tuple[str, ...]:
        """What adaptation really does, in words with the numbers of the tables."""
        few, bias = self.gains("fc1", HUNDRED), self.gains("bias", HUNDRED)
        if not few or not bias:
            return ()
        gain, of_bias = fmean(few.place()), fmean(bias.place())
        start, after = few.counts("place")
        was, now = groups(start), groups(after)
        words = (
            f"Twelve biases alone gain {100 * of_bias:+.1f} of the {100 * gain:+.1f} points of fc1"
            f" with {self.stored(HUNDRED)} utterances ({of_bias / gain:.0%}): most of what fc1"
            " learns is how often each class is said in this noise, not another way to hear.",
            f"In the noise {was[2]} % of the keywords were named unknown before, and"
            f" {now[2]} % after; {was[4]} % of the unknown words were right before,"
            f" and {now[4]} % after. The mean over the classes changes by"
            f" {100 * (mean_class(after) - mean_class(start)):+.1f} points.",
        )
        whole = self.gains("all", EVERYTHING)
        if not whole:
            return words
        start, after = whole.counts("place")
        return (
            *words,
            "Where everything learns from all utterances, keywords gain"
            f" {keywords_gain(after, start):+.1f} points, and unknown words"
            f" {unknown_gain(after, start):+.1f}; the mean over the classes"
            f" changes by {100 * (mean_class(after) - mean_class(start)):+.1f} points.",
        )

    def chart(self) -> BarChart | None:
        """Gains in the place where rates were chosen."""
        kinds = [(n, k) for k in self.choice.stored for n in self.choice.learns]
        bars = [
            Whisker.of(f"{TITLES[n]}, {self.stored(k)}", [100 * v for v in g.place()])
            for n, k in kinds
            if (g := self.gains(n, k))
        ]
        title = f"Gain in the {TUNED_PLACE} at 0 dB"
        return BarChart(title, tuple(bars), "points", "{:+.1f}") if bars else None


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _percent(shares: list[float]) -> str:
    return spread([100 * value for value in shares])


def accuracy_sections(tables: Tables) -> list[Section]:
    """Everything about accuracy of one size of the network."""
    size = f"DS-CNN-{tables.choice.size}"
    bars, (series, lines), chart = tables.bars(), tables.series(), tables.chart()
    words = (f"{tables.diverged} runs diverged and are left out.",) if tables.diverged else ()
    known = [name for name in tables.choice.learns if name in LEARNS]
    return [
        Section(
            f"{size}: what adaptation gains", words, (*((bars,) if bars else ()), *tables.places()),
            bars=(chart,) if chart else (),
        ),
        Section(f"{size}: controls and forgetting", (), (tables.controls(),)),
        *([Section(f"{size}: utterances", (), (series,), lines=(lines,))] if lines else []),
        Section(f"{size}: what adaptation does", tables.meaning(),
                (tables.classes(), tables.confusions())),
        *([Section(f"{size}: learning rates", (), (tables.rates(),))] if known else []),
    ]  # fmt: skip
