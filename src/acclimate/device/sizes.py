# SPDX-License-Identifier: Apache-2.0
"""Sizes of the structs of device modules where pointers have 32 bits, as on a microcontroller."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from acclimate.device.module import Module, module_files
from acclimate.simulate.bare.image import defined_symbols
from acclimate.simulate.compiler import WARNINGS, write_files, zig_cc
from acclimate.simulate.cortex_m.processors import PROCESSORS


def struct_bytes(modules: Iterable[Module], structs: Iterable[str]) -> dict[str, int]:
    """Sizes [B] of structs on a Cortex-M4, from the compiler.

    Args:
        modules: that declare them.
        structs: names in C, such as `ac_rce`.

    Raises:
        MissingTool: the compiler is missing, or a module declares no such struct.
    """
    chosen, names = tuple(modules), tuple(structs)
    lines = [f'#include "device/{module.name}/{module.name}.h"' for module in chosen]
    # An object as large as the struct: nothing has to run.
    lines += [f"char size_of_{name}[sizeof({name})];" for name in names]
    files = module_files(chosen) | {"sizes.c": "\n".join((*lines, "")).encode()}
    with tempfile.TemporaryDirectory() as folder:
        write_files(files, Path(folder))
        flags = (*PROCESSORS["cortex-m4"].flags, *WARNINGS, "-c", "sizes.c", "-o", "sizes.o")
        zig_cc(flags, folder)
        elf = ELFFile(io.BytesIO((Path(folder) / "sizes.o").read_bytes()))
    found = {symbol.name: int(symbol["st_size"]) for symbol in defined_symbols(elf)}
    return {name: found[f"size_of_{name}"] for name in names}
