# SPDX-License-Identifier: Apache-2.0
"""Builds the simulator: RTL -> C++ by verilator, C++ -> shared library by `zig c++`.

It takes a minute, once per configuration of the core and version of the packages; the result stays
in the user's cache. Cores, banks, memories, DMA and caches are run-time settings of it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from acclimate.cache import cache_folder, replacing, write_atomic
from acclimate.simulate.cluster.rtl import (
    INSTALL,
    Rtl,
    model_files,
    verilator_root,
    versions,
    write_sources,
)
from acclimate.simulate.compiler import machine_name, run_tool, zig, zig_environment

Progress = Callable[[int, int, str], None]
_VERILATE = (
    "--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", "-Wno-fatal",
    "-Wno-lint", "--top-module", "ac_core", "--prefix", "Vcore", "--output-split", "20000",
)  # fmt: skip
_FLAGS = (
    "-O3", "-march=native", "-std=c++17", "-fPIC", "-fno-sanitize=all", "-w",
    "-DVL_IGNORE_UNKNOWN_ARCH", "-DVM_TRACE=0", "-DVM_COVERAGE=0",
)  # fmt: skip


def build_simulator(rtl: Rtl, progress: Progress | None = None) -> Path:
    """The shared library of a configuration, built if the cache does not hold it.

    Safe when several processes ask for the same one: one builds, the others wait.

    Args:
        rtl: configuration of the core.
        progress: told (done, total, what); without it a bar is shown on a terminal.

    Raises:
        MissingTool: a package is missing, or the build fails.
    """
    library = _place(rtl)
    if _intact(library):
        return library
    with FileLock(library.with_suffix(".lock")):
        if _intact(library):  # another process has built it in the meantime
            return library
        reason = _reason(library, rtl)
        with _shown(progress, reason) as advance, tempfile.TemporaryDirectory() as place:
            _build(rtl, Path(place), library, advance)
    return library


def built_simulator(rtl: Rtl) -> Path | None:
    """The library of a configuration if the cache holds it, without building it.

    Raises:
        MissingTool: a package that it is made from is missing.
    """
    library = _place(rtl)
    return library if _intact(library) else None


def _place(rtl: Rtl) -> Path:
    """Where the library lies; its name has everything that it depends on."""
    key = hashlib.sha256()
    parts = [f"{name} {number}" for name, number in versions().items()]
    for part in (*parts, machine_name(), *rtl.parameters, str(rtl.half), *_VERILATE, *_FLAGS):
        key.update(part.encode() + b"\0")
    for name, content in model_files().items():
        key.update(name.encode() + b"\0" + content + b"\0")
    return cache_folder("cluster") / f"{rtl.label}-{key.hexdigest()[:24]}.so"


def _intact(library: Path) -> bool:
    """True if the library is there and its bytes are those that were built."""
    try:
        wanted = library.with_suffix(".sha256").read_text()
        return hashlib.sha256(library.read_bytes()).hexdigest() == wanted
    except OSError:
        return False


def _reason(library: Path, rtl: Rtl) -> str:
    if library.exists():
        return "the simulator in the cache is damaged: building it again"
    if any(library.parent.glob(f"{rtl.label}-*.so")):
        return "the simulator in the cache is of another version: building this one"
    return "building the simulated cluster, once for this machine (about a minute)"


@contextmanager
def _shown(progress: Progress | None, reason: str) -> Iterator[Progress]:
    """Reports to the caller, or on the terminal."""
    if progress is not None:
        yield lambda done, total, what: progress(done, total, f"{reason}: {what}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    console.print(reason)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1)
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=what
        )


def _build(rtl: Rtl, place: Path, library: Path, advance: Progress) -> None:
    advance(0, 100, "translating the RTL")
    generated = _verilate(rtl, place)
    include = verilator_root() / "include"
    for name, content in model_files().items():
        (place / name).write_bytes(content)
    sources = [*generated.glob("*.cpp"), *place.glob("*.cpp")]
    sources += [include / "verilated.cpp", include / "verilated_threads.cpp"]
    sources.sort(key=lambda path: -path.stat().st_size)  # the long ones first: better balance
    folders = (generated, place, include, include / "vltstd")
    flags = [*_FLAGS, *(f"-I{folder}" for folder in folders)]
    total = len(sources) + 2
    objects = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_compile, source, place, flags) for source in sources]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                objects.append(job.result())
                advance(done, total, f"compiling, {done} of {len(sources)}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    advance(total - 1, total, "linking")
    with replacing(library) as temporary:
        names = sorted(str(path) for path in objects)
        _zig(["c++", "-shared", "-s", *names, "-lpthread", "-o", str(temporary)], place)
        checksum = hashlib.sha256(temporary.read_bytes()).hexdigest()
        write_atomic(library.with_suffix(".sha256"), checksum.encode())
    advance(total, total, "done")


def _verilate(rtl: Rtl, place: Path) -> Path:
    root = verilator_root()
    listed = write_sources(rtl, place)
    (place / "ac_core.sv").write_bytes(model_files()["ac_core.sv"])
    generated = place / "generated"
    program = root / "bin" / "verilator_bin"  # `verilator` beside it is a Perl script around it
    files = ["-f", str(listed), str(place / "ac_core.sv"), "--Mdir", str(generated)]
    run_tool(
        [str(program), *_VERILATE, *rtl.parameters, *files],
        place,
        {**os.environ, "VERILATOR_ROOT": str(root)},
        what="verilator cannot translate the core",
        hint=f"{INSTALL} --upgrade",
    )
    return generated


def _compile(source: Path, place: Path, flags: list[str]) -> Path:
    target = place / f"{source.stem}.o"
    # What runs once, at the start, need not be fast.
    level = ["-O0"] if source.stem.endswith("__Slow") else []
    _zig(["c++", *flags, *level, "-c", str(source), "-o", str(target)], place)
    return target


def _zig(arguments: list[str], place: Path) -> None:
    what = "zig c++ cannot build the simulated cluster"
    hint = f"{INSTALL} --upgrade"
    run_tool([zig(), *arguments], place, zig_environment(), what=what, hint=hint)
