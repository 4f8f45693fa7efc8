# SPDX-License-Identifier: Apache-2.0
"""Cycles of training steps as `acclimate plan` estimates them, beside those of the simulators.

    python benchmarks/estimates.py [NAME@TARGET[:MEMORY=SIZE] ...]

Without arguments: the rows of docs/planning.md. A cluster is simulated cycle by cycle; an Arm core
counts instructions and takes its cycles from tables.
"""

from __future__ import annotations

import sys

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.report.bench import example_of
from acclimate.report.measure import step_cycles_both

ROWS = (
    "dscnn_s@gap9", "dscnn_xs@gap9", "dscnn_xs@gap9:l1=16kB", "ae_tiny@gap9", "har_cnn@gap9",
    "tcn@gap9", "dscnn_xs@vega:l1=32kB", "dscnn_xs@pulp-cluster", "dscnn_xs@pulp-cluster:l1=16kB",
    "dscnn_xs@stm32l476", "dscnn_xs@stm32h743", "dscnn_xs@rp2040", "dscnn_xs@rp2350",
    "tcn@stm32l476", "ae_tiny@stm32l476", "har_cnn@stm32l476",
)  # fmt: skip


def row(text: str) -> str:
    """One line: estimate, simulation, and the first by the second."""
    name, _, place = text.partition("@")
    target, _, limits = place.partition(":")
    budget = dict(part.split("=") for part in limits.split(",")) if limits else None
    case = REGISTRY[name]
    model, x, y = example_of(case)
    firmware = ac.compile(
        model, example=(x, y), loss=case.loss, target=target, budget=budget,
        entries=("train",),
    )  # fmt: skip
    guess, counted = step_cycles_both(firmware, (x, y))
    where = f"{target} {limits}".strip()
    return f"| {name} | {where} | {guess:,} | {counted:,} | {guess / counted:.2f} |"


def main(rows: list[str]) -> None:
    """Prints a table."""
    print("| network | target | estimate | simulated | ratio |")
    print("|---|---|---:|---:|---:|")
    for text in rows or ROWS:
        print(row(text), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
