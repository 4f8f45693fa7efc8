# SPDX-License-Identifier: Apache-2.0
"""Links generated C with the start-up code and the port of the simulated cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from acclimate.simulate.bare import Toolchain, build_image
from acclimate.simulate.cluster.hardware_loops import with_hardware_loops
from acclimate.simulate.cluster.machine import STACK_BYTES
from acclimate.simulate.cluster.rtl import Rtl
from acclimate.targets import Target

_RUNTIME = Path(__file__).parent / "runtime"


def rtl_of(target: Target) -> Rtl:
    """The configuration of the core that a target asks for."""
    figures = target.cluster
    assert figures is not None
    return Rtl(
        float_registers="float_registers" in target.features,
        fpu_latency=figures.fpu_latency,
        half="f16" in target.features,
    )


def cluster_toolchain(target: Target, *, ported: bool = True) -> Toolchain:
    """Flags, linker script and start-up code for a target; hardware loops where it has `xpulp`.

    Args:
        target: with memories l1 and l2.
        ported: the program has port.h, so the port is linked too.
    """
    script = (_RUNTIME / "link.ld").read_text()
    figures = {
        "L1_BYTES": target.memory("l1").size_bytes,
        "L2_BYTES": target.memory("l2").size_bytes,
        "L3_BYTES": target.l3.size_bytes if target.l3 else 0,
        "STACK_BYTES": STACK_BYTES,
        "CORES": target.cores,
    }
    for name, value in figures.items():
        script = script.replace(f"@{name}@", str(value))
    floats = "f" if rtl_of(target).float_registers else "zfinx"
    flags = (
        "-target", "riscv32-freestanding-none", f"-mcpu=generic_rv32+m+{floats}", "-mabi=ilp32",
        "-mno-relax", "-DAC_SECTIONS", "-fno-sanitize=all",
    )  # fmt: skip
    names = ["start.S", "cluster.h", *(["port.c"] if ported else ["serve.c"])]
    runtime = {f"cluster/{name}": (_RUNTIME / name).read_bytes() for name in names}
    rewrite = with_hardware_loops if "xpulp" in target.features else None
    return Toolchain(f"cluster of {target.cores} cv32e40p", flags, script, runtime, rewrite)


def cluster_image(files: Mapping[str, bytes], target: Target) -> Path:
    """Builds the C of a firmware for a target.

    Raises:
        MissingTool: the compiler is missing or fails.
        DoesNotFit: code and data are larger than the memories.
    """
    return build_image(files, cluster_toolchain(target, ported="port.h" in files))
