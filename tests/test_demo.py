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
from acclimate.demo.page import demo_html
from acclimate.demo.results import Accuracies, DemoResult, FirmwareResult, Piece, text


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
    firmware = table["firmware"]
    assert firmware["survives_power_cut"]
    better = firmware["right_after"] >= firmware["right_before"]
    assert firmware["outcome"] == ("ADAPTED" if better else "ROLLED_BACK")
    if not better:
        assert all(at["before"] == at["after"] for at in firmware["accuracy"].values())
    assert firmware["steps"] == 10 * firmware["words"] == 10 * 2 * 12
    assert firmware["scored"] == 2 * 24
    assert firmware["windows"] > 10 and firmware["missed"] == 0
    assert (out / "c" / "firmware" / "kws_firmware.c").exists()
    assert "verdict of the guard" in result["text"]
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
    assert result["firmware"]["outcome"] == "ADAPTED"
    place = result["firmware"]["accuracy"]["coffee shop"]
    assert place["after"] > place["before"]
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


def test_the_page_shows_the_session_on_the_chip(tmp_path: Path) -> None:
    session = FirmwareResult(
        chip="gap9, 8 cores", accuracy={"clean": (0.9, 0.9), "coffee shop": (0.5, 0.625)}, words=24,
        held_out=12, steps=240, outcome="ROLLED_BACK", right_before=9, right_after=8, scored=24,
        seconds=4.0, energy_mj=12.25, phases=(("RECORDING", 0.0), ("LEARNING", 3.0), ("IDLE", 4.0)),
        windows=13, missed=0, latest_ms=5.0, ram={"arena": 1000, "weights and tables": 2500},
        pieces=(Piece("mix", 1234, 0.5, 2.0), Piece("features", 4000, 1.0, 4.0)),
        survives_power_cut=True,
    )  # fmt: skip
    accuracies = Accuracies(0.9, 0.5, {"city": 0.75})
    result = DemoResult("voices", "coffee shop", 0.0, (0,), 100, accuracies, (), session)
    page = demo_html(result)
    HTMLParser().feed(page)
    for shown in ("rolled back", "3,500 B", "1,234", "learning", "boots as it was", "12 mJ"):
        assert shown in page
    assert 'x="655.0"' in page and 'width="165.0"' in page  # the last quarter
    lines = text(result).splitlines()
    assert any(line.split()[:2] == ["one", "step"] and "5,234 cycles" in line for line in lines)
    assert any("4.0 s, 12 mJ (estimate)" in line for line in lines)
