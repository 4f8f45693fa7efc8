# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the cluster: rows, JSON, and that the sum of the calls is close to the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.errors import BadOption
from acclimate.report import bench_cluster as bench
from acclimate.report import bench_streamed as streamed
from acclimate.report.cluster_calls import sum_of_calls
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import find_target

FIELDS = ["name", "cycles", "macs", "mac_per_cycle", "cores", "machine", "measured"]


def test_the_json_has_the_promised_fields(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    arguments = ["bench", "cluster", "--only", "fc_64_12", "--jobs", "1", "--json", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    assert [row["name"] for row in rows] == [f"fc_64_12_{kind}" for kind in bench.PASSES]
    for row in rows:
        assert list(row) == FIELDS
        assert row["mac_per_cycle"] == pytest.approx(row["macs"] / row["cycles"])
        assert row["cores"] == 8
        assert row["measured"] == "whole"
        assert row["name"] in result.output
    macs = {row["name"]: row["macs"] for row in rows}
    assert macs["fc_64_12_step"] == 2 * macs["fc_64_12_bwd_x"] == 2 * 768


def test_a_row_takes_the_same_cycles_in_every_run() -> None:
    machine = find_target("pulp-cluster")
    assert bench.measure_row("fc_64_12_step", machine) == bench.measure_row(
        "fc_64_12_step", machine
    )


def test_fewer_cores_take_longer() -> None:
    one, eight = (
        bench.bench_cluster("fc_128_128_fwd", cores=cores, jobs=1)[0].cycles for cores in (1, 8)
    )
    assert 5 < one / eight <= 8.5


def test_a_register_in_the_fpu_costs_little(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = (Path(ac.__file__).parent / "targets" / "pulp-cluster.toml").read_text()
    own.write_text(text.replace("fpu_latency = { value = 0", "fpu_latency = { value = 1"))
    (late,) = bench.bench_cluster("ae_tiny", target=str(own), jobs=1)
    (row,) = bench.bench_cluster("ae_tiny", jobs=1)
    assert row.cycles < late.cycles <= 1.05 * row.cycles


def test_a_whole_step_and_the_sum_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = find_target("pulp-cluster")
    whole = bench.measure_row("ae_tiny", machine)
    monkeypatch.setattr(bench, "WHOLE_MACS", 0)
    summed = bench.measure_row("ae_tiny", machine)
    assert (whole.measured, summed.measured) == ("whole", "summed")
    assert whole.macs == summed.macs == 77_824
    assert summed.cycles == pytest.approx(whole.cycles, rel=0.15)


def test_every_row_of_the_list_can_be_named() -> None:
    names = bench.bench_rows()
    assert len(names) == len(set(names)) == 7 * 4 + 6
    assert bench.rows_to_run("dw3_64_25x5") == tuple(f"dw3_64_25x5_{k}" for k in bench.PASSES)
    assert bench.rows_to_run("resnet8") == ("resnet8",)
    assert bench.rows_to_run(None) == names


def test_calls_that_read_bits_are_measured_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 3)
    )
    example = (torch.zeros(1, 1, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(
        model, example=example, target="pulp-cluster", name="net", update=ac.BiasOnly()
    )
    assert "u1" in {buffer.dtype for buffer in firmware.program.buffers.values()}
    device = firmware.run("cluster")
    assert isinstance(device, ClusterDevice)
    device.train(*example)
    total = sum_of_calls(firmware, firmware.target)
    calls = len(firmware.program.entries["train"].calls)
    assert device.cycles < total < device.cycles + 100 * calls  # each forks and joins


def test_a_streamed_step_says_what_it_copies(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    arguments = ["bench", "cluster", "--streamed", "--only", "ae_tiny", "--json", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(path.read_text())["rows"]
    assert list(row) == [*FIELDS, "bytes_in", "bytes_out", "of_resident"]
    assert (row["name"], row["measured"], row["machine"]) == ("ae_tiny", "streamed", "pulp-cluster")
    assert row["macs"] == 77_824
    # Of the 114 kB of weights, what does not stay in L1 comes once and leaves changed.
    assert 58_000 < row["bytes_out"] <= row["bytes_in"] < 2 * 114_000
    assert 1 < row["of_resident"] < 2
    assert f"{row['bytes_in']:,}" in result.output


def test_a_step_that_fits_l1_copies_nothing() -> None:
    row = streamed.measure_streamed("dscnn_xs", find_target("pulp-cluster"))
    assert (row.bytes_in, row.bytes_out) == (0, 0)
    assert row.of_resident == pytest.approx(1, rel=0.05)


def test_a_smaller_l1_copies_more() -> None:
    machine = find_target("pulp-cluster").with_memory("l1", 24 * 1024)
    row = streamed.measure_streamed("dscnn_xs", machine)
    assert row.machine == "pulp-cluster, l1 24 KiB"
    assert row.bytes_in > row.bytes_out > 0
    assert row.of_resident is not None and row.of_resident > 1


def test_streamed_rows_are_networks() -> None:
    with pytest.raises(BadOption, match="no streamed row 'fc_64_12'"):
        streamed.bench_streamed("fc_64_12")


def test_a_wrong_row_or_target() -> None:
    with pytest.raises(BadOption, match="no row 'fc_64_13'"):
        bench.rows_to_run("fc_64_13")
    with pytest.raises(BadOption, match="host is not a cluster"):
        bench.bench_cluster("fc_64_12", target="host")
    with pytest.raises(BadOption, match="cannot run on 9 cores"):
        bench.bench_cluster("fc_64_12", cores=9)
