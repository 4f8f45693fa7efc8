# SPDX-License-Identifier: Apache-2.0
"""Kits of a model larger than L1: its arrays stay in L2, and the port copies parts of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.simulate.compiler import WARNINGS
from test_emit import run
from test_kits import (
    BARE,
    PULP,
    RV32,
    STANDINS,
    X,
    cmake_sources,
    compile_c,
    firmware,
    pulp_sources,
)


@cache
def streamed(target: str) -> ac.Firmware:
    """Two layers with four times the bytes of the L1 that they may take."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(36, 64), nn.ReLU(), nn.Linear(64, 16))
    example = (torch.from_numpy(X.reshape(1, 36)), torch.tensor([0]))
    budget = {"l1": "4 kB"} if target != "host" else None
    return ac.compile(model, example=example, target=target, name="kws", budget=budget)


def assert_streamed_losses(output: str) -> None:
    device = streamed("host").run("host")
    wanted = [device.train(X.reshape(1, 36), np.array([0]), lr=0.01) for _ in range(10)]
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", output)]
    np.testing.assert_allclose(losses, wanted, atol=2e-6)


@pytest.mark.parametrize(("target", "port"), [("rv32imf", "single"), ("pulp-cluster", "threads")])
def test_cmake_copies_between_memories(target: str, port: str, tmp_path: Path) -> None:
    folder = streamed(target).in_c().export(tmp_path / "c")
    text = (folder / "CMakeLists.txt").read_text()
    assert f"PRIVATE port_{port}.c port_copies.c)" in text
    sources = [*cmake_sources(folder), f"port_{port}.c", "port_copies.c"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.c")}
    assert present == {*sources, "main.c"}
    program = compile_c(folder, ["main.c", *sources], (*WARNINGS, "-I.", "-lm", "-lpthread"))
    assert_streamed_losses(run(program))


def test_pulp_tree_compiles_for_riscv(tmp_path: Path) -> None:
    folder = streamed("gap9").export(tmp_path / "c", kit="pulp-sdk")
    compile_c(folder, pulp_sources(folder), (*WARNINGS, *RV32, *BARE, *PULP, "-I."))


@pytest.mark.parametrize("target", ["pulp-cluster", "rv32imf"])
def test_pulp_model_larger_than_l1_fetches_from_l2(target: str, tmp_path: Path) -> None:
    """The DMA fetches parts of what the application passes, so that stays in L2."""
    folder = streamed(target).in_c().export(tmp_path / "c", kit="pulp-sdk")
    sources = pulp_sources(folder)
    assert {"port_pulp.c", "port_pulp_copies.c"} < set(sources)
    main = (folder / "main.c").read_text()
    assert "kws_train(l2.x, l2.y, 0.01f)" in main and "transfer(" not in main
    assert "The arguments lie in L2" in (folder / "README.md").read_text()
    assert "that are passed lie in l2" in (folder / "kws.h").read_text()
    host = STANDINS / "pulp" / "pmsis_host.c"
    flags = (*WARNINGS, *PULP, "-I.", "-lm", "-lpthread")
    assert_streamed_losses(run(compile_c(folder, [*sources, host], flags)))


def test_pulp_port_copies_only_where_the_model_does() -> None:
    """Its commands take L1."""
    assert "port_pulp_copies.c" not in firmware("pulp-cluster").sources(kit="pulp-sdk")
