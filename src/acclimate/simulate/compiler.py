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
from pathlib import Path

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
def _machine() -> str:
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
    key = hashlib.sha256()
    for part in (zig_version(), _machine(), *flags, *WARNINGS):
        key.update(part.encode() + b"\0")
    for name, content in sorted(files.items()):
        key.update(name.encode() + b"\0" + content + b"\0")
    library = cache_folder("host") / f"{key.hexdigest()[:32]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory() as folder, replacing(library) as temporary:
            sources = _write(files, Path(folder))
            _run(
                [
                    *flags,
                    *WARNINGS,
                    "-fPIC",
                    "-shared",
                    "-I.",
                    *sources,
                    "-lm",
                    "-o",
                    str(temporary),
                ],
                folder,
            )
    return library


def _write(files: Mapping[str, bytes], folder: Path) -> list[str]:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [name for name in files if name.endswith(".c") and name != "main.c"]


def _run(arguments: Sequence[str], folder: str) -> None:
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_folder("zig"))}
    environment.setdefault("ZIG_LOCAL_CACHE_DIR", environment["ZIG_GLOBAL_CACHE_DIR"])
    done = subprocess.run(
        [zig(), "cc", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        first = next(
            (line for line in done.stderr.splitlines() if "error" in line), done.stderr[:500]
        )
        raise MissingTool(
            "zig cc cannot build the generated C",
            found=first,
            hint="acclimate doctor; ACCLIMATE_DEBUG=1",
        )
