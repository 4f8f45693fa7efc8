# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: imports point down, files stay short, nothing unfinished is left."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "acclimate"
# A stage imports what stands after it in this list, never what stands before.
ORDER = (
    "cli",
    "demo",
    "experiment",
    "report",
    "learn",
    "models",
    "data",
    "policy",
    "pipeline",
    "budget",
    "options",
    "firmware",
    "fit",
    "wanted",
    "capture",
    "lower",
    "passes",
    "quantize",
    "recompute",
    "estimate",
    "stream",
    "tune",
    "plan",
    "emit",
    "device",
    "simulate",
    "program",
    "kernels",
    "targets",
    "cache",
    "errors",
)
# Downwards in meaning, not in the list: each with its reason.
ALLOWED = {
    ("lower", "capture"),  # lowering reads the captured graph
    ("passes", "plan"),  # dependencies of calls, and their peak of live bytes
    ("emit", "plan"),  # the C prints the plan
}
PYTHON = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".c", ".h", ".jinja"))


def stage_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_stages(path: Path) -> set[str]:
    """Stages that a file imports when it is loaded, except for type checking."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "acclimate" and len(parts) > 1 and parts[1] in ORDER:
                found.add(parts[1])
    return found


def test_every_stage_is_listed() -> None:
    stages = {stage_of(path) for path in PYTHON} - {"__init__"}
    assert stages <= set(ORDER), stages - set(ORDER)


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    stage = stage_of(path)
    if stage == "__init__":
        return
    for other in imported_stages(path) - {stage}:
        down = ORDER.index(other) > ORDER.index(stage)
        assert down or (stage, other) in ALLOWED, f"{stage} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_file_is_short_and_has_a_licence(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 350, f"{len(lines)} lines"
    if path.suffix != ".jinja" and lines:
        assert "SPDX-License-Identifier: Apache-2.0" in lines[0]


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented and first.end_lineno else node.lineno
            assert node.end_lineno - start <= 50, f"{node.name}: {node.end_lineno - start} lines"


def test_nothing_unsafe_or_unfinished() -> None:
    pattern = re.compile(r"pickle\.load|NotImplementedError|\bFIXME\b|\bXXX\b|\bTODO\b(?!\(#\d+\))")
    for path in PYTHON:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not pattern.search(line), f"{path.name}:{number} {line.strip()}"


def test_public_names_are_few() -> None:
    import acclimate

    assert len(acclimate.__all__) <= 25  # ten of them are update policies
    for name in acclimate.__all__:
        assert getattr(acclimate, name).__doc__, name
