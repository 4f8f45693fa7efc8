# SPDX-License-Identifier: Apache-2.0
"""Builds an exported folder with address checks; see address_checks.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

from acclimate.simulate.compiler import zig

ADDRESS = ["-O1", "-g", "-fsanitize=address", "-fno-sanitize=undefined"]
for _flag in ("-asan-stack=0", "-asan-instrumentation-with-call-threshold=0"):
    ADDRESS += ["-Xclang", "-mllvm", "-Xclang", _flag]
LIBRARY = Path(__file__).parent / "address_checks.c"


def build_with_address_checks(folder: Path) -> Path:
    """Instruments every C file of a folder and returns the executable."""
    objects = [str(folder / "address_checks.o")]
    subprocess.run([zig(), "cc", "-O2", "-c", str(LIBRARY), "-o", objects[0]], check=True)
    for source in sorted(folder.rglob("*.c")):
        objects.append(str(source.with_suffix(".o")))
        command = [zig(), "cc", *ADDRESS, f"-I{folder}", "-c", str(source), "-o", objects[-1]]
        subprocess.run(command, check=True)
    subprocess.run([zig(), "cc", *objects, "-lm", "-o", str(folder / "a.out")], check=True)
    return folder / "a.out"
