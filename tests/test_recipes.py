# SPDX-License-Identifier: Apache-2.0
"""Recipes run as a user runs them: one small case each, which goes on where it was stopped."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from acclimate.device.drift.meaning import Drift, Settings, Status
from acclimate.errors import DataError
from acclimate.models.mobilenet_v1 import BLOCKS, MobileNetV1

RECIPES = Path(__file__).parents[1] / "recipes"


def run(recipe: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / recipe / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture
def without_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic speech, so that the case is small and the same everywhere."""
    pytest.importorskip("espeakng_loader")
    monkeypatch.delenv("ACCLIMATE_DATA", raising=False)


@pytest.mark.usefixtures("without_recordings")
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


@pytest.mark.usefixtures("without_recordings")
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


def test_tinyrce_on_its_smallest_data(tmp_path: Path) -> None:
    data = os.environ.get("ACCLIMATE_DATA")
    if not data or not (Path(data) / "basic_motions").is_dir():
        pytest.skip("needs basic_motions in ACCLIMATE_DATA")
    small = ("--only", "basic", "--out", str(tmp_path))
    first = run("tinyrce", *small)
    assert first.returncode == 0, first.stderr
    rows = {line[:24].strip(): line.split()[-1] for line in first.stdout.splitlines() if line}
    assert float(rows["majority class"]) == 25.0
    assert float(rows["RCE, near"]) >= 90.0
    again = run("tinyrce", *small, "--print")
    assert again.stdout == first.stdout


def test_latent_replay_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCLIMATE_DATA", raising=False)
    small = ("--quick", "--out", str(tmp_path))
    first = run("latent_replay", *small)
    assert first.returncode == 0, first.stderr
    assert "patterns made on this machine" in first.stdout and "replay, 8 bits" in first.stdout
    line = next(at for at in first.stdout.splitlines() if at.startswith("replay, 7 bits"))
    assert line.endswith(f"{60 * 64 * 7 // 8:,}"), "slots, numbers of a latent, bits"
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    (network,) = (tmp_path / "networks").iterdir()
    (cost,) = (json.loads(p.read_text())["result"] for p in cells if "latent_cost" in p.name)
    vega, images, epochs = cost["vega"], 30, 2
    assert cost["updates"] == epochs * -(-images // cost["fresh"])
    assert vega["update_cycles"] < vega["front_cycles"], "an update is the last layer alone"
    whole = images * vega["front_cycles"] + cost["updates"] * vega["update_cycles"]
    assert vega["class_s"] * 450e6 == pytest.approx(whole), "the front sees an image once"
    assert cost["waiting_bytes"] == 4 * images * 64
    again = run("latent_replay", *small, "--print")
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in cells} == cells, "nothing is measured twice"
    assert network.suffix == ".safetensors"


def test_latent_replay_prints_nothing_that_was_not_measured(tmp_path: Path) -> None:
    result = run("latent_replay", "--print", "--out", str(tmp_path))
    assert result.returncode == 1
    assert "without --print" in result.stderr


@pytest.mark.usefixtures("without_recordings")
def test_class_incremental_kws_goes_on_where_it_was(tmp_path: Path) -> None:
    small = ("--quick", "--out", str(tmp_path))
    first = run("class_incremental_kws", *small)
    assert first.returncode == 0, first.stderr
    assert "streaming LDA" in first.stdout and "replay, 8 bits" in first.stdout
    assert "seeds: 0" in first.stdout and "espeak" in first.stdout
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    kept = [json.loads(path.read_text()) for path in cells]
    mj = {each["cell"]["way"]: each["result"]["energy_mj"] for each in kept}
    assert mj["naive fine-tuning"] < mj["replay, 8 bits"] < mj["all samples kept"]
    assert mj["nearest class mean"] < min(mj["streaming LDA"], mj["TinyOL"], mj["TinyRCE"])
    again = run("class_incremental_kws", *small)
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in cells} == cells, "nothing is measured twice"
    nothing = run("class_incremental_kws", "--print", "--out", str(tmp_path / "other"))
    assert nothing.returncode == 1 and "without --print" in nothing.stderr


