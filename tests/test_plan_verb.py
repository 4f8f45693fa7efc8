# SPDX-License-Identifier: Apache-2.0
"""`acclimate plan`: names, costs, the front, what does not fit, and the way back to a firmware."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.errors import BadOption, DoesNotFit
from acclimate.estimate import entry_cycles
from acclimate.plan import Team, with_teams
from acclimate.plan.team import share_work
from acclimate.report.choices import find_choice
from acclimate.report.front import pareto_front
from acclimate.report.points import Survey

USER_FILE = """\
import torch
from torch import nn
import acclimate as ac

def make():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Sigmoid(), nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(),
        nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )
    example = torch.zeros(1, 1, 8, 8), torch.tensor([1])
    return model, example, {"plans": {"first": ac.Layers("0")}}

def taken():
    return *make()[:2], {"plans": {"last-3": ac.Head()}}

def no_policy():
    return *make()[:2], {"plans": {"first": "conv1"}}
"""


class Net(nn.Module):
    """Three layers whose activations wait for the backward pass, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.sigmoid(self.first(x))
        y = torch.sigmoid(self.second(y))
        y = torch.sigmoid(self.third(y))
        return self.head(y.mean((2, 3)))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Net()


EXAMPLE = (torch.zeros(1, 1, 8, 8), torch.tensor([1]))
PLANS = {"first": ac.Layers("first")}


@pytest.fixture(scope="module")
def found() -> Survey:
    return ac.survey(network(), example=EXAMPLE, target="stm32f407", plans=PLANS)


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "kws.py"
    path.write_text(USER_FILE)
    return path


