# SPDX-License-Identifier: Apache-2.0
"""Recipes run as a user runs them: one small case each, which goes on where it was stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[1] / "recipes"


def run(recipe: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / recipe / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture(autouse=True)
def without_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic speech, so that the case is small and the same everywhere."""
    pytest.importorskip("espeakng_loader")
    monkeypatch.delenv("ACCLIMATE_DATA", raising=False)


def test_kws_adaptation_goes_on_where_it_was(tmp_path: Path) -> None:
    small = ("--quick", "--tables", "accuracy", "--out", str(tmp_path))
    first = run("kws_adaptation", *small, "--what", "fc1")
    assert first.returncode == 0, first.stderr
    assert "fc1" in first.stdout and "before adaptation" in first.stdout
    assert "seeds: networks 0, draws 0" in first.stdout, "tables say where they come from"
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert cells
    again = run("kws_adaptation", *small, "--what", "fc1")
    assert again.stdout == first.stdout
    more = run("kws_adaptation", *small, "--what", "fc1", "bias")
    assert more.returncode == 0, more.stderr
    assert len(list((tmp_path / "cells").iterdir())) > len(cells)
    assert {path: path.stat().st_mtime_ns for path in cells} == cells, "nothing is measured twice"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quick",), "was not measured on these recordings yet"),
        ((), "was not trained yet"),
    ],
)
def test_kws_adaptation_prints_nothing_that_was_not_measured(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = run("kws_adaptation", "--models", "S", "--print", "--out", str(tmp_path), *options)
    assert result.returncode == 1
    assert message in result.stderr
    assert "without --print" in result.stderr
    assert not result.stdout
    assert not list(tmp_path.rglob("*.json")), "nothing was measured or trained"
