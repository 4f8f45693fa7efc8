# SPDX-License-Identifier: Apache-2.0
"""Builds generated C for this machine with `zig cc`, once per content."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from acclimate.cache import cache_folder, replacing
from acclimate.errors import MissingTool

WARNINGS = (
    "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wdouble-promotion", "-Werror",
)  # fmt: skip
FAST = ("-O3", "-march=native", "-fno-math-errno")
SANITIZED = ("-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all")


@cache
def zig() -> str:
    """Path of the compiler.

    Raises:
        MissingTool: the package `ziglang` is not installed.
    """
    try:
        import ziglang
    except ImportError as error:
        raise MissingTool("the C compiler is missing", hint="pip install ziglang") from error
    return str(Path(ziglang.__file__).parent / "zig")


@cache
def zig_version() -> str:
    """Version of the compiler."""
    return subprocess.run(
        [zig(), "version"], capture_output=True, text=True, check=True
    ).stdout.strip()


@cache
def machine_name() -> str:
    """Processor and its features: code for one must not be taken for another."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("flags", "Features", "model name")
    first = info.read_text().split("\n\n", 1)[0].splitlines()
    return "\n".join(line for line in first if line.startswith(wanted))


def compile_shared(files: Mapping[str, bytes], flags: Sequence[str] = FAST) -> Path:
    """Builds the C sources among `files` into a shared library in the user's cache.

    Safe when several processes build the same thing: the library appears whole.

    Raises:
        MissingTool: the compiler is missing or fails.
    """
    key = digest((machine_name(), *flags, *WARNINGS), files)
    library = cache_folder("host") / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory() as folder, replacing(library) as temporary:
            write_files(files, Path(folder))
            sources = c_sources(files)
            shared = ("-fPIC", "-shared", "-I.", *sources, "-lm", "-lpthread", "-o", str(temporary))
            zig_cc((*flags, *WARNINGS, *shared), folder)
    return library


def digest(parts: Sequence[str], files: Mapping[str, bytes]) -> str:
    """Name in a cache of what this compiler makes of these flags and files."""
    key = hashlib.sha256()
    for part in (zig_version(), *parts):
        key.update(part.encode() + b"\0")
    for name, content in sorted(files.items()):
        key.update(name.encode() + b"\0" + content + b"\0")
    return key.hexdigest()[:32]


def c_sources(files: Mapping[str, bytes]) -> list[str]:
    """The C files of a library; main.c, in any folder, is an example of its use."""
    return [n for n in files if n.endswith(".c") and PurePosixPath(n).name != "main.c"]


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def zig_cc(arguments: Sequence[str], folder: str | Path) -> None:
    """Runs the compiler in a folder.

    Raises:
        MissingTool: it is missing, or fails; names its first error.
    """
    _zig(("cc", *arguments), folder)


def zig_archive(name: str, objects: Sequence[str], folder: str | Path) -> None:
    """Puts object files into a static library."""
    _zig(("ar", "rcs", name, *objects), folder)


def _zig(arguments: Sequence[str], folder: str | Path) -> None:
    what = f"zig {arguments[0]} cannot build the generated C"
    hint = "acclimate doctor; ACCLIMATE_DEBUG=1"
    run_tool([zig(), *arguments], folder, zig_environment(), what=what, hint=hint)


def zig_environment() -> dict[str, str]:
    """Environment of the compiler: its own caches lie in acclimate's."""
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_folder("zig"))}
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", environment["ZIG_GLOBAL_CACHE_DIR"])
    return environment


def run_tool(
    command: Sequence[str],
    folder: str | Path,
    environment: Mapping[str, str],
    *,
    what: str,
    hint: str,
) -> None:
    """Runs a program in a folder.

    Raises:
        MissingTool: it fails: `what`, with the first line of its output that speaks of an error.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (line for line in done.stderr.splitlines() if "rror" in line)
        raise MissingTool(what, found=next(lines, done.stderr[:500] or "no output"), hint=hint)
