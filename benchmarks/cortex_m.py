# SPDX-License-Identifier: Apache-2.0
"""Instructions and estimated cycles of generated C on Arm microcontrollers, beside published ones.

    python benchmarks/cortex_m.py [mlp dscnn_s ...]

Without names: the Deep AutoEncoder and DS-CNN S. Ours are simulated: instruction counts are exact,
cycles are estimates from the tables in `simulate/cortex_m`, without waiting for memory. That of
AIfES was measured on a board, those of TinyRCE are of other networks: a scale, no ranking.
"""

from __future__ import annotations

import sys

import torch

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.simulate import zig_version
from acclimate.simulate.cortex_m import PROCESSORS, CortexM, PlainMemory, build

# The autoencoder has 1.1 MB of weights: more RAM than the chips that its numbers are quoted for.
MEMORIES = (
    PlainMemory("flash", 0x0800_0000, 2 << 20, writable=False),
    PlainMemory("ram", 0x2000_0000, 16 << 20),
)
# Which kernels: the readable ones, and those in blocks that are written for vector units.
KERNELS = ("portable", "host")
PUBLISHED = {
    ("deep_autoencoder", "train", "cortex-m4"): (
        "AIfES on STM32F407 at 168 MHz: 71.9 ms, 12 080 000 cycles"
    ),
    ("dscnn_s", "predict", "cortex-m4"): (
        "TinyRCE slides, STM32L4: 8.13 cycles per MAC, the constant of their own estimates"
    ),
    ("dscnn_s", "predict", "cortex-m7"): (
        "TinyRCE slides, STM32H7: 4.43 cycles per MAC, the constant of their own estimates"
    ),
}


def compiled(name: str, target: str) -> tuple[ac.Firmware, torch.Tensor, torch.Tensor]:
    """A reference network in eval mode with random weights and one random sample."""
    torch.manual_seed(0)
    case = REGISTRY[name]
    kind, size = case.target
    x = torch.randn(1, *case.input_shape)
    y = torch.randint(0, size, (1,)) if kind == "class" else torch.randn(1, *size)
    model = case.build().eval()
    return ac.compile(model, example=(x, y), loss=case.loss, target=target), x, y


def main(names: list[str]) -> None:
    """Prints one line per network, entry point and core."""
    print(f"zig {zig_version()}, -O3; batch 1, float32; kernels of the targets {KERNELS}")
    print("cycles are estimates: RAM and flash without wait states; tables:")
    for processor in PROCESSORS.values():
        print(f"  {processor.name:<14}cycles_{processor.cycles}.toml")
    print(f"\n{'network':<17}{'entry':<9}{'core':<15}{'kernels':<9}", end="")
    print(f"{'instructions':>14}{'cycles est.':>14}{'MAC':>12}{'cyc/MAC':>9}")
    for name in names:
        programs = {target: compiled(name, target) for target in KERNELS}
        for core in PROCESSORS:
            for entry in ("predict", "train"):
                for target, (firmware, x, y) in programs.items():
                    row = measured(firmware, core, entry, (x, y) if entry == "train" else (x,))
                    print(f"{name:<17}{entry:<9}{core:<15}{target:<9}{row}", flush=True)
                if (name, entry, core) in PUBLISHED:
                    print(f"{'':<17}published: {PUBLISHED[name, entry, core]}")


def measured(firmware: ac.Firmware, core: str, entry: str, data: tuple[torch.Tensor, ...]) -> str:
    """Instructions, cycles, MACs and cycles per MAC of one call."""
    image = build(firmware.sources("binary"), core, MEMORIES)
    device = CortexM(firmware.program, image, core, MEMORIES, lr=0.01)
    getattr(device, entry)(*data)
    macs = sum(call.macs for call in firmware.program.entries[entry].calls)
    cycles = device.cycles
    return f"{device.instructions:>14,}{cycles:>14,}{macs:>12,}{cycles / macs:>9.2f}"


if __name__ == "__main__":
    main(sys.argv[1:] or ["deep_autoencoder", "dscnn_s"])
