# SPDX-License-Identifier: Apache-2.0
"""The benchmark compares equal work; its numbers are never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from acclimate.cli.app import app
from acclimate.errors import BadOption
from acclimate.models import REGISTRY
from acclimate.report import bench


@pytest.mark.parametrize("name", bench.NETWORKS)
def test_folded_network_computes_the_same(name: str) -> None:
    model, x, _ = bench.example_of(REGISTRY[name])
    folded = bench.fold_norms(model)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_model_alone() -> None:
    model, x, y = bench.example_of(REGISTRY["deep_autoencoder"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = bench.fold_norms(model)
    optimizer = torch.optim.SGD(folded.parameters(), lr=1.0)
    nn.functional.mse_loss(folded(x), y).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_bench_measures_both_sides() -> None:
    threads = torch.get_num_threads()
    told: list[str] = []
    (row,) = bench.bench_host(
        ("mlp",), repetitions=3, progress=lambda done, total, what: told.append(what)
    )
    assert torch.get_num_threads() == threads
    assert told == ["measuring mlp"]
    document = row.document()
    assert document["ratio"] == document["torch_ms"] / document["acclimate_ms"]
    assert 0 < document["acclimate_min_ms"] <= document["acclimate_ms"]
    conditions = document["conditions"]
    assert conditions["threads"] == 1 and conditions["repetitions"] == 3
    assert "BatchNorm folded" in conditions["torch_variant"]
    json.dumps(document)


def test_bench_refuses_to_time_different_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "fold_norms", lambda model: nn.Sequential(model, nn.Tanh()))
    with pytest.raises(RuntimeError, match="the loss of the C"):
        bench.bench_host(("mlp",), repetitions=3)


def test_bench_names_suggests_the_nearest() -> None:
    assert bench.bench_names() == bench.NETWORKS
    assert bench.bench_names("resnet8") == ("resnet8",)
    with pytest.raises(BadOption, match="resnet8"):
        bench.bench_names("resnet18")


def test_bench_verb_prints_a_table_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = bench.Timing(1.0, 0.5, 10)
    row = bench.BenchRow("mlp", timing, timing, {"torch_variant": "eager", "repetitions": 3})
    monkeypatch.setattr(bench, "bench_host", lambda *_, **__: [row])
    file = tmp_path / "build" / "bench.json"
    result = CliRunner().invoke(app, ["bench", "host", "--json", str(file)])
    assert result.exit_code == 0, result.exception
    assert "mlp" in result.stdout
    assert json.loads(file.read_text())["rows"][0]["ratio"] == 1.0
    printed = CliRunner().invoke(app, ["bench", "host", "--json", "-"])
    assert json.loads(printed.stdout) == json.loads(file.read_text())
    assert CliRunner().invoke(app, ["bench", "host", "--only", "nothing"]).exit_code == 2
