# SPDX-License-Identifier: Apache-2.0
"""A whole adaptation on a device: cycles of every part, time, energy, memory.

    python benchmarks/adaptation.py [--target gap9] [--float] [--words 100] [--epochs 10]

DS-CNN-S with an int8 backbone, fc1 learns. Every part is the exported firmware's own C on the
simulated cluster, measured in a short session with one word; times counts, that is the whole one.
Features, network, reading and mixing run on all cores, the rest on one. Energy is an estimate:
cycles by the power of the published step, for work on one core too, since no source says what that
takes. Words and model lie in RAM: `--erase-ms` says how long a sector of flash takes (45 ms, usual
for NOR flash), which counts as time, not as energy; what words cost that come from l3 is printed
beside. Published: Cioflan, slide deck, GAP9 at 240 MHz.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import acclimate as ac
from acclimate.cache import write_atomic
from acclimate.data import Mfcc
from acclimate.device.adapt.plan import Did
from acclimate.device.utterances.meaning import Format, encoded_bytes
from acclimate.firmware import Firmware
from acclimate.learn.costs import measure_costs
from acclimate.learn.session import CLASSIFIED, FirmwareDevice
from acclimate.learn.timeline import Costs
from acclimate.models.pretrained import load_dscnn_s_kws

PUBLISHED_S, PUBLISHED_MJ = 14.0, 806.0
_NAMES = {
    Did.HEARD: "record a frame of noise", Did.JUDGED: "judge the recording",
    Did.READ: "read and decode (ADPCM)", Did.MIXED: "mix", Did.FEATURED: "features (MFCC)",
    Did.TRAINED: "forward and training step", Did.SCORED: "predict and score",
    Did.DECIDED: "decide", Did.ERASED: "erase a sector", Did.WROTE: "write a piece",
    Did.COMMITTED: "check and commit", CLASSIFIED: "classify a window meanwhile",
}  # fmt: skip


def firmware_for(target: str, floats: bool) -> Firmware:
    """The pretrained keyword spotter with features; its int8 scales come from noise."""
    model, info = load_dscnn_s_kws()
    model.eval().requires_grad_(False)
    model.get_submodule("fc1").requires_grad_(True)
    torch.manual_seed(0)
    example = (torch.zeros(1, 1, 49, 10), torch.zeros(1, dtype=torch.long))
    return ac.compile(
        model, example=example, target=target, name="kws", features=Mfcc.of(info.front_end),
        entries=("predict", "train"),
        quantize=None if floats else ac.Int8(calibration=torch.randn(64, 1, 49, 10)),
    )  # fmt: skip


def counts_of(words: int, epochs: int, held_out: int, frames: int) -> dict[int, int]:
    """Turns of a whole session: every word once per epoch, a quarter of them clean."""
    steps, scored = epochs * words, 2 * held_out
    clean = epochs * round(words / 4)
    return {
        Did.HEARD: frames, Did.JUDGED: 1, Did.READ: steps + 2 * scored,
        Did.MIXED: steps - clean + 2 * held_out, Did.FEATURED: steps + 2 * scored,
        Did.TRAINED: steps, Did.SCORED: 2 * scored, Did.DECIDED: 1, Did.ERASED: 2, Did.WROTE: 14,
        Did.COMMITTED: 2,
    }  # fmt: skip


def measure(firmware: Firmware, erase_ms: float) -> Costs:
    """Cycles of every part, from two words that are noise: no part depends on what is said."""
    rng = np.random.default_rng(0)
    samples = firmware.program.buffers["pcm"].size
    words = [(k, (2000 * rng.standard_normal(samples)).astype(np.int16)) for k in (3, 4)]
    noise = (300 * rng.standard_normal(3 * samples)).astype(np.int16)
    return measure_costs(firmware, words, noise, erase_ms=erase_ms, progress=print)


def memory_of(firmware: Firmware) -> dict[str, int]:
    """Peak RAM by part, and flash [B]."""
    parts = FirmwareDevice(firmware, "host").bytes_by_part()
    plan = firmware.plan
    weights = sum(plan.static_bytes.values())
    return {"arena": plan.arena_bytes, "weights and tables": weights, **parts}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="gap9")
    parser.add_argument("--float", action="store_true", help="the network in floats")
    parser.add_argument("--words", type=int, default=100, help="that are learned")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--held-out", type=int, default=25)
    parser.add_argument("--erase-ms", type=float, default=45.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    firmware = firmware_for(given.target, given.float)
    costs = measure(firmware, given.erase_ms)
    counts = counts_of(given.words, given.epochs, given.held_out, 200)
    rows = []
    print(f"\n{'part':30}{'times':>7}{'cycles':>12}{'ms each':>9}{'ms':>10}{'mJ (estimate)':>15}")
    for did, name in _NAMES.items():
        cycles, times = costs.cycles.get(did, 0), counts.get(did, 0)
        each = 1000 * costs.of(did) / costs.clock_hz
        mj = costs.energy_nj(cycles) * times / 1e6
        rows.append({"part": name, "times": times, "cycles": cycles, "ms": each * times, "mj": mj})
        print(f"{name:30}{times:>7,}{cycles:>12,}{each:>9.2f}{each * times:>10.1f}{mj:>15.2f}")
    ms, mj = (sum(float(row[key]) for row in rows) for key in ("ms", "mj"))  # type: ignore[arg-type]
    print(f"{'whole adaptation':30}{'':>7}{'':>12}{'':>9}{ms:>10.1f}{mj:>15.2f}")
    l3 = firmware.target.l3
    if l3 is not None:
        word = encoded_bytes(Format.ADPCM, firmware.program.buffers["pcm"].size)
        cycles = round(counts[Did.READ] * (l3.setup_cycles + word / l3.bytes_per_cycle))
        print(f"words from l3: {1000 * cycles / costs.clock_hz:.1f} ms more (estimate)")
    print(f"published {PUBLISHED_S * 1000:,.0f} ms and {PUBLISHED_MJ:,.0f} mJ, another machine")
    memory = memory_of(firmware)
    print("\nRAM [B]")
    for name, size in memory.items():
        print(f"  {name:28}{size:>10,}")
    print(f"  {'all':28}{sum(memory.values()):>10,}")
    if given.json:
        table = {"target": given.target, "parts": rows, "ms": ms, "mj": mj, "ram_bytes": memory}
        write_atomic(given.json, (json.dumps(table, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
