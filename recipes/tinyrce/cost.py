# SPDX-License-Identifier: Apache-2.0
"""What learning costs: counted by the head that ran, by the compiled step, and on the cluster."""

from __future__ import annotations

from typing import Any

import torch

import acclimate as ac
from acclimate.device import find_modules, module_files
from acclimate.models.har_cnn import HarCNN
from acclimate.simulate.open import open_device

NEURONS, FEATURES = 64, 24
BENCH = f"""/* SPDX-License-Identifier: Apache-2.0 */
#include "device/rce/rce.h"

static float centres[{NEURONS} * {FEATURES}];
static ac_rce_neuron neurons[{NEURONS}];
static ac_rce rce;
static float x[{FEATURES}];

int bench_fill(void);
int bench_learn(void);
int bench_classify(void);

int bench_fill(void) {{
    ac_rce_settings settings;
    ac_rce_defaults(&settings);
    ac_rce_start(&rce, &settings, {FEATURES}, centres, neurons, {NEURONS});
    for (int j = 0; j < {NEURONS}; j++) {{
        x[0] = 100.0f * (float)j;
        ac_rce_learn(&rce, x, j % 5);
    }}
    return (int)rce.count;
}}

int bench_learn(void) {{
    return ac_rce_learn(&rce, x, {(NEURONS - 1) % 5});
}}

int bench_classify(void) {{
    ac_rce_result result;
    return ac_rce_classify(&rce, x, &result);
}}
"""


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
    firmware = step_firmware().in_c()
    files = {
        **firmware._runnable(),
        **module_files(find_modules(["rce"])),
        "bench.c": BENCH.encode(),
    }
    device: Any = open_device("cluster", firmware.program, files, firmware.target, 0.0, {})
    device._call(device.image.symbol("bench_fill"), (), False)
    found = {}
    for name in ("learn", "classify"):
        device._call(device.image.symbol(f"bench_{name}"), (), False)
        found[name] = int(device.cycles)
    return found


def rce_bytes(neurons: int, features: int, vectors: int) -> tuple[int, int]:
    """Bytes of the head on a processor with 32 bits, and of the stored feature vectors."""
    return 72 + neurons * (4 * features + 12), vectors * (4 * features + 2)


def source_macs(distances: float, features: float) -> float:
    """MACs as the source counts them: 5 n + 10 for each distance."""
    return float(distances * (5 * features + 10))


def plain_macs(distances: float, features: float) -> float:
    """Products that the C makes: n for each distance."""
    return float(distances * features)