def invoke(*args: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def test_points_are_the_policies_and_recomputing_ones(found: Survey) -> None:
    names = [point.name for point in found]
    assert [name for name in names if "+" not in name] == [
        "all", "last-2", "head", "bias-head", "bias", "first",
    ]  # fmt: skip
    assert "all+recompute-75" in names
    assert "own" not in names  # everything requires grad: it is the point `all`
    assert [found[name].trained for name in ("all", "head", "bias")] == [351, 15, 15]


def test_costs_are_those_of_the_compiled_firmware(found: Survey) -> None:
    for name in ("all", "all+recompute-75", "head"):
        point = found[name]
        plan = point.compile().plan
        assert point.cost and point.fits
        assert [room.memory for room in point.cost.rooms] == ["ccm", "ram", "flash"]
        assert plan.arena_bytes <= point.cost.parts["arena"]
        assert plan.ram_bytes <= point.cost.ram_bytes
        assert point.cost.milliseconds == pytest.approx(point.cost.cycles / 168e3)


def test_a_cluster_has_a_fast_memory_and_energy() -> None:
    found = ac.survey(network(), example=EXAMPLE, target="gap9", cores=2, budget={"l1": "4 kB"})
    for point in found:
        assert point.cost and point.fits
        l1, l2, *pages = point.cost.rooms
        assert (l1.memory, l2.memory, l1.usable_bytes) == ("l1", "l2", 4000)
        assert [room.memory for room in pages] == ["l3"] * ("page" in point.name)
        assert l1.taken_bytes <= 4000 and point.cost.energy_mj
    assert "gap9, 2 cores" in found.text() and "l1 [B]" in found.text()


def test_recomputing_trades_cycles_for_ram(found: Survey) -> None:
    kept, again = found["all"], found["all+recompute-75"]
    assert kept.cost and again.cost and again.extra_percent is not None
    assert again.cost.parts["arena"] <= 0.75 * kept.cost.parts["arena"]
    assert again.cost.cycles > kept.cost.cycles and again.extra_percent > 0
    assert kept.extra_percent is None


def test_paging_is_listed_where_there_is_a_second_memory(found: Survey) -> None:
    kept, again, paged = (found[f"all{end}"] for end in ("", "+recompute-75", "+page-75"))
    assert kept.cost and again.cost and paged.cost
    assert paged.cost.parts["page"] > 0 and paged.cost.macs == kept.cost.macs < again.cost.macs
    assert paged.cost.ram_bytes < kept.cost.ram_bytes and paged.cost.cycles > kept.cost.cycles
    firmware = paged.compile()
    pages = [b.size_bytes for b in firmware.program.buffers.values() if b.role == "page"]
    assert sum(pages) == paged.cost.parts["page"]
    alone = ac.survey(network(), example=EXAMPLE, target="rp2040")
    assert not any("page" in point.name or "either" in point.name for point in alone)


def test_what_does_not_fit_is_tried_with_less_ram() -> None:
    """As much as the device needs, by either way, and the cheaper of both where that differs."""
    needed = ac.compile(network(), example=EXAMPLE, update=ac.All(), target="stm32l476").plan
    limit = needed.ram_bytes - needed.arena_bytes // 4
    found = ac.survey(network(), example=EXAMPLE, target="stm32l476", budget={"ram": limit})
    assert not found["all"].fits
    for name in ("all+recompute", "all+page"):
        point = found[name]
        assert point.fits and point.cost and point.cost.ram_bytes <= limit
        assert point.compile().plan.ram_bytes <= limit
    if "all+either" in [point.name for point in found]:
        costs = [found[f"all+{way}"].cost for way in ("either", "page", "recompute")]
        cycles = [cost.cycles for cost in costs if cost]
        assert cycles[0] < min(cycles[1:])


def test_points_can_be_too_slow(found: Survey) -> None:
    """Time and energy are budgets: a point over them says so beside its cost."""
    cost = found["all"].cost
    assert cost and cost.milliseconds and cost.energy_mj
    for budget in ({"ms": 0.9 * cost.milliseconds}, {"mj": 0.9 * cost.energy_mj}):
        slow = ac.survey(network(), example=EXAMPLE, target="stm32f407", budget=budget)
        assert not slow["all"].fits and "takes about" in slow["all"].refusal
        assert slow["all"].cost == cost and slow["head"].fits
        assert slow["all"].late in slow.html() and "What does not fit" in slow.html()
        with pytest.raises(DoesNotFit, match="takes about"):
            slow["all"].compile()


def test_names_round_trip(found: Survey) -> None:
    for point in found:
        assert find_choice(point.name, PLANS) == point.choice
    assert find_choice("last-7+recompute-33", {}).update == ac.Last(7)
    mixed, free = find_choice("head+either-60", {}), find_choice("head+page", {})
    assert (mixed.recompute, mixed.page) == ("60%", "60%")
    assert (free.recompute, free.page) == ("never", "auto")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("haed", "did you mean 'head'?"),
        ("last-0", "did you mean 'last-2'?"),
        ("all+recompute-100", "did you mean 'all+recompute-"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(found: Survey, name: str, hint: str) -> None:
    with pytest.raises(BadOption, match="there is no point") as error:
        find_choice(name, {})
    assert hint in str(error.value)
    with pytest.raises(BadOption, match="there is no point"):
        found[name]


def test_front_is_what_nothing_dominates() -> None:
    seed = 7
    numbers = random.Random(seed)
    for _ in range(200):
        costs = [[numbers.randrange(5) for _ in range(3)] for _ in range(numbers.randrange(12))]
        front = set(pareto_front(costs))
        for number, mine in enumerate(costs):
            beaten = any(
                other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
                for other in costs
            )
            assert (number in front) is not beaten, (seed, costs)
    assert pareto_front([]) == ()


def test_front_of_a_survey_has_the_smallest_and_the_one_that_learns_most(found: Survey) -> None:
    costs = {point.name: point.cost.ram_bytes for point in found if point.cost}
    front = [point.name for point in found.front]
    assert min(costs, key=costs.__getitem__) in front
    assert any(point.trained == 351 for point in found.front)


def test_a_point_that_does_not_fit_says_why() -> None:
    needed = ac.compile(network(), example=EXAMPLE, update=ac.All(), target="rp2040").plan.ram_bytes
    limit = needed - 400
    found = ac.survey(network(), example=EXAMPLE, target="rp2040", budget={"ram": limit})
    whole, head = found["all"], found["head"]
    assert not whole.fits and not whole.front and head.fits and head.front
    assert whole.cost and whole.cost.rooms[0].over_bytes >= 400
    assert re.search(r"ram is [\d,]+ B short", whole.refusal)
    assert whole.large and all(large.source for large in whole.large)
    assert any("test_plan_verb.py:" in large.source for large in whole.large)
    with pytest.raises(DoesNotFit):
        whole.compile()


def test_a_budget_error_names_policies_that_fit() -> None:
    head = ac.compile(network(), example=EXAMPLE, update=ac.Head()).plan.ram_bytes
    with pytest.raises(DoesNotFit) as error:
        ac.compile(network(), example=EXAMPLE, budget={"ram": head})
    lines = str(error.value.hint).splitlines()
    assert lines[0] == f"update=ac.Head()  # {head:,} B of RAM"
    assert "recompute='auto'" in lines[-1]
    with pytest.raises(DoesNotFit) as bare:
        ac.compile(network(), example=EXAMPLE, budget={"ram": 50})
    assert "update=" not in str(bare.value.hint)


def test_a_budget_error_names_no_policy_that_is_too_slow() -> None:
    with pytest.raises(DoesNotFit, match="takes about") as error:
        ac.compile(network(), example=EXAMPLE, target="stm32f407", budget={"ms": "0.001"})
    assert "update=" not in str(error.value.hint)


def test_a_survey_needs_something_that_learns() -> None:
    with pytest.raises(BadOption, match="nothing learns"):
        ac.survey(network(), example=EXAMPLE, entries=("predict",))


def test_the_share_of_an_arena_is_checked() -> None:
    with pytest.raises(BadOption, match="neither 'auto' nor 'never' nor a share"):
        ac.compile(network(), example=EXAMPLE, recompute="100%")
    with pytest.raises(DoesNotFit, match="even with activations computed again") as error:
        ac.compile(network(), example=EXAMPLE, update=ac.Head(), recompute="1%")
    assert "a larger share than recompute='1%'" in str(error.value.hint)


def test_plan_prints_a_table_and_writes_a_page(user_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    result = invoke("plan", f"{user_file}:make", "--target", "stm32f407", "--html", page)
    lines = result.stdout.splitlines()
    head = next(line for line in lines if line.split()[:2] == ["point", "trains"])
    assert {"cycles", "fits", "front"} <= set(head.split())
    assert any(line.split()[:2] == ["head", "15"] for line in lines)
    assert "estimates" in lines[-1] and str(page) in result.stderr
    text = page.read_text()
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert not re.search(r"https?://|<link|src=|@import|url\(", text)
    assert "all+recompute-75" in text and text.count("<circle") >= 6


def test_plan_tells_how_many_choices_are_done() -> None:
    told: list[tuple[int, int, str]] = []
    found = ac.survey(
        network(), example=EXAMPLE, target="stm32f407", progress=lambda *news: told.append(news)
    )
    done = [number for number, _, _ in told]
    totals = [total for _, total, _ in told]
    assert done == sorted(done) and totals == sorted(totals)
    assert all(number < total for number, total, _ in told)
    assert {point.name for point in found} <= {name for _, _, name in told}


def test_plan_shares_out_no_work_and_checks_the_model_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked, shared = [], []
    module = sys.modules[with_teams.__module__]  # the package has a function of its name
    whole = share_work

    def share(*args: Any) -> Team:
        shared.append(args[-1])
        return whole(*args)

    monkeypatch.setattr(module, "share_work", share)
    monkeypatch.setattr("acclimate.capture.check_model", lambda *_: checked.append(1))
    monkeypatch.setattr("acclimate.report.processes._processors", lambda: 1)  # here, to be counted
    budget = {"l1": "4kB"}
    found = ac.survey(network(), example=EXAMPLE, target="pulp-cluster", budget=budget)
    assert len(checked) == 1 and found.front and set(shared) == {1}
    monkeypatch.undo()
    cost, firmware = found["all"].cost, found["all"].compile()
    assert cost and firmware.stages[-1].name == "stream"
    entry = firmware.program.entries["train"]
    spent = entry_cycles(firmware.program, entry, firmware.plan, firmware.target)
    assert cost.cycles == spent


def test_plan_that_is_interrupted_leaves_nothing(
    user_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("acclimate.report.survey.with_front", stopped)
    before = set(tmp_path.rglob("*"))
    result = invoke("plan", f"{user_file}:make", "--html", tmp_path / "p" / "plan.html", code=130)
    assert result.stderr.endswith("interrupted\n") and not result.stdout
    assert {path for path in tmp_path.rglob("*") if path.suffix != ".pyc"} - before <= {
        tmp_path / "__pycache__"
    }


def test_plan_json_has_the_promised_keys(user_file: Path) -> None:
    options = ("--target", "stm32f407", "--budget", "ram=3kB", "--json")
    document = json.loads(invoke("plan", f"{user_file}:make", *options).stdout)
    assert document["format"] == 1 and document["cycles_are"] == "estimate"
    assert set(document) == {
        "format", "acclimate", "name", "title", "target", "cycles_are", "front", "points",
    }  # fmt: skip
    points = {point["name"]: point for point in document["points"]}
    for point in points.values():
        assert point["fits"] is (point["refusal"] is None)
        assert point["front"] is (point["name"] in document["front"])
        assert {"ram_bytes", "flash_bytes", "macs", "cycles", "parts", "memories"} <= set(
            point["cost"]
        )
    assert points["all"]["largest"] and "B short" in points["all"]["refusal"]
    assert points["first"]["update"] == "Layers('0')"


def test_compile_takes_a_point_by_name(user_file: Path, tmp_path: Path) -> None:
    spec, out = f"{user_file}:make", tmp_path / "c"
    result = invoke(
        "compile", spec, "--out", out, "--point", "all+recompute-80", "--target", "stm32f407"
    )
    assert "recompute" in result.stdout and (out / "kws.c").is_file()
    head = json.loads(invoke("report", spec, "--point", "head", "--json").stdout)
    first = json.loads(invoke("report", spec, "--point", "first", "--json").stdout)
    assert head["memory"]["static"]["parameter_bytes"] == 4 * 15
    assert first["memory"]["static"]["parameter_bytes"] == 4 * 40
    invoke("run", spec, "--point", "own", "--steps", "1")
    wrong = invoke("compile", spec, "--out", out, "--point", "frist", code=2)
    assert "did you mean 'first'?" in wrong.stderr
    for way in ("recompute", "page"):
        both = invoke("report", spec, "--point", "head", f"--{way}", "auto", code=2)
        assert f"hint: --point head+{way}-75" in both.stderr
    paged = invoke("report", spec, "--page", "75%", "--target", "stm32f407", "--json")
    assert json.loads(paged.stdout)["memory"]["static"]["page_bytes"] > 0
    budget = ("--budget", "ram=90kB,ms=0.001", "--target", "stm32f407")
    assert "takes about" in invoke("report", spec, *budget, code=2).stderr


@pytest.mark.parametrize(
    ("function", "what"),
    [("taken", "'last-3' has a meaning already"), ("no_policy", "is not an update policy")],
)
def test_wrong_plans_are_refused(user_file: Path, function: str, what: str) -> None:
    assert what in invoke("plan", f"{user_file}:{function}", code=2).stderr
