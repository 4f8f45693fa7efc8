# SPDX-License-Identifier: Apache-2.0
"""The kit `cmake`: a static library with an example, and toolchain files for bare processors."""

from __future__ import annotations

from acclimate.emit import example
from acclimate.emit.kits.kit import Kit, Tree
from acclimate.emit.ports import port_file, port_sources
from acclimate.emit.render import render
from acclimate.plan import Plan
from acclimate.program import Program
from acclimate.targets import Target


def _files(tree: Tree) -> dict[str, bytes]:
    items = example.items(tree.program)
    calls = example.calls(tree.program, {item.name: f"data.{item.name}" for item in items})
    port = "threads" if tree.cores > 1 else "single"
    ports = port_sources(tree.program, port)
    more = {
        "items": items,
        "calls": calls,
        "sources": tree.sources,
        "port": port,
        "ports": ports,
        "arm": arm_flags(tree.target),
        "rv32": rv32_flags(tree.target),
    }
    files = dict(tree.library)
    for name in ("CMakeLists.txt", "main.c", "README.md"):
        files[name] = render(f"cmake/{name}.jinja", tree.variables, **more)
    if tree.variables["application"] is not None:
        files["firmware/main.c"] = render("cmake/firmware/main.c.jinja", tree.variables)
    for name in ("arm.cmake", "rv32.cmake"):
        files[f"cmake/{name}"] = render(f"cmake/{name}.jinja", tree.variables, **more)
    if tree.ported:
        files |= {name: port_file(name) for name in ports}
    return files


def arm_flags(target: Target) -> str:
    """Compiler flags of an Arm target; for any other those that every Cortex-M runs."""
    arm = target.processor.startswith("cortex-m")
    processor = target.processor if arm else "cortex-m0plus"
    floats = "hard" if arm and "fpu" in target.features else "soft"
    return f"-mcpu={processor} -mthumb -mfloat-abi={floats}"


def rv32_flags(target: Target) -> str:
    """Compiler flags of a RISC-V target, without its extensions of PULP; RV32IMC for any other."""
    features = target.features if target.processor == "cv32e40p" else frozenset[str]()
    if "float_registers" in features:
        return "-march=rv32imfc_zicsr -mabi=ilp32f"
    if "fpu" in features:
        return "-march=rv32imc_zicsr_zfinx -mabi=ilp32"
    return "-march=rv32imc_zicsr -mabi=ilp32"


def _check(program: Program, plan: Plan, target: Target) -> None:
    """Holds every program."""


CMAKE = Kit("cmake", _files, _check)
