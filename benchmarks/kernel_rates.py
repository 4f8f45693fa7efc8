# SPDX-License-Identifier: Apache-2.0
"""Cycles per multiply-accumulate of the kernels in C on Arm cores, for the estimates of a plan.

    python benchmarks/kernel_rates.py [--write]

Trains one step of small networks on the simulated cores, and fits the cycles of every kernel to its
MACs and results. `--write` puts the table where `acclimate.estimate` reads it. The networks are not
those that the estimates are checked with (tests/test_estimate.py).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import acclimate as ac
from acclimate.estimate import rates
from acclimate.report.simulated import step_cycles
from acclimate.targets import Target, find_target

# One device for every core. Of the memories only names and sizes matter: there are no wait states.
DEVICES = {
    "cortex-m0plus": "rp2040",
    "cortex-m3": "rp2040",
    "cortex-m4": "nrf52840",
    "cortex-m7": "stm32h743",
    "cortex-m33": "rp2350",
}
SIZES = ((8, 8), (16, 16), (32, 8))  # of images, and channels
Case = tuple[nn.Module, torch.Tensor, torch.Tensor]


def cases(size: int, wide: int) -> list[Case]:
    """Networks that together call every kernel that learns or predicts in C.

    Args:
        size: of images; series have 8 times as many samples.
        wide: channels.
    """
    torch.manual_seed(0)
    label, image = torch.tensor([1]), torch.randn(1, 3, size, size)
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 10)]
    plain = nn.Sequential(
        nn.Conv2d(3, wide, 3, padding=1), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), *end,
    )  # fmt: skip
    mobile = nn.Sequential(
        nn.Conv2d(3, wide, (5, 3), stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, groups=wide), nn.ReLU(),
        nn.Conv2d(wide, wide, 1), nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, stride=2, groups=wide), nn.ReLU(),
        nn.Conv2d(wide, wide, 1), *end,
    )  # fmt: skip
    series = nn.Sequential(
        nn.Conv1d(6, wide, 7, stride=2), nn.ReLU(), nn.Conv1d(wide, wide, 3), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(wide, 5),
    )  # fmt: skip
    dense = nn.Sequential(
        nn.Linear(8 * size, 4 * wide), nn.ReLU(), nn.Linear(4 * wide, 8), nn.ReLU(),
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip
    return [
        (plain, image, label),
        (mobile, image, label),
        (series, torch.randn(1, 6, 8 * size), label),
        (dense, torch.randn(1, 8 * size), label),
    ]


def device_of(processor: str) -> Target:
    """A device with that core."""
    target = find_target(DEVICES[processor])
    return replace(target, processor=processor)


def measure(processor: str) -> dict[str, rates.Rate]:
    """Cycles by kernel, and those of all kernels as `mean`."""
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    target = device_of(processor)
    soft = "fpu" not in target.features
    for size, wide in SIZES[: 1 if soft else None]:
        for entries in (("train",), ("accumulate", "apply")):
            for case in cases(size, wide):
                for kernel, row in _calls(case, target, entries):
                    found[kernel].append(row)
                    found["mean"].append(row)
    return {kernel: fit(rows) for kernel, rows in sorted(found.items())}


def _calls(
    case: Case, target: Target, entries: tuple[str, ...]
) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """MACs, results and cycles of every call of a step in C, by kernel."""
    model, x, y = case
    firmware = ac.compile(model, example=(x, y), target=target, entries=entries)
    device = firmware.run()
    device.run_entry(entries[0], x.numpy(), y.numpy())
    spent = {call.number: call.cycles for call in step_cycles(firmware, device, entries[0]).calls}
    for number, call in enumerate(firmware.program.entries[entries[0]].calls):
        if call.kernel is not None and call.macs and number in spent:
            results = max(view.size for view in call.writes)
            yield call.kernel.symbol, (call.macs, results, spent[number])


def fit(rows: list[tuple[float, float, float]]) -> rates.Rate:
    """Cycles per MAC and per result, none of them negative: least squares.

    Errors count by the root of the cycles: neither the largest call nor the many small ones decide.
    """
    table = np.array(rows)
    weights = np.sqrt(table[:, 2:])
    scaled, wanted = table[:, :2] / weights, weights[:, 0]
    options = []
    for used in ([0, 1], [0], [1]):
        solution = np.zeros(2)
        solution[used] = np.linalg.lstsq(scaled[:, used], wanted, rcond=None)[0]
        if (solution >= 0).all():
            options.append((float(np.sum((scaled @ solution - wanted) ** 2)), *solution))
    _, per_mac, per_result = min(options)
    return rates.Rate(round(per_mac, 2), round(per_result, 2))


def main(write: bool) -> None:
    """Prints the table, and writes it."""
    tables = {processor: measure(processor) for processor in DEVICES}
    text = rates.write_text(tables, "python benchmarks/kernel_rates.py --write")
    print(text)
    if write:
        Path(rates.PATH).write_text(text)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
