# SPDX-License-Identifier: Apache-2.0
"""The tuner: what it measures, keeps, resumes and refuses; and that compile takes what it found."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.errors import BadOption, MissingTool
from acclimate.firmware import Firmware
from acclimate.kernels import OPS
from acclimate.kernels.pulp.core import Core
from acclimate.kernels.pulp.work import Choice
from acclimate.models import REGISTRY
from acclimate.program import Program
from acclimate.report.bench import example_of
from acclimate.targets import find_target
from acclimate.tune import applicable, select_kernels, tuner
from acclimate.tune.cache import Record, find_record, keep_record, shipped
from acclimate.tune.select import most_promising
from acclimate.tune.tuner import Tuned, tune
from acclimate.tune.workload import Candidate, Workload, machine_name, request_of

PULP = find_target("pulp-cluster")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of these tests are nobody else's; simulators and objects stay shared."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("acclimate.tune.cache.cache_root", lambda: folder)
    monkeypatch.setattr("acclimate.tune.cache.cache_folder", lambda *parts: _made(folder, parts))
    return folder


def _made(folder: Path, parts: tuple[str, ...]) -> Path:
    path = folder.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def model() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 7, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 25, 3)]
    return nn.Sequential(*layers), (torch.randn(1, 3, 5, 5), torch.tensor([0]))


def compiled(target: str = "pulp-cluster") -> Firmware:
    net, example = model()
    return ac.compile(net, example=example, target=target, name="net", entries=("train",))


class Here(Executor):
    """Runs everything at once, in this process."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def here(scheduler: str | None, jobs: int | None) -> Iterator[Executor]:
    yield Here()


@contextmanager
def one_thread(scheduler: str | None, jobs: int | None) -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def pretend(monkeypatch: pytest.MonkeyPatch, cycles: Callable[[Workload, Candidate], int]) -> list:
    """Measurements that a function makes up; returns what was measured."""
    seen = []

    def measure(workload: Workload, candidate: Candidate, target: object) -> int:
        seen.append((workload, candidate))
        return cycles(workload, candidate)

    monkeypatch.setattr(tuner, "measure", measure)
    monkeypatch.setattr(tuner, "_executor", here)
    return seen


def length(workload: Workload, candidate: Candidate) -> int:
    """A number that depends on the candidate alone."""
    return 1000 + sum(map(ord, str(candidate))) % 997


def test_the_fastest_candidate_is_kept_and_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = pretend(monkeypatch, length)
    found = tune(compiled().program, PULP)
    assert {row.workload.op for row in found} >= {"conv2d_fwd", "conv2d_step", "linear_fwd"}
    for row in found:
        measured = [c for w, c in seen if w == row.workload]
        assert row.record.cycles == min(length(row.workload, c) for c in measured)
        assert row.record.untuned == length(row.workload, measured[0])
        assert row.record.measured == len(measured) == len(set(measured)) > 1
    best = {str(row.workload): row.record.best for row in found}
    for call in compiled().program.calls():
        if call.kernel is not None:
            wanted = best[str(Workload.of(call))]
            assert (call.kernel.symbol, call.choice) == (wanted.kernel, wanted.choice)


def test_the_untuned_candidate_is_what_compile_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = pretend(monkeypatch, length)
    before = {str(Workload.of(c)): c for c in compiled().program.calls() if c.kernel}
    tune(compiled().program, PULP)
    first: dict[str, Candidate] = {}
    for workload, candidate in seen:
        first.setdefault(str(workload), candidate)
    for name, call in before.items():
        assert first[name] == Candidate(call.kernel.symbol, call.choice)


def test_a_second_run_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = pretend(monkeypatch, length)
    first = tune(compiled().program, PULP)
    count = len(seen)
    second = tune(compiled().program, PULP)
    assert len(seen) == count
    assert [row.record for row in first] == [row.record for row in second]
    assert not any(row.known for row in first) and all(row.known for row in second)
    tune(compiled().program, PULP, again=True)
    assert len(seen) == 2 * count


