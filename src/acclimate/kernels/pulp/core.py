# SPDX-License-Identifier: Apache-2.0
"""What generators of kernels need to know of the cores that they write for."""

from __future__ import annotations

from dataclasses import dataclass

from acclimate.targets import Target


@dataclass(frozen=True)
class Core:
    """What generators need to know of a core.

    Args:
        cores: that share a call.
        float_registers: floats have registers of their own; else they live in the integer ones.
        fpu_latency: cycles that a result of the FPU comes later.
        cores_per_fpu: how many cores share an FPU.
        icache_bytes: of each core; 0 for a cache without limits.
        icache_miss_cycles: for a line of 16 bytes.
    """

    cores: int = 1
    float_registers: bool = False
    fpu_latency: int = 0
    cores_per_fpu: float = 1.0
    icache_bytes: int = 0
    icache_miss_cycles: int = 0

    @staticmethod
    def of(target: Target) -> Core:
        """The cores of a target."""
        figures = target.cluster
        floats = "float_registers" in target.features
        if figures is None:
            return Core(target.cores, floats)
        return Core(
            target.cores,
            floats,
            figures.fpu_latency,
            max(1.0, target.cores / figures.fpus),
            figures.icache_bytes if figures.icache_miss_cycles else 0,
            figures.icache_miss_cycles,
        )
