# SPDX-License-Identifier: Apache-2.0
"""Tables and charts of the TinyRCE recipe from finished cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cost import CHIP, WINDOW_BYTES, plain_macs, rce_bytes, source_macs
from measure import VARIANTS

from acclimate.data.bearing import BEARING_ATTRIBUTION
from acclimate.data.motion import BASIC_ATTRIBUTION, HAR_ATTRIBUTION
from acclimate.experiment import BarChart, Column, Footer, Section, Table, Whisker, asked, spread

COMMAND = "python recipes/tinyrce/run.py"
SEEDS = "0 for weights, order, labelled windows and random filters; bootstrap 0"
BOOTSTRAPS = 1000
DATA = {"basic": BASIC_ATTRIBUTION, "bearing": BEARING_ATTRIBUTION}
Tables = Mapping[str, Mapping[str, Any]]


def pooled(results: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Confusions [subjects,K,K+1] of every method, subjects in the same order."""
    joined: dict[str, dict[str, Any]] = {}
    for result in results:
        for method, tables in result["confusions"].items():
            joined.setdefault(method, {}).update(tables)
    return {m: np.array([t[s] for s in sorted(t, key=int)]) for m, t in joined.items()}


def rates(confusions: np.ndarray) -> tuple[float, float]:
    """Accuracy and balanced accuracy [%] of confusions [subjects,K,K+1] together."""
    total = confusions.sum(0)
    right, all_ = np.diag(total), total.sum(1)
    seen = all_ > 0
    return 100 * right.sum() / all_.sum(), 100 * float((right[seen] / all_[seen]).mean())


def interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Balanced accuracy of a minus that of b [points] and its 95 % interval over subjects."""
    rng, N = np.random.default_rng(0), len(a)
    draws = [rng.integers(0, N, N) for _ in range(BOOTSTRAPS)]
    found = [rates(a[d])[1] - rates(b[d])[1] for d in draws]
    low, high = np.percentile(found, [2.5, 97.5])
    return rates(a)[1] - rates(b)[1], float(low), float(high)


def shown(difference: tuple[float, float, float]) -> str:
    """A difference with its interval."""
    return "{:+.1f} [{:+.1f}..{:+.1f}]".format(*difference)


def accuracy_section(
    title: str, results: Sequence[Mapping[str, Any]], against: str, words: str, key: str
) -> Section:
    """Every method with its difference to one of them, paired by subject."""
    found = pooled(results)
    many = len(next(iter(found.values()))) > 1
    rows = []
    for method, confusions in found.items():
        accuracy, even = rates(confusions)
        gap = shown(interval(confusions, found[against])) if many and method != against else ""
        rows.append((method, f"{accuracy:.1f}", f"{even:.1f}", gap))
    columns = (Column("method", "l"), Column("accuracy %"), Column("balanced %"),
               Column(f"balanced, to {against} [95 %]"))  # fmt: skip
    notes = (words,)
    footer = Footer(COMMAND, DATA.get(key, HAR_ATTRIBUTION), SEEDS, notes)
    whiskers = tuple(Whisker.of(m, [rates(c)[1]]) for m, c in found.items())
    chart = BarChart(f"{title}: balanced accuracy", whiskers)
    return Section(title, (), (Table(title, columns, tuple(rows), footer),), (chart,))


def bars_section(
    kept: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Section:
    """What was asked of the accuracies, and what was found."""
    rows = []

    def row(name: str, bound: float, found: tuple[float, float, float]) -> None:
        verdict = asked(found[0], bound)
        rows.append((name, f">= {bound:+.1f}", shown(found), verdict))

    for key, bound in (("single-phone", -2.0), ("single-watch", -2.0),
                       ("left-phone", -3.5), ("left-watch", -3.5)):  # fmt: skip
        if kept.get(key):
            c = pooled(kept[key])
            gap = interval(c["RCE, near"], c["backpropagation"])
            row(f"{key}: RCE - backpropagation, balanced", bound, gap)
            plain = rates(c["RCE, near"])[0] - rates(c["backpropagation"])[0]
            text = f"{plain:+.1f}"
            what = f"{key}: RCE - backpropagation, accuracy"
            rows.append((what, f">= {bound:+.1f}", text, asked(plain, bound)))
    if kept.get("transfer"):
        c = pooled(kept["transfer"])
        wanted = {
            "no adaptation": 30.0,
            "nearest class mean, once, random order": 0.0,
            "softmax head": -5.0,
        }
        for name, bound in wanted.items():
            gap = interval(c["RCE, near"], c[name])
            row(f"phone -> watch: RCE - {name}, balanced", bound, gap)
    columns = (Column("what", "l"), Column("asked"), Column("measured"), Column("", "l"))
    footer = Footer(COMMAND, HAR_ATTRIBUTION, SEEDS, ("points; 95 % intervals over subjects",))
    return Section("What was asked", (), (Table("What was asked", columns, tuple(rows), footer),))


def sensitivity_section(results: Sequence[Mapping[str, Any]]) -> Section:
    """The laws that no source settles: means over the folds."""
    rows = []
    for name, *_ in VARIANTS:
        found = [result[name] for result in results]
        values = [float(np.mean([f[k] for f in found])) for k in
                  ("near", "unknown", "neurons", "removed")]  # fmt: skip
        rows.append((name, f"{100 * values[0]:.1f}", f"{100 * values[1]:.1f}",
                     f"{values[2]:.0f}", f"{values[3]:.0f}"))  # fmt: skip
    columns = (Column("change", "l"), Column("balanced %"), Column("unknown %"),
               Column("neurons"), Column("removed"))  # fmt: skip
    words = (
        "phone, training users of each fold: two thirds learned, the others measured; the "
        "extractor has seen both; mean of the folds; four epochs; cap 300 unless it is named"
    )
    footer = Footer(COMMAND, HAR_ATTRIBUTION, SEEDS, (words,))
    title = "Sensitivity to the laws of TinyRCE"
    return Section(title, (), (Table(title, columns, tuple(rows), footer),))


def cost_section(costs: Mapping[str, Any], kept: Mapping[str, Any]) -> Section:
    """Learning against full backpropagation with as many samples and epochs."""
    rows = []
    step, forward = costs["train_macs"], costs["predict_macs"]
    compiled, plain = costs["step_bytes"], sum(costs["plain_bytes"].values())
    for key, results in kept.items():
        if not results or "distances" not in results[0]:
            continue
        r = {k: float(np.mean([x[k] for x in results])) for k in
             ("distances", "n", "F", "epochs", "neurons", "neurons_once")}  # fmt: skip
        if key.startswith(("bearing", "basic")):
            continue  # other networks
        head, products = (f(r["distances"], r["n"]) for f in (source_macs, plain_macs))
        back = step * r["F"] * r["epochs"]
        n, stored = round(r["n"]), round(r["F"])
        ram = [rce_bytes(costs, round(r["neurons"]), n, stored),
               rce_bytes(costs, round(r["neurons_once"]), n, 0)]  # fmt: skip
        rows.append((
            key, f"{r['F']:.0f}", f"{r['neurons']:.0f}; {r['neurons_once']:.0f}",
            f"{head / 1e6:.2f}", f"{products / 1e6:.2f}", f"{back / 1e6:.0f}",
            f"{back / head:.0f}", f"{back / (head + forward * r['F']):.1f}",
            "; ".join(f"{bytes_:,}" for bytes_ in ram),
            "; ".join(f"{compiled / bytes_:.1f}" for bytes_ in ram),
            "; ".join(f"{plain / bytes_:.1f}" for bytes_ in ram),
        ))  # fmt: skip
    columns = (
        Column("case", "l"), Column("vectors F"), Column("neurons"), Column("head MMAC (5n+10)"),
        Column("products M"), Column("backprop MMAC"), Column("less, head alone"),
        Column("less, with extractor"), Column("RAM B"), Column("less than compiled step"),
        Column("less than plain step"),
    )  # fmt: skip
    cycles, parts = costs["cycles"], costs["plain_bytes"]
    notes = (
        f"one step of backpropagation {step / 1e6:.2f} MMAC, one prediction {forward / 1e6:.2f}, "
        "as compiled; four epochs of both; features are made once and stored",
        "neurons and RAM: four epochs over stored features; each sample learned at once, one "
        "presentation, nothing stored",
        f"RAM of RCE: struct and table (pointers of 32 bits), the extractor's "
        f"{costs['extractor_bytes']:,} B, whose weights are in flash, and stored features; a raw "
        f"window of {WINDOW_BYTES:,} B, which backpropagation learns from in every epoch, is "
        "counted nowhere",
        f"compiled step: {compiled:,} B on {CHIP}, arena and weights; it needs few gradients at "
        "once, since a weight changes as soon as its gradient is there",
        f"plain step: {plain:,} B, counted from the network: weights {parts['weights']:,}, a "
        f"gradient of each {parts['gradients']:,}, every activation {parts['activations']:,} (ReLU "
        f"in place), gradients of output and input of the largest layer {parts['pair']:,}",
        f"one sample, 64 neurons, 24 features, one core of gap9, data in L2: learn "
        f"{cycles['learn']} cycles, classify {cycles['classify']} (simulated)",
        "published: 342x = 8.0 G / 23.4 M for the head alone, where 23.4 M fits h = 300, n = 24, "
        "F E = 600; at 3.3 M a step 8.0 G are about 2 400 steps, four times as many presentations",
        "published: 24x = 954.57 / 40.2 KiB, where backpropagation keeps more than either here",
    )
    footer = Footer(COMMAND, HAR_ATTRIBUTION, SEEDS, notes)
    title = "Cost of learning"
    return Section(title, (), (Table(title, columns, tuple(rows), footer),))


def elm_section(results: Sequence[Mapping[str, Any]]) -> Section:
    """Random extractors: how much the draw of their filters does."""
    rows = []
    for place in dict.fromkeys(result["place"] for result in results):
        found = pooled([result for result in results if result["place"] == place])
        draws = [rates(confusions)[1] for confusions in found.values()]
        rows.append((f"{place}, subjects left out", f"{draws[0]:.1f}", spread(draws)))
    columns = (Column("case", "l"), Column("draw 0"), Column("mean [lowest..highest]"))
    words = "balanced accuracy %; ELM-64 + RCE near; R_max as the other tables have it"
    seeds = f"0 .. {len(draws) - 1} for random filters, 0 for everything else"
    footer = Footer(f"{COMMAND} --only elm", HAR_ATTRIBUTION, seeds, (words,))
    title = f"Random extractors: {len(draws)} draws of the filters"
    return Section(title, (), (Table(title, columns, tuple(rows), footer),))