@pytest.mark.usefixtures("without_recordings")
def test_a_change_of_place_starts_learning(tmp_path: Path) -> None:
    small = ("--drift", "--quick", "--out", str(tmp_path))
    first = run("class_incremental_kws", *small)
    assert first.returncode == 0, first.stderr
    assert "nobody published a figure" in first.stdout and "seeds: 0" in first.stdout
    lives = [
        (kept["cell"], kept["result"])
        for kept in (json.loads(p.read_text()) for p in (tmp_path / "cells").glob("drift-*"))
    ]
    changed = {c["starts"]: r for c, r in lives if c["kind"] == "coffee shop"}
    assert changed["never"]["begins"] == [] and changed["at the known moment"]["begins"] == [600]
    detected = changed["spectrum"]["begins"]
    assert any(t >= 600 for t in detected), "the change was found"
    assert changed["spectrum"]["place"] != changed["never"]["place"], "and something was learned"
    again = run("class_incremental_kws", *small, "--print")
    assert again.stdout == first.stdout
    next((tmp_path / "cells").glob("drift-*")).unlink()
    partly = run("class_incremental_kws", *small, "--print")
    assert partly.returncode == 1 and "17 of 18 cells" in partly.stderr


def test_the_drift_recipe_watches_as_the_meaning_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(RECIPES / "class_incremental_kws")
    drift = importlib.import_module("drift")
    rng, chosen = np.random.default_rng(0), Settings(100, 60, 0.5, 12.0)
    found = 0
    for jump in (0.0, 0.7, 3.0):
        values = rng.normal(0, 1, (1000, 3)).astype(np.float32)
        values[drift.BEFORE :, 1] += jump
        meaning = Drift(chosen, 3)
        codes = [meaning.push(row.astype(np.float64)) for row in values]
        begins = drift.begins_of(values, chosen)
        assert begins == [t for t, code in enumerate(codes) if code == Status.BEGIN]
        watched = drift.watched_windows(begins, chosen.warm_up, len(values))
        assert watched == sum(code in (Status.STABLE, Status.BEGIN) for code in codes)
        found += drift.delay_of(begins) is not None
    assert found >= 2


def test_latent_replay_reads_weights_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file as Keras writes it, judged by the function that Keras computes."""
    h5py = pytest.importorskip("h5py")
    monkeypatch.syspath_prepend(str(RECIPES / "latent_replay"))
    vww = importlib.import_module("vww")
    torch.manual_seed(0)
    stored: dict[str, torch.Tensor] = {}

    def layer(kind: str, number: int, **values: torch.Tensor) -> list[torch.Tensor]:
        name = kind if number == 0 else f"{kind}_{number}"
        for key, value in values.items():
            stored[f"model_weights/{name}/{name}/{key}:0"] = value
        return list(values.values())

    def norm(number: int, C: int) -> list[torch.Tensor]:
        return layer("batch_normalization", number, moving_mean=torch.randn(C) / 4,
                     moving_variance=torch.rand(C) + 0.5, gamma=torch.rand(C) + 0.5,
                     beta=torch.randn(C) / 4)  # fmt: skip

    def normed(y: torch.Tensor, of: list[torch.Tensor]) -> torch.Tensor:
        return F.relu(F.batch_norm(y, *of, eps=1e-3))

    def far_padded(
        x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, stride: int, C: int
    ) -> torch.Tensor:
        zeros = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        return F.conv2d(F.pad(x, zeros), kernel, bias, stride, groups=C)

    x = torch.rand(2, 3, 96, 96)
    C = 8
    kernel, bias = layer("conv2d", 0, kernel=torch.randn(3, 3, 3, C) / 5, bias=torch.randn(C) / 5)
    y = normed(far_padded(x, kernel.permute(3, 2, 0, 1), bias, 2, 1), norm(0, C))
    for k, (channels, stride) in enumerate(BLOCKS):
        depthwise, bias = layer("depthwise_conv2d", k, bias=torch.randn(C) / 5,
                                depthwise_kernel=torch.randn(3, 3, C, 1) / 3)[::-1]  # fmt: skip
        y = far_padded(y, depthwise.permute(2, 3, 0, 1), bias, stride, C)
        y = normed(y, norm(2 * k + 1, C))
        K = channels // 4
        pointwise, bias = layer("conv2d", k + 1, kernel=torch.randn(1, 1, C, K) / C**0.5,
                                bias=torch.randn(K) / 5)  # fmt: skip
        y = normed(F.conv2d(y, pointwise.permute(3, 2, 0, 1), bias), norm(2 * k + 2, K))
        C = K
    path = tmp_path / "vww.h5"
    with h5py.File(path, "w") as file:
        for name, value in stored.items():
            file[name] = value.numpy()
    network = MobileNetV1(classes=10).eval()
    vww.load_weights(network, path)
    with torch.no_grad():
        expected = network.fc1(y.mean((2, 3)))
        torch.testing.assert_close(network(x.flip(2, 3)), expected, rtol=1e-4, atol=1e-4)
        assert float(expected.std()) > 0.01
    path.write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"vww\.h5"):
        vww.load_weights(network, path)
