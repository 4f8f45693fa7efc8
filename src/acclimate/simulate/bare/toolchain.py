# SPDX-License-Identifier: Apache-2.0
"""Builds generated C into an ELF image for a bare processor.

Objects are kept by their content in the user's cache: programs share most kernels, and one object
takes as long to compile (0.1 s) as it takes to link four images.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from elftools.elf.elffile import ELFFile

from acclimate.cache import cache_folder, replacing
from acclimate.errors import MissingTool
from acclimate.simulate.bare.image import defined_symbols
from acclimate.simulate.compiler import (
    WARNINGS,
    c_sources,
    digest,
    write_files,
    zig_archive,
    zig_cc,
)

_FOLDER = Path(__file__).parent
# A freestanding target turns off what the compiler knows of library functions (fabsf is one
# instruction); `-fhosted` turns it on again. Names in the debug information stay relative.
FLAGS = (
    "-O3", "-g", "-fhosted", "-fno-math-errno", "-fomit-frame-pointer", "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables", "-ffunction-sections", "-fdata-sections",
    "-fdebug-compilation-dir=.", "-isystem", "include", "-I.",
)  # fmt: skip
# Zig asks for an object file even where assembly is wanted.
_TO_ASSEMBLY = ("-Wno-unused-command-line-argument", "-S")
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.MULTILINE)


@dataclass(frozen=True)
class Toolchain:
    """What a kind of processor needs besides the program.

    Args:
        name: for messages.
        flags: of the compiler: target, processor, features.
        linker_script: its text.
        runtime: files by relative path (start code, drivers) that are part of every image.
        rewrite: changes the assembly that the compiler makes of C; a function of a module.
    """

    name: str
    flags: tuple[str, ...]
    linker_script: str
    runtime: Mapping[str, bytes] = field(default_factory=dict)
    rewrite: Callable[[str], str] | None = None


@cache
def common_runtime() -> Mapping[str, bytes]:
    """Headers, float functions, memory functions and checkpoint windows of all bare processors."""
    paths = [*_FOLDER.glob("include/*.h"), *_FOLDER.glob("runtime/*.[ch]")]
    return {path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in sorted(paths)}


def build_image(
    files: Mapping[str, bytes], toolchain: Toolchain, extra: Sequence[str] = ()
) -> Path:
    """Builds the C and assembly sources among `files` into an ELF image in the user's cache.

    Every source of `files` and of the toolchain's runtime is in the image; of the common runtime
    only what is called. Safe when several processes build the same thing.

    Args:
        files: contents by relative path; `main.c` is left out.
        toolchain: flags, linker script and runtime of the processor.
        extra: more compiler flags, after all others.

    Raises:
        MissingTool: the compiler is missing or fails.
    """
    known = {**common_runtime(), **toolchain.runtime, **files}
    whole = [name for name in _sources(known) if name in files or name in toolchain.runtime]
    whole.append("runtime/window.c")
    called = [name for name in _sources(common_runtime()) if name not in whole]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = dict(
            zip(
                [*whole, *called],
                pool.map(lambda name: _object(name, known, toolchain, extra), [*whole, *called]),
                strict=True,
            )
        )
    link = ("-nostdlib", "-Wl,--gc-sections", "-T", "link.ld")
    names = [objects[name].name for name in [*whole, *called]]
    key = digest((*toolchain.flags, *link, *names), {"link.ld": toolchain.linker_script.encode()})
    image = cache_folder("bare") / f"{key}.elf"
    if not image.exists():
        with tempfile.TemporaryDirectory() as folder, replacing(image) as temporary:
            roots = " ".join(sorted({s for name in whole for s in _globals(objects[name])}))
            script = f"{toolchain.linker_script}\nEXTERN({roots})\n"
            (Path(folder) / "link.ld").write_text(script)
            zig_archive("runtime.a", [str(objects[name]) for name in called], folder)
            parts = [*(str(objects[name]) for name in whole), "runtime.a"]
            _link((*toolchain.flags, *link, *parts, "-o", str(temporary)), folder)
    return image


def _link(arguments: Sequence[str], folder: str) -> None:
    """Links, with compiler_rt only if a function of the compiler's is missing.

    Zig takes seconds to make compiler_rt for a processor; one with an FPU rarely needs it.
    """
    try:
        zig_cc(arguments, folder)
    except MissingTool as error:
        if "undefined symbol: __" not in (error.found or ""):
            raise
        zig_cc((*arguments, "-lcompiler_rt"), folder)


def _sources(files: Mapping[str, bytes]) -> list[str]:
    return c_sources(files) + [name for name in files if name.endswith(".S")]


def _object(
    name: str, known: Mapping[str, bytes], toolchain: Toolchain, extra: Sequence[str]
) -> Path:
    """Compiles one source; its object is kept by the content of all that it comes from."""
    needed = _closure(name, known)
    is_c = not name.endswith(".S")
    options = (*toolchain.flags, *FLAGS, *(WARNINGS if is_c else ()), *extra)
    rewrite = toolchain.rewrite if is_c else None
    origin = {**needed, **(_implementation(rewrite) if rewrite else {})}
    path = cache_folder("objects") / f"{digest((name, *options), origin)}.o"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder, replacing(path) as temporary:
            write_files(needed, Path(folder))
            if rewrite is None:
                zig_cc((*options, "-c", name, "-o", str(temporary)), folder)
            else:
                assembly = Path(folder) / "rewritten.s"
                zig_cc((*options, *_TO_ASSEMBLY, name, "-o", str(assembly)), folder)
                # Strings of the program can hold any bytes.
                text = assembly.read_bytes().decode("latin-1")
                assembly.write_bytes(rewrite(text).encode("latin-1"))
                zig_cc((*toolchain.flags, "-c", str(assembly), "-o", str(temporary)), folder)
    return path


@cache
def _implementation(function: Callable[[str], str]) -> Mapping[str, bytes]:
    """Source of the module of a function, and of what it takes from modules beside it."""
    found: dict[str, bytes] = {}
    waiting = [function.__module__]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        module = sys.modules[name]
        found[name] = Path(module.__file__ or "").read_bytes()
        package = name.rpartition(".")[0]
        others = {getattr(value, "__module__", None) or "" for value in vars(module).values()}
        waiting += [other for other in others if other.rpartition(".")[0] == package]
    return found


def _globals(path: Path) -> Iterator[str]:
    """What an object defines for others: kept in the image although nothing there may call it."""
    with path.open("rb") as file:
        for symbol in defined_symbols(ELFFile(file)):
            if symbol["st_info"]["bind"] == "STB_GLOBAL":
                yield symbol.name


def _closure(name: str, known: Mapping[str, bytes]) -> dict[str, bytes]:
    """A file and all that it includes; what is not among the known files is the compiler's own."""
    found: dict[str, bytes] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found[current] = known[current]
        folder = PurePosixPath(current).parent
        for match in _INCLUDE.findall(known[current]):
            wanted = match.decode()
            places = (str(folder / wanted), wanted, f"include/{wanted}")
            waiting += [os.path.normpath(p) for p in places if os.path.normpath(p) in known]
    return found
