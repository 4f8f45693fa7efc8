# SPDX-License-Identifier: Apache-2.0
"""The demo's results as one HTML page: style and drawings inside, nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import fmean

import jinja2

from acclimate.demo.results import (
    STEPS_BEFORE_THE_CUT,
    DemoResult,
    FirmwareResult,
    PolicyResult,
)


@dataclass(frozen=True)
class Bar:
    """One bar of the accuracy chart: mean and spread over seeds, in percent."""

    label: str
    mean: float
    low: float
    high: float
    kind: str


@dataclass(frozen=True)
class Group:
    """Bars of one condition."""

    title: str
    bars: tuple[Bar, ...]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("acclimate.demo"), jinja2.PackageLoader("acclimate.report")]
        ),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("demo.html.jinja")


def demo_html(result: DemoResult) -> str:
    """The page."""
    return _template().render(
        result=result,
        groups=_groups(result),
        noises=_noises(result),
        timeline=_timeline(result.firmware),
        cut=STEPS_BEFORE_THE_CUT,
    )


def _timeline(found: FirmwareResult) -> list[Bar]:
    """Phases of a session: from where to where [% of it], and how long [s]."""
    whole = max(found.seconds, 1e-9)
    kinds = {"LEARNING": "update", "SAVING": "state", "KEEPING": "state"}
    return [
        Bar(
            phase.lower().replace("_", " "),
            end - begin,
            100 * begin / whole,
            100 * end / whole,
            kinds.get(phase, "forward"),
        )
        for (phase, begin), (_, end) in pairwise(found.phases)
    ]


def _bar(label: str, values: Sequence[float], kind: str) -> Bar:
    percent = [100 * value for value in values]
    return Bar(label, fmean(percent), min(percent), max(percent), kind)


def _groups(result: DemoResult) -> list[Group]:
    """In the place, clean, other noises: before and after every policy."""
    kinds = ("kept", "update", "state")
    groups = []
    for title, pick in (
        (f"In the {result.place}, {result.snr_db:g} dB", "place"),
        ("Without noise", "clean"),
        ("In the other noises (forgetting)", "elsewhere"),
    ):
        bars = [_bar("before", [getattr(result.before, pick)], "forward")]
        for policy, kind in zip(result.policies, kinds, strict=False):
            bars.append(_bar(policy.name, [getattr(a, pick) for a in policy.after], kind))
        groups.append(Group(title, tuple(bars)))
    return groups


def _noises(result: DemoResult) -> list[tuple[str, float, list[float]]]:
    """Rows of the table of noises: name, before, change per policy in points."""

    def change(policy: PolicyResult, noise: str) -> float:
        return 100 * (fmean(a.others[noise] for a in policy.after) - result.before.others[noise])

    return [
        (noise, 100 * value, [change(policy, noise) for policy in result.policies])
        for noise, value in sorted(result.before.others.items())
    ]