def test_what_was_done_before_a_stop_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def stopping(workload: Workload, candidate: Candidate) -> int:
        if len({w for w in done if w != workload}) == 2:
            raise KeyboardInterrupt
        done.append(workload)
        time.sleep(0.01)  # so that results arrive one by one
        return length(workload, candidate)

    pretend(monkeypatch, stopping)
    monkeypatch.setattr(tuner, "_executor", one_thread)
    with pytest.raises(KeyboardInterrupt):
        tune(compiled().program, PULP)
    seen = pretend(monkeypatch, length)
    tune(compiled().program, PULP)
    finished = set(done) - {workload for workload, _ in seen}
    assert finished  # some were whole before the stop, and are not measured again
    assert all(find_record(machine_name(PULP), str(w)) for w in finished)


@pytest.mark.parametrize("damage", ["", "{", '{"machine": 1}', '{"choice": []}', "\x00\x01"])
def test_a_damaged_record_is_measured_again(
    damage: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = pretend(monkeypatch, length)
    tune(compiled().program, PULP)
    for path in (own_cache / "tuned").iterdir():
        path.write_text(damage)
    compiled()
    count = len(seen)
    tune(compiled().program, PULP)
    assert len(seen) == 2 * count


def test_a_record_of_a_kernel_that_is_gone_is_passed_over() -> None:
    plain = compiled()
    calls = [call for call in plain.program.calls() if call.kernel]
    for call, best in zip(
        calls,
        [Candidate("ac_gone"), Candidate(calls[1].kernel.symbol, Choice.of(nonsense=1))] * 9,
        strict=False,
    ):
        record = Record(best, 1, 1, 1)
        keep_record(machine_name(PULP), str(Workload.of(call)), record)
    again = [call for call in compiled().program.calls() if call.kernel]
    assert [(c.kernel, c.choice) for c in again] == [(c.kernel, c.choice) for c in calls]


def test_workloads_are_rebuilt_from_their_numbers() -> None:
    for call in compiled().program.calls():
        if not call.op.kernels:
            continue
        workload = Workload.of(call)
        (other,) = workload.program().entries["run"].calls
        assert other.values() == call.values() and Workload.of(other) == workload
        mine, theirs = request_of(call, Core(8)), request_of(other, Core(8))
        assert mine.operands == theirs.operands


def test_machines_differ_where_cycles_do() -> None:
    names = {machine_name(find_target(name)) for name in ("pulp-cluster", "gap9", "stm32f407")}
    names.add(machine_name(PULP.with_cores(4)))
    assert len(names) == 4
    assert machine_name(PULP.with_memory("l1", 1 << 20)) == machine_name(PULP)


def test_the_host_cannot_be_tuned() -> None:
    with pytest.raises(BadOption, match="counts no cycles"):
        tune(compiled("host").program, find_target("host"))


def test_a_missing_dask_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tuner, "import_module", absent)
    with pytest.raises(MissingTool, match="Dask"):
        tune(compiled().program, PULP, scheduler="tcp://localhost:1")


def test_dask_measures_too() -> None:
    distributed = pytest.importorskip("distributed")
    options = {
        "n_workers": 1,
        "threads_per_worker": 1,
        "processes": False,
        "dashboard_address": None,
    }
    with distributed.LocalCluster(**options) as cluster:
        program = select_kernels(one_linear(), PULP)
        (row,) = tune(program, PULP, scheduler=cluster.scheduler_address)
    assert row.record.cycles <= row.record.untuned


def one_linear() -> Program:
    return Workload(
        "linear_fwd", (("C", 24), ("K", 9), ("N", 1), ("hi", 6.0), ("lo", 0.0)), ("b",), False
    ).program()


