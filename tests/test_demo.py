# SPDX-License-Identifier: Apache-2.0
"""The demo: a quick run of the whole job, on recordings and on synthesised speech."""

from __future__ import annotations

import json
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from acclimate.demo import POLICIES, run_demo


def check(result: dict[str, Any], out: Path) -> None:
    """What must hold whatever the data: files, keys, the memory of the classifier."""
    table = json.loads((out / "report.json").read_text())
    assert {key: value for key, value in result.items() if key != "text"} == table
    memory = table["training_memory_bytes"]
    assert set(memory) == {policy.name for policy in POLICIES}
    assert memory["fc1"] <= 9520 == table["training_memory_published_bytes"]["fc1"]
    for name, parts in table["training_memory_parts"].items():
        assert sum(part["size_bytes"] for part in parts) == memory[name]
        assert all(part["why"] for part in parts)
    assert table["macs_per_step"]["fc1"] < table["macs_per_step"]["last_block_fc1"]
    assert (out / "c" / "fc1" / "kws.c").exists()
    HTMLParser().feed((out / "report.html").read_text())
    assert escape(table["data"]) in (out / "report.html").read_text().replace("&#39;", "&#x27;")
    assert result["text"].startswith(table["data"])


@pytest.mark.data
def test_demo_on_recordings_gains_in_the_place(speech_commands: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    result = run_demo(tmp_path, quick=True, progress=lambda done, total, what: steps.append(what))
    check(result, tmp_path)
    place = result["accuracy_in_the_place"]
    # The gains over three seeds are 5 to 8 points; 180 utterances leave a standard error of 2.
    for after in place["after"].values():
        assert after["mean"] > place["before"]
    assert any("fc1" in step for step in steps)


def test_demo_without_data_says_that_its_speech_is_synthetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.delenv("ACCLIMATE_DATA", raising=False)
    monkeypatch.setattr("acclimate.data.source.find_speech_commands", lambda: None)
    result = run_demo(tmp_path, quick=True)
    check(result, tmp_path)
    assert "synth" in result["data"].lower()
