# SPDX-License-Identifier: Apache-2.0
"""What learning costs: counted by the head that ran, by the compiled step, and on the cluster."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
import torch

import acclimate as ac
from acclimate.models.har_cnn import HarCNN

NEURONS, FEATURES, CLASSES = 64, 24, 5
STATE_BYTES = 72  # of ac_rce with 32 bits, as docs/device.md has it from the compiler
NEURON_BYTES = 12  # besides its centre


def step_firmware() -> ac.Firmware:
    """The whole training step of the network with batch 1."""
    torch.manual_seed(0)
    example = (torch.randn(1, 6, 100), torch.tensor([0]))
    return ac.compile(HarCNN(), example=example, name="har", target="gap9",
                      entries=("predict", "train"))  # fmt: skip


def compiled_costs() -> dict[str, Any]:
    """MACs of prediction and training step as compiled, and bytes of RAM of the step."""
    firmware = step_firmware()
    entries = {entry.name: entry for entry in firmware.report().entries}
    macs = {name: sum(call.macs for call in entry.calls) for name, entry in entries.items()}
    return {
        "predict_macs": int(macs["predict"]), "train_macs": int(macs["train"]),
        "predict_bytes": int(entries["predict"].arena_bytes),
        "train_bytes": int(entries["train"].arena_bytes),
        "weight_bytes": 4 * sum(p.numel() for p in HarCNN().parameters()),
    }  # fmt: skip


def head_cycles() -> dict[str, int]:
    """Cycles of one sample on one core of the simulated cluster, all data in L2."""
    device: Any = step_firmware().run("cluster", modules=("rce",))
    sizes = {
        "settings": 64, "state": 128, "result": 64, "x": 4 * FEATURES,
        "centres": 4 * NEURONS * FEATURES, "neurons": NEURON_BYTES * NEURONS,
    }  # fmt: skip
    base, memory = device.reserve(sum(sizes.values()))
    at = dict(zip(sizes, accumulate(sizes.values(), initial=base), strict=False))
    first = at["x"] - base
    x = memory[first : first + sizes["x"]].view(np.float32)
    device.call("ac_rce_defaults", at["settings"])
    tables = at["centres"], at["neurons"]
    device.call("ac_rce_start", at["state"], at["settings"], FEATURES, *tables, NEURONS)
    for number in range(NEURONS):
        x[0] = 100.0 * number
        device.call("ac_rce_learn", at["state"], at["x"], number % CLASSES)
    found = {}
    label = (NEURONS - 1) % CLASSES
    for name, last in (("learn", label), ("classify", at["result"])):
        device.call(f"ac_rce_{name}", at["state"], at["x"], last)
        found[name] = int(device.cycles)
    return found


def rce_bytes(neurons: int, features: int, vectors: int) -> tuple[int, int]:
    """Bytes of the head on a processor with 32 bits, and of the stored feature vectors."""
    return STATE_BYTES + neurons * (4 * features + NEURON_BYTES), vectors * (4 * features + 2)


def source_macs(distances: float, features: float) -> float:
    """MACs as the source counts them: 5 n + 10 for each distance."""
    return float(distances * (5 * features + 10))


def plain_macs(distances: float, features: float) -> float:
    """Products that the C makes: n for each distance."""
    return float(distances * features)