def test_measured_on_the_cluster_tuned_is_not_slower() -> None:
    rows: list[Tuned] = tune(one_linear(), PULP, candidates=2)
    (row,) = rows
    assert 0 < row.record.cycles <= row.record.untuned
    assert row.record.measured >= 2


def test_cortex_m_is_tuned_on_its_own_simulator() -> None:
    target = find_target("stm32f407")
    (row,) = tune(one_linear(), target)
    assert row.record.best.kernel in {"ac_linear_fwd_f32", "ac_linear_fwd_f32_block"}
    assert row.record.measured == 2 and row.predicted is None


@pytest.mark.parametrize("name", ["deep_autoencoder", "ae_tiny", "dscnn_xs", "dscnn_s"])
def test_published_networks_come_with_records(name: str) -> None:
    case = REGISTRY[name]
    net, x, y = example_of(case)
    large = PULP.with_memory("l1", 16 * 1024 * 1024)  # else its calls are cut into tiles
    firmware = ac.compile(net, example=(x, y), loss=case.loss, target=large, name="net")
    table = shipped(machine_name(PULP))
    for call in firmware.program.calls():
        if call.op.kernels:
            record = table[str(Workload.of(call))]
            assert call.kernel is not None and call.kernel.symbol == record.best.kernel
            assert call.choice == record.best.choice


@pytest.mark.parametrize("path", sorted((Path(tuner.__file__).parent / "tuned").glob("*.json")))
def test_shipped_records_are_of_a_target_and_can_be_written(path: Path) -> None:
    target = find_target(path.stem.removesuffix("-1"))
    target = target.with_cores(1) if path.stem.endswith("-1") else target
    document = json.loads(path.read_text())
    assert document["machine"] == machine_name(target)
    symbols = {kernel.symbol for op in OPS for kernel in op.kernels}
    for record in document["records"].values():
        assert Record.read(record).best.kernel in symbols
        assert 0 < record["cycles"] <= record["untuned"]


def test_predictions_are_near_the_measurements_of_the_shipped_records() -> None:
    """The cost model ranks: on the published networks it is within 10 % of the RTL on average."""
    errors = []
    for name in ("deep_autoencoder", "dscnn_s"):
        net, x, y = example_of(REGISTRY[name])
        case = REGISTRY[name]
        large = PULP.with_memory("l1", 16 * 1024 * 1024)
        firmware = ac.compile(net, example=(x, y), loss=case.loss, target=large, name="net")
        for row in tune(firmware.program, PULP):
            if row.predicted is not None:
                errors.append(abs(row.predicted / row.record.cycles - 1.0))
    assert len(errors) >= 10 and sum(errors) / len(errors) < 0.1


def test_the_verb_says_what_it_gained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, length)
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n    return nn.Linear(24, 9), (torch.zeros(1, 24), torch.zeros(1, 9)),"
        " {'loss': 'mse'}\n"
    )
    done = CliRunner().invoke(app, ["tune", f"{file}:make"])
    assert done.exit_code == 0, done.output
    assert "fewer cycles than untuned" in done.output and "linear_fwd" in done.output
    again = CliRunner().invoke(app, ["tune", f"{file}:make", "--json"])
    rows = json.loads(again.stdout)
    assert all(row["known"] for row in rows) and rows[0]["workload"].startswith("linear_fwd")
    bad = CliRunner().invoke(app, ["tune", f"{file}:make", "--target", "host"])
    assert bad.exit_code == 2 and "counts no cycles" in bad.output


def test_every_generated_kernel_is_first_where_it_applies() -> None:
    """Without records a PULP core never runs portable C where a generator serves the call."""
    firmware = compiled()
    for call in firmware.program.calls():
        if not call.op.kernels:
            continue
        generators = [k for k in applicable(call, PULP.features) if k.generator]
        request = request_of(call, Core.of(PULP))
        if any(most_promising(kernel, request) for kernel in generators):
            assert call.work is not None, call.op.name
