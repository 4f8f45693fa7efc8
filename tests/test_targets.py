# SPDX-License-Identifier: Apache-2.0
"""Targets: the built-in ones are whole, a bad file is a clear error, and changes are labelled.

Longer than other files because every kind of bad file stands in one table.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.errors import AcclimateError, BadOption, BadTarget
from acclimate.targets import (
    FEATURES,
    PROCESSORS,
    SIMULATORS,
    Target,
    find_target,
    size_text,
    target_names,
)

KiB = 1024
GOOD = """\
description = "a board"
simulator = "cluster"
processor = "cv32e40p"
features = ["fpu", "xpulp"]
cores = { value = 8, source = "manual" }
clock_hz = { value = 100_000_000, source = "manual" }
power_mw = { value = 50, source = "measured" }

[[memory]]
name = "l1"
address = 0x1000_0000
size_bytes = { value = 65536, source = "manual" }
reserved_bytes = { value = 8192, source = "manual" }
latency_cycles = { value = 1, source = "manual" }

[[memory]]
name = "l2"
address = 0x1C00_0000
size_bytes = { value = 524288, source = "manual" }
reserved_bytes = { value = 0, source = "manual" }
latency_cycles = { value = 12, source = "manual" }

[cluster]
banks = { value = 16, source = "manual" }
fpus = { value = 4, source = "manual" }
fpu_latency = { value = 1, source = "manual" }
dma_bytes_per_cycle = { value = 8, source = "manual" }
dma_queue = { value = 16, source = "manual" }
icache_bytes = { value = 512, source = "manual" }
icache_miss_cycles = { value = 8, source = "manual" }
"""
CLUSTER_TABLE = GOOD[GOOD.index("[cluster]") :]
L2_TABLE = GOOD[GOOD.index('[[memory]]\nname = "l2"') : GOOD.index("[cluster]")]
L1_SIZE = 'size_bytes = { value = 65536, source = "manual" }'
L2_SIZE = 'size_bytes = { value = 524288, source = "manual" }'
CORES = 'cores = { value = 8, source = "manual" }'
CLOCK = 'clock_hz = { value = 100_000_000, source = "manual" }'

# What is replaced by what; then words of the message, the figure first.
BAD: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "figure missing": (CORES, "", ("cores is missing", "cores = { value = 8")),
    "figure of a memory missing": (L1_SIZE, "", ("memory.l1.size_bytes is missing",)),
    "figure of the cluster missing": (
        'banks = { value = 16, source = "manual" }\n', "", ("cluster.banks is missing",),
    ),
    "text missing": ('description = "a board"', "", ("description is missing",)),
    "bare number": (
        CLOCK, "clock_hz = 100_000_000", ("clock_hz is not a table of value and source",),
    ),
    "source missing": (CORES, "cores = { value = 8 }", ("cores has no source",)),
    "source empty": (
        CORES, 'cores = { value = 8, source = " " }', ("cores has a source that is not one line",),
    ),
    "source of two lines": (
        CORES, 'cores = { value = 8, source = "a\\nb" }', ("cores has a source",),
    ),
    "value missing": (CORES, 'cores = { source = "manual" }', ("cores has no value",)),
    "text for a number": (
        "value = 65536", 'value = "64 kB"', ("memory.l1.size_bytes is not a whole", "'64 kB'"),
    ),
    "fraction for a whole number": ("value = 100_000_000", "value = 1e8", ("clock_hz is not a w",)),
    "bool for a number": ("value = 8,", "value = true,", ("cores is not a whole number", "True")),
    "nan": ("value = 50", "value = nan", ("power_mw is not positive",)),
    "number for a text": ('"a board"', "5", ("description is not text",)),
    "empty text": ('"a board"', '""', ("description is not one line",)),
    "text for a list": ('["fpu", "xpulp"]', '"fpu"', ("features is not a list",)),
    "number for a feature": ('["fpu", "xpulp"]', "[1]", ("features are not names",)),
    "text for an address": ("0x1000_0000", '"0x10000000"', ("memory.l1.address is not a whole",)),
    "one memory, not a list": (
        GOOD[GOOD.index("[[memory]]") : GOOD.index("[cluster]")], '[memory]\nname = "l1"\n',
        ("memory is not a list",),
    ),
    "cluster is a list": ("[cluster]", "[[cluster]]", ("cluster is not a table",)),
    "memories are numbers": (
        GOOD[GOOD.index("[[memory]]") : GOOD.index("[cluster]")], "memory = [1]\n",
        ("memory is not a list of tables",),
    ),
    "unknown key": ("clock_hz =", "clock =", ("clock is not a key", "did you mean 'clock_hz'")),
    "unknown key of a memory": (
        "latency_cycles", "latency", ("memory.l1.latency is not a key", "'latency_cycles'"),
    ),
    "unknown key of the cluster": ("banks", "bank", ("cluster.bank is", "did you mean 'banks'")),
    "unknown key of a figure": (
        "{ value = 16, source", "{ valeu = 16, source", ("cluster.banks.valeu", "'value'"),
    ),
    "unknown simulator": ('"cluster"', '"clutser"', ("simulator is unknown", "'cluster'")),
    "unknown processor": ('"cv32e40p"', '"cv32e40"', ("processor is unknown", "'cv32e40p'")),
    "processor of another simulator": (
        '"cv32e40p"', '"cortex-m4"', ("processor is not one of the simulator 'cluster'",),
    ),
    "unknown feature": ('"xpulp"', '"xplup"', ("features are unknown", "did you mean 'xpulp'")),
    "no cores": ("value = 8, source", "value = 0, source", ("cores is less than 1",)),
    "no clock": ("100_000_000", "0", ("clock_hz is not positive",)),
    "no power": ("value = 50", "value = 0", ("power_mw is not positive",)),
    "no size": ("value = 65536", "value = 0", ("memory.l1.size_bytes is not positive",)),
    "all reserved": ("value = 8192", "value = 65536", ("memory.l1.reserved_bytes leaves nothing",)),
    "less than nothing reserved": (
        "value = 8192", "value = -1", ("memory.l1.reserved_bytes is negative",),
    ),
    "no latency": ("value = 12", "value = 0", ("memory.l2.latency_cycles is less than 1",)),
    "slow l1": (
        'latency_cycles = { value = 1,', 'latency_cycles = { value = 2,',
        ("memory.l1.latency_cycles is not 1",),
    ),
    "slowest first": (
        "value = 12, source = \"manual\" }\n\n[cluster]",
        'value = 12, source = "manual" }\n\n[[memory]]\nname = "l3"\naddress = 0\n'
        'size_bytes = { value = 64, source = "manual" }\n'
        'reserved_bytes = { value = 0, source = "manual" }\n'
        'latency_cycles = { value = 11, source = "manual" }\n\n[cluster]',
        ("memory.l3.latency_cycles is less than that of l2", "fastest first"),
    ),
    "banks not a power of two": (
        "banks = { value = 16", "banks = { value = 12", ("cluster.banks is not a power of two",),
    ),
    "size does not fill the banks": (
        "value = 65536", "value = 65500", ("memory.l1.size_bytes does not fill 16 banks",),
    ),
    "no fpu": (
        "fpus = { value = 4", "fpus = { value = 0", ("cluster.fpus is not between 1 and 8",),
    ),
    "more fpus than cores": ("fpus = { value = 4", "fpus = { value = 16", ("cluster.fpus is not",)),
    "fpus do not divide": (
        "fpus = { value = 4", "fpus = { value = 3",
        ("cluster.fpus does not divide 8 cores", "allowed: 1, 2, 4, 8"),
    ),
    "fpu latency": (
        "fpu_latency = { value = 1", "fpu_latency = { value = 2",
        ("cluster.fpu_latency is not", "0 or 1, which the simulator builds"),
    ),
    "dma of half a word": (
        "dma_bytes_per_cycle = { value = 8", "dma_bytes_per_cycle = { value = 6",
        ("cluster.dma_bytes_per_cycle is not",),
    ),
    "dma of nothing": (
        "dma_bytes_per_cycle = { value = 8", "dma_bytes_per_cycle = { value = 0",
        ("cluster.dma_bytes_per_cycle is not",),
    ),
    "dma wider than the simulator's": (
        "dma_bytes_per_cycle = { value = 8", "dma_bytes_per_cycle = { value = 128",
        ("cluster.dma_bytes_per_cycle is more than the simulator moves", "at most 48"),
    ),
    "more cores than run together": (
        "cores = { value = 8", "cores = { value = 20", ("cores is more than run a step together",),
    ),
    "dma without queue": (
        "dma_queue = { value = 16", "dma_queue = { value = 0",
        ("cluster.dma_queue is less than 1",),
    ),
    "cache of half a set": ("value = 512", "value = 500", ("cluster.icache_bytes is not",)),
    "cache that never misses": (
        "icache_miss_cycles = { value = 8", "icache_miss_cycles = { value = 0",
        ("cluster.icache_miss_cycles is too small",),
    ),
    "memories overlap": (
        "value = 65536", "value = 0xC00_0040", ("memory.l2.address is inside l1", "0x1c00003f"),
    ),
    "two memories of one name": ('name = "l2"', 'name = "l1"', ("memory.l1 is there twice",)),
    "memory without name": ('name = "l1"\n', "", ("memory 1: name is missing",)),
    "memory with a bad name": ('name = "l1"', 'name = "L1 data"', ("'L1 data'",)),
    "outside the address space": (
        "value = 524288", "value = 0xF000_0000", ("memory.l2.address is outside",),
    ),
    "l2 missing": (L2_TABLE, "", ("memory.l2 is missing", "address = 0x1c000000")),
    "l1 elsewhere": ("0x1000_0000", "0x2000_0000", ("memory.l1.address is not where",)),
    "l2 read only": (L2_SIZE, f"writable = false\n{L2_SIZE}", ("memory.l2.writable",)),
    "writable is no bool": (L2_SIZE, f"writable = 0\n{L2_SIZE}", ("memory.l2.writable is not tr",)),
    "cluster missing": (CLUSTER_TABLE, "", ("cluster is missing", "[cluster]")),
    "cluster of no use": (
        'simulator = "cluster"\nprocessor = "cv32e40p"\nfeatures = ["fpu", "xpulp"]',
        'simulator = "host"\nprocessor = "host"\nfeatures = ["fpu"]',
        ("cluster is of no use", "'host'"),
    ),
    "not TOML": ("[cluster]", "[cluster", ("not TOML", "line 23")),
}  # fmt: skip


def written(folder: Path, text: str, name: str = "board.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def invoke(*args: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


@pytest.mark.parametrize("name", target_names())
def test_built_in_target_loads_and_every_figure_has_a_source(name: str) -> None:
    target = find_target(name)
    assert target.name == target.machine == name
    assert target.simulator in SIMULATORS and target.features <= set(FEATURES)
    assert target.processor in PROCESSORS[target.simulator]
    figures = target.figures()
    assert {figure.name for figure in figures} == set(target.sources)
    assert all(figure.source.strip() for figure in figures)
    assert (target.cluster is not None) == (target.simulator == "cluster")
    assert bool(target.memories) == (target.simulator != "host")


def test_targets_are_values() -> None:
    target = find_target("gap9")
    assert target == find_target("gap9") and hash(target) == hash(find_target("gap9"))
    assert pickle.loads(pickle.dumps(target)) == target


def test_figures_of_gap9() -> None:
    target = find_target("gap9")
    assert target.clock_hz == 240_000_000 and target.cores == 8
    assert target.memory("l1").usable_bytes == 93 * KiB
    assert [memory.name for memory in target.memories] == ["l1", "l2"]
    assert not find_target("stm32f407").memory("flash").writable


def test_host_stays_first() -> None:
    assert target_names()[:2] == ["host", "portable"]
    assert target_names()[2:] == sorted(target_names()[2:])


def test_good_file_loads(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    target = find_target(path)
    assert target == find_target(str(path))
    assert target.name == "board" and target.power_mw == 50.0
    assert isinstance(target.power_mw, float)
    assert target.memory("l2").latency_cycles == 12 and target.memory("l2").writable
    assert target.cluster is not None and target.cluster.fpus == 4
    assert target.sources["power_mw"] == "measured"


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_a_clear_error(case: str, tmp_path: Path) -> None:
    old, new, words = BAD[case]
    assert old in GOOD
    with pytest.raises(BadTarget) as caught:
        find_target(written(tmp_path, GOOD.replace(old, new, 1)))
    message = str(caught.value)
    for part in (*words, "board.toml", "hint: "):
        assert part in message


def test_two_cores_of_a_cortex_m_are_refused(tmp_path: Path) -> None:
    text = (Path(ac.__file__).parent / "targets" / "rp2040.toml").read_text()
    with pytest.raises(BadTarget, match="cores is more than the simulator runs"):
        find_target(written(tmp_path, text.replace("value = 1,", "value = 2,", 1)))
    with pytest.raises(BadTarget, match="features are not all features of cortex-m0plus"):
        find_target(written(tmp_path, text.replace("[]", '["fpu"]')))
    with pytest.raises(BadTarget, match="memory has nothing that can be written"):
        find_target(written(tmp_path, text[: text.index("[[memory]]")]))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    with pytest.raises(BadTarget, match=r"no such file(.|\n)*did you mean '.*board\.toml'"):
        find_target(tmp_path / "baord.toml")
    with pytest.raises(BadTarget, match="no such file"):
        find_target(tmp_path / "nowhere" / "x.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(BadTarget, match="cannot be read"):
        find_target(tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes(b'description = "\xb5"\n')
    with pytest.raises(BadTarget, match=r"not UTF-8(.|\n)*0xb5"):
        find_target(tmp_path / "latin.toml")
    with pytest.raises(BadTarget, match="cannot name a target"):
        find_target(written(tmp_path, GOOD, "my board.toml"))


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(BadOption, match="did you mean 'gap9'"):
        find_target("gap8")


def test_with_cores_takes_some_of_them() -> None:
    target = find_target("gap9")
    assert target.with_cores(8) is target
    two = target.with_cores(2)
    assert two.cores == 2 and two.cluster is not None and two.cluster.fpus == 2
    assert two.machine == "gap9, 2 cores" and two.sources["cores"].startswith("fewer than there")
    assert two.with_cores(1).machine == "gap9, 1 core"
    assert target.cluster is not None and target.cluster.fpus == 4
    for cores in (0, 9):
        with pytest.raises(BadOption, match="it has 8 cores"):
            target.with_cores(cores)
    with pytest.raises(BadOption, match="it has 1 core"):
        find_target("host").with_cores(2)


def test_with_memory_is_labelled_hypothetical() -> None:
    target = find_target("pulp-cluster")
    assert target.with_memory("l1", 64 * KiB) is target
    large = target.with_memory("l1", 2048 * KiB)
    assert large.name == "pulp-cluster" and large.machine == "pulp-cluster, l1 2048 KiB"
    assert large.changes == ("l1 2048 KiB",)
    assert large.description == f"hypothetical: {target.description}"
    source = large.sources["memory.l1.size_bytes"]
    assert source == f"hypothetical, instead of: {target.sources['memory.l1.size_bytes']}"
    assert large.memory("l1").size_bytes == 2048 * KiB
    assert large.memory("l2") == target.memory("l2") and target.changes == ()
    both = large.with_memory("l1", 256 * KiB).with_cores(4).with_memory("l2", 1024 * KiB)
    assert both.machine == "pulp-cluster, l1 256 KiB, 4 cores, l2 1024 KiB"
    assert both.description.count("hypothetical") == 1
    assert both.sources["memory.l1.size_bytes"] == source


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("l3", 1024, "allowed: l1, l2"),
        ("l1", 8192, "leaves nothing"),
        ("l1", -4, "not positive"),
        ("l1", 65537, "does not fill 16 banks"),
        ("l1", 256 * KiB * KiB, "is inside l1"),
    ],
)
def test_with_memory_refuses_what_cannot_be(name: str, size: int, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        find_target("pulp-cluster").with_memory(name, size)


def test_a_target_without_memories_says_so() -> None:
    with pytest.raises(BadOption, match=r"host has no memory 'l1'(.|\n)*no memories"):
        find_target("host").memory("l1")


def test_energy_is_power_times_time() -> None:
    target = find_target("gap9")
    # 40.6 mW for 0.5 s = 20.3 mJ
    assert target.energy_uj(120_000_000) == pytest.approx(20_300)
    assert find_target("host").energy_uj(1) is None
    assert find_target("pulp-cluster").energy_uj(1) is None


def test_sizes_are_exact() -> None:
    sizes = [size_text(size) for size in (131072, 2000, 1500, 0)]
    assert sizes == ["128 KiB", "2 kB", "1500 B", "0 KiB"]


def test_compile_for_a_file_of_the_user(tmp_path: Path) -> None:
    example = (torch.zeros(1, 4), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(nn.Linear(4, 3), example=example, target=str(written(tmp_path, GOOD)))
    assert isinstance(firmware.target, Target) and firmware.target.name == "board"


def test_cli_lists_the_targets() -> None:
    lines = invoke("targets").stdout.splitlines()
    assert [line.split()[0] for line in lines[::2]] == target_names()
    assert max(len(line) for line in lines) <= 100
    gap9 = lines[2 * target_names().index("gap9")]
    for cell in ("8 x cv32e40p", "240 MHz", "40.6 mW", "l1 128, l2 1536, l3 32768 KiB"):
        assert cell in gap9
    listed = json.loads(invoke("targets", "--json").stdout)["targets"]
    assert [target["name"] for target in listed] == target_names()


def test_cli_shows_one_target_with_its_sources(tmp_path: Path) -> None:
    text = invoke("targets", "gap9").stdout
    words = " ".join(text.split())
    for name, source in find_target("gap9").sources.items():
        assert name in text
        assert source.split(":")[0] in words
    assert "93 KiB of 128 KiB usable" in text
    assert max(len(line) for line in text.splitlines()) <= 100
    document = json.loads(invoke("targets", "gap9", "--json").stdout)
    assert document["sources"] == find_target("gap9").sources
    assert document["features"] == ["fpu", "xpulp"] and document["cluster"]["fpus"] == 4
    assert document["memories"][0]["usable_bytes"] == 93 * KiB
    assert invoke("targets", written(tmp_path, GOOD)).stdout.startswith("board: a board\n")
    result = invoke("targets", "gap8", code=2)
    assert result.stdout == "" and "did you mean 'gap9'" in result.stderr


def test_bad_target_is_an_error_of_the_user() -> None:
    assert issubclass(BadTarget, AcclimateError)
