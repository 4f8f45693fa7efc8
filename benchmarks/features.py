# SPDX-License-Identifier: Apache-2.0
"""MFCC of one second of sound in generated C: cycles, memory, and the difference from Python.

    python benchmarks/features.py [gap9 gap9:1 pulp-cluster stm32f407 ...]

16 kHz, 16-bit samples, 49 frames of 640 samples, 40 mel bands, 10 coefficients. `gap9:1` is one of
its cores. Cycles of clusters are exact, those of Cortex-M estimates without waiting for memory.
"""

from __future__ import annotations

import sys

import numpy as np

from acclimate.data import Mfcc, MfccSpec, mfcc
from acclimate.program import Role

_TARGETS = ("gap9", "gap9:1", "pulp-cluster", "stm32f407", "stm32h743", "rp2040")


def main(names: list[str]) -> None:
    """Prints one line per target."""
    spec = MfccSpec()
    noise = 3000 * np.random.default_rng(0).standard_normal((1, spec.clip_samples))
    samples = noise.astype(np.int16)
    wanted = mfcc(samples.astype(np.float32) / 32768, spec)[:, None]
    print(f"{'target':<14}{'cores':>6}{'cycles':>12}{'ms':>8}{'uJ':>8}", end="")
    print(f"{'tables [B]':>12}{'arena [B]':>11}{'largest difference':>20}")
    for name in names:
        target, _, cores = name.partition(":")
        firmware = Mfcc(spec).compile(target=target, cores=int(cores) if cores else None)
        device = firmware.run()
        off = float(np.abs(device.features(samples) - wanted).max())
        cycles, chip = int(getattr(device, "cycles", 0)), firmware.target
        ms = f"{1000 * cycles / chip.clock_hz:.2f}" if chip.clock_hz else ""
        energy_uj = None if cores else chip.energy_uj(cycles)  # power is that of all cores
        uj = "" if energy_uj is None else f"{energy_uj:.0f}"
        tables = firmware.plan.static_bytes[Role.FROZEN]
        print(f"{target:<14}{chip.cores:>6}{cycles:>12,}{ms:>8}{uj:>8}{tables:>12,}", end="")
        print(f"{firmware.plan.arena_bytes:>11,}{off:>20.1e}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or [*_TARGETS])
