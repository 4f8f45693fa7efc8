# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: its code runs, its tables are those of the declarations."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import acclimate as ac
from acclimate.targets import Cluster, find_target

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TARGETS = ROOT / "src" / "acclimate" / "targets"


def code_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)


@pytest.mark.parametrize("page", ["operators", "targets"])
def test_reference_is_up_to_date(page: str) -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (DOCS / f"{page}.md").read_text()
    assert written == getattr(module, page)(), "run python docs/generate.py"


def test_own_target_of_the_documentation_loads(tmp_path: Path) -> None:
    own, cluster, l3 = code_blocks(DOCS / "targets.md", "toml")
    path = tmp_path / "my_board.toml"
    path.write_text(own)
    assert find_target(path).memory("ram").usable_bytes == 262144 - 16384
    names = {field.name for field in fields(Cluster)}
    assert tomllib.loads(cluster)["cluster"].keys() == names
    behind = tmp_path / "behind.toml"
    given = (TARGETS / "pulp-cluster.toml").read_text()
    behind.write_text(given + l3.replace('"..."', '"page 1"'))
    found = find_target(behind).l3
    assert found is not None and found.bytes_per_cycle == 0.9


def test_readme_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = code_blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    exec(example, names)
    assert 0 < float(str(names["loss"])) < 10
    assert (tmp_path / "build" / "kws" / "kws.c").exists()


def test_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, compiling, training = code_blocks(DOCS / "tutorial.md", "python")
    names: dict[str, object] = {}
    exec(model, names)
    exec(compiling, names)
    spec = names["spec"]
    assert isinstance(spec, dict)
    names["samples"] = [spec["example"]] * 3
    names["x"] = spec["example"][0]
    exec(training, names)
    assert (tmp_path / "build" / "activity.ckpt").exists()


def test_features_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in code_blocks(DOCS / "features.md", "python"):
        exec(block, names)
    assert getattr(names["x"], "shape", None) == (1, 1, 49, 10)
    assert "kws_features" in (tmp_path / "build" / "kws" / "kws.h").read_text()


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), (
                f"{page.name}: {target}"
            )


def test_version_is_the_one_of_the_package() -> None:
    assert f'version = "{ac.__version__}"' in (ROOT / "pyproject.toml").read_text()
