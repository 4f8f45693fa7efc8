# SPDX-License-Identifier: Apache-2.0
"""Every kit builds: with the compiler that is here, against the headers of what is not.

`tests/kits` has stand-ins for PMSIS and for Arduino's core that run the examples on this machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.emit import KITS, port_file
from acclimate.errors import BadOption, BadOutput
from acclimate.simulate.compiler import WARNINGS, zig, zig_environment
from acclimate.targets import find_target, target_names
from test_emit import run

ROOT = Path(__file__).parents[1]
STANDINS = Path(__file__).parent / "kits"
SHIMS = ROOT / "src" / "acclimate" / "simulate" / "bare" / "include"
BARE = ("-fhosted", "-isystem", str(SHIMS), "-isystem", str(STANDINS / "bare"), "-c")
RV32 = ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+f", "-mabi=ilp32")
THUMB = ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4")
PULP = (f"-I{STANDINS / 'pulp'}", "-DAC_PULP", "-DSTACK_BYTES=1024")
X = (np.arange(36) % 7 * np.float32(0.1)).reshape(1, 1, 6, 6).astype(np.float32)


@cache
def firmware(target: str, cores: int | None = None, **options: str) -> ac.Firmware:
    """A frozen convolution and a head that learns."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(8, 3))
    model[0].requires_grad_(False)
    example = (torch.from_numpy(X), torch.tensor([0]))
    return ac.compile(model, example=example, target=target, cores=cores, name="kws", **options)


@cache
def expected() -> list[float]:
    """Losses of ten steps on the data of the examples."""
    device = firmware("host").run("host")
    return [device.train(X, np.array([0]), lr=0.01) for _ in range(10)]


def compile_c(
    folder: Path, sources: Iterable[str | Path], flags: Iterable[str], language: str = "cc"
) -> Path:
    """Compiles sources in a folder; an executable unless the flags say otherwise."""
    out = folder / "a.out"
    flags = (*flags, "-o", str(out)) if "-c" not in flags else flags
    done = subprocess.run(
        [zig(), language, "-O1", *map(str, sources), *flags],
        cwd=folder,
        env=zig_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def cmake_sources(folder: Path, port: str | None = None) -> list[str]:
    """Sources of the library as CMakeLists.txt lists them."""
    text = (folder / "CMakeLists.txt").read_text()
    sources = re.findall(r"^  (\S+\.c)$", text, re.M)
    if port:
        assert f"port_{port}.c)" in text
        sources.append(f"port_{port}.c")
    return sources


def assert_same_losses(output: str) -> None:
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", output)]
    np.testing.assert_allclose(losses, expected(), atol=2e-6)  # six decimals are printed
    assert losses[-1] < losses[0]


# ---- cmake


@pytest.mark.parametrize(
    ("target", "port"), [("host", None), ("stm32f407", "single"), ("pulp-cluster", "threads")]
)
def test_cmake_builds_for_the_host_and_learns(
    target: str, port: str | None, tmp_path: Path
) -> None:
    """A single core, a core with several memories, eight cores: all the same losses."""
    folder = firmware(target).export(tmp_path / "c")
    sources = cmake_sources(folder, port)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.c")}
    assert present == {*sources, "main.c"}
    program = compile_c(folder, ["main.c", *sources], (*WARNINGS, "-I.", "-lm", "-lpthread"))
    assert_same_losses(run(program))


@pytest.mark.parametrize("flags", [RV32, THUMB], ids=["rv32", "thumb"])
@pytest.mark.parametrize(
    ("target", "port"), [("portable", None), ("stm32f407", "single"), ("pulp-cluster", None)]
)
def test_cmake_builds_for_bare_processors(
    target: str, port: str | None, flags: tuple[str, ...], tmp_path: Path
) -> None:
    folder = firmware(target).export(tmp_path / "c")
    sources = cmake_sources(folder, port)
    compile_c(folder, sources, (*WARNINGS, *flags, *BARE, "-I.", "-DAC_SECTIONS"))


def cmake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cmake", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake on this machine")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on this machine")
@pytest.mark.parametrize("target", ["host", "stm32f407", "pulp-cluster"])
def test_cmake_itself_builds_it(target: str, tmp_path: Path) -> None:
    folder = firmware(target).export(tmp_path / "c")
    assert cmake(folder, "-B", "build").returncode == 0
    done = cmake(folder, "--build", "build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_losses(run(folder / "build" / "kws_example"))


@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake on this machine")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on this machine")
def test_cmake_refuses_one_core_for_the_work_of_eight(tmp_path: Path) -> None:
    folder = firmware("pulp-cluster").export(tmp_path / "c")
    done = cmake(folder, "-B", "single", "-DAC_PORT=single")
    assert done.returncode != 0 and "compiled for 8 cores" in done.stderr
    done = cmake(folder, "-B", "none", "-DAC_PORT=none")
    assert done.returncode == 0
    assert "example" not in cmake(folder, "--build", "none", "--target", "help").stdout


FLAGS = {
    "stm32l476": ("-mcpu=cortex-m4 -mthumb -mfloat-abi=hard", "-march=rv32imc_zicsr -mabi=ilp32"),
    "rp2040": ("-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft", "-march=rv32imc_zicsr -mabi=ilp32"),
    "portable": (
        "-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft",
        "-march=rv32imc_zicsr -mabi=ilp32",
    ),
    "rv32imf": (
        "-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft",
        "-march=rv32imfc_zicsr -mabi=ilp32f",
    ),
    "gap9": (
        "-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft",
        "-march=rv32imc_zicsr_zfinx -mabi=ilp32",
    ),
}


@pytest.mark.parametrize("target", FLAGS)
def test_toolchain_files_are_for_the_processor_of_the_target(target: str) -> None:
    files = firmware(target).sources()
    for name, flags in zip(("arm", "rv32"), FLAGS[target], strict=True):
        assert f'set(AC_ARCH_FLAGS "{flags}"' in files[f"cmake/{name}.cmake"].decode()


# ---- pulp-sdk


def pulp_sources(folder: Path) -> list[str]:
    return re.findall(r"^  (\S+\.c)", (folder / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("sdk", [(), ("-D__GAP9__",)], ids=["pulp-sdk", "gap-sdk"])
@pytest.mark.parametrize("target", ["pulp-cluster", "rv32imf"])
def test_pulp_example_runs_on_a_stand_in(target: str, sdk: tuple[str, ...], tmp_path: Path) -> None:
    """Without the kernels in assembly, which only a PULP core runs."""
    folder = firmware(target).in_c().export(tmp_path / "c", kit="pulp-sdk")
    sources = pulp_sources(folder)
    assert set(sources) == {path.relative_to(folder).as_posix() for path in folder.rglob("*.c")}
    host = STANDINS / "pulp" / "pmsis_host.c"
    flags = (*WARNINGS, *PULP, *sdk, "-I.", "-lm", "-lpthread")
    output = run(compile_c(folder, [*sources, host], flags))
    assert_same_losses(output)
    assert len(re.findall(r"loss [\d.]+  1234 cycles", output)) == 10
    assert output.count("scores[") == 3


def test_pulp_tree_compiles_for_riscv(tmp_path: Path) -> None:
    """Addresses are integers of 32 bits there, and sections hold constants or variables."""
    folder = firmware("gap9").export(tmp_path / "c", kit="pulp-sdk")
    compile_c(folder, pulp_sources(folder), (*WARNINGS, *RV32, *BARE, *PULP, "-I."))


def test_pulp_puts_variables_where_the_plan_says(tmp_path: Path) -> None:
    compiled = firmware("pulp-cluster")
    files = compiled.sources(kit="pulp-sdk")
    weights = files["kws_weights.c"].decode()
    assert "AC_IN(l1)" in weights and "const " not in weights
    main = files["main.c"].decode()
    assert "transfer(l1.x, l2.x, sizeof l1.x, PI_CL_DMA_DIR_EXT2LOC);" in main
    assert "transfer(l1.scores, l2.scores, sizeof l1.scores, PI_CL_DMA_DIR_LOC2EXT);" in main


def test_pulp_leaves_in_l2_what_l1_has_no_room_for(tmp_path: Path) -> None:
    """A step that leaves 100 B of L1: the input of 144 B stays in L2."""
    target = find_target("pulp-cluster")
    full = firmware("pulp-cluster").in_c().plan
    used = sum(
        -(-size // 8) * 8
        for size in (full.arena_bytes, *(v.nbytes for v in _placed("pulp-cluster").values()))
    )
    small = target.with_memory("l1", 8192 + -(-(used + 100) // 64) * 64)
    compiled = ac.Firmware(
        **{**vars(firmware("pulp-cluster").in_c()), "target": small}  # the same plan, a smaller l1
    )
    folder = compiled.export(tmp_path / "c", kit="pulp-sdk")
    main = (folder / "main.c").read_text()
    assert "l2.loss = kws_train(l2.x, l1.y, 0.01f);" in main
    host = STANDINS / "pulp" / "pmsis_host.c"
    flags = (*WARNINGS, *PULP, "-I.", "-lm", "-lpthread")
    assert_same_losses(run(compile_c(folder, [*pulp_sources(folder), host], flags)))


def _placed(target: str) -> dict[str, np.ndarray]:
    compiled = firmware(target).in_c()
    return {n: v for n, v in compiled.program.values.items() if n in compiled.plan.places}


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_pulp_makefile_gives_the_rules_what_they_read(tmp_path: Path) -> None:
    folder = firmware("gap9").export(tmp_path / "c", kit="pulp-sdk")
    words = ("APP", "APP_SRCS", "APP_ASM_SRCS", "APP_CFLAGS", "APP_LDFLAGS")
    rules = f"all:\n\t@echo {' / '.join(f'$({word})' for word in words)}\n"
    (tmp_path / "pmsis_rules.mk").write_text(rules)
    command = ["make", "-C", str(folder), "--no-print-directory", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert done.returncode != 0 and "RULES_DIR is not set" in done.stderr
    environment = {"RULES_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    name, sources, assembly, flags, libraries = done.stdout.strip().split(" / ")
    assert (name, libraries) == ("kws", "-lm")
    assert sources.split() == pulp_sources(folder)
    assert assembly == "kws_kernels.S" and (folder / assembly).exists()
    assert "-DAC_PULP" in flags and "-DSTACK_BYTES=2048" in flags


def test_pulp_kernels_are_assembly_in_the_names_of_xpulpv2(tmp_path: Path) -> None:
    compiled = firmware("gap9")
    files = compiled.sources(kit="pulp-sdk")
    assembly = files["kws_kernels.S"].decode()
    assert "lp.setup x0, " in assembly and "p.lw " in assembly and ".insn" not in assembly
    called = set(re.findall(r"\bkws_kernel_\d+\b", files["kws.c"].decode()))
    assert called == set(re.findall(r"\.globl (\w+)", assembly))
    table = json.loads(files["manifest.json"])
    written = [c for c in table["entries"]["train"]["calls"] if c["kernel"] and "choice" in c]
    assert written and all(call["predicted_cycles"] > 0 for call in written)
    plain = compiled.sources(kit="cmake")
    assert not [name for name in plain if name.endswith(".S")]
    assert b"kws_kernel_" not in plain["kws.c"]


# ---- arduino


@pytest.mark.parametrize("target", ["nrf52840", "stm32f407"])
def test_arduino_library_compiles_and_its_sketch_runs(target: str, tmp_path: Path) -> None:
    folder = firmware(target).export(tmp_path / "c", kit="arduino")
    sources = sorted(str(p.relative_to(folder)) for p in (folder / "src").rglob("*.c"))
    sketch = ["-x", "c++", "-include", "Arduino.h", "examples/Learn/Learn.ino"]
    include = ("-Isrc", f"-I{STANDINS / 'arduino'}", "-Wall", "-Wextra", "-Werror", "-c")
    compile_c(folder, sources, (*WARNINGS, *THUMB, *BARE, "-Isrc"))
    compile_c(folder, sketch, (*include, *THUMB, *BARE), "c++")
    for path in folder.glob("*.o"):  # these are for thumb
        path.unlink()
    compile_c(folder, sources, (*WARNINGS, "-Isrc", "-c"))
    host = STANDINS / "arduino" / "run.cpp"
    compile_c(folder, [*sketch, host], (*include, "-fno-exceptions", "-fno-rtti"), "c++")
    # Linked as C: nothing here needs the library of C++, which takes a minute to build.
    output = run(compile_c(folder, sorted(folder.glob("*.o")), ("-lm",)))
    assert_same_losses(output)
    assert "nothing learned yet" in output
    assert "saved: yes\nloaded: yes" in output


def test_arduino_library_is_described_as_the_specification_asks(tmp_path: Path) -> None:
    folder = firmware("nrf52840").export(tmp_path / "c", kit="arduino")
    lines = (folder / "library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    required = "name version author maintainer sentence paragraph category url architectures"
    assert set(required.split()) <= set(fields) and all(fields.values())
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", fields["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert (fields["author"], fields["includes"]) == ("acclimate", "kws.h")
    assert fields["category"] == "Data Processing"
    header = (folder / "src" / "kws.h").read_text()
    for line in (folder / "keywords.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            word, kind = line.split("\t")
            assert kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")
            assert re.search(rf"\b{word}\b", header), word
    assert [p.parent.name for p in folder.rglob("*.ino")] == ["Learn"]


# ---- all kits

TREES = [("cmake", "pulp-cluster"), ("pulp-sdk", "pulp-cluster"), ("arduino", "nrf52840")]


@pytest.mark.parametrize(("kit", "target"), TREES)
def test_same_bytes_without_dates_and_paths(kit: str, target: str) -> None:
    one = firmware(target).sources(kit=kit)
    firmware.cache_clear()
    assert one == firmware(target).sources(kit=kit)
    for name, content in one.items():
        text = content.decode()
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text), name
        assert str(ROOT) not in text and "/home/" not in text and "/tmp/" not in text, name


@pytest.mark.parametrize(("kit", "target"), TREES)
def test_manifest_names_the_kit_and_all_its_files(kit: str, target: str, tmp_path: Path) -> None:
    folder = firmware(target).export(tmp_path / "c", kit=kit)
    table = json.loads((folder / "manifest.json").read_text())
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert table["kit"] == kit
    assert set(table["files"]) == present - {"manifest.json"}
    for name, checksum in table["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum, name


@pytest.mark.parametrize(("kit", "target"), TREES)
def test_readme_names_files_functions_and_memory(kit: str, target: str) -> None:
    compiled = firmware(target)
    files = compiled.sources(kit=kit)
    text = files["README.md"].decode()
    for word in re.findall(r"`([\w./]+\.(?:[chm]|md|json|txt|ino))`", text):
        assert word in files or f"src/{word}" in files, word
    for function in ("predict", "train", "init", "save", "load"):
        assert f" kws_{function}(" in text
    shown = compiled if kit == "pulp-sdk" else compiled.in_c()
    assert f"| {shown.plan.arena_bytes} |" in text


def test_one_kit_replaces_another_in_a_folder(tmp_path: Path) -> None:
    for kit in ("cmake", "pulp-sdk", "arduino", "cmake"):
        target = "rv32imf" if kit == "pulp-sdk" else "portable"
        firmware(target).export(tmp_path / "c", kit=kit)
    expected_files = set(firmware("portable").sources())
    found = {p.relative_to(tmp_path / "c").as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == expected_files
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(BadOutput, match=r"notes\.txt"):
        firmware("portable").export(tmp_path / "c", kit="arduino")


def test_several_outputs_inputs_and_accumulated_steps(tmp_path: Path) -> None:
    """Two inputs, a second entry pair instead of train: every example still builds."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.fc(a + b)

    torch.manual_seed(0)
    compiled = ac.compile(
        Two(),
        example=((torch.ones(1, 4), torch.ones(1, 4)), torch.tensor([1])),
        target="rv32imf",
        entries=("predict", "accumulate", "apply"),
    )
    outputs = []
    folder = compiled.export(tmp_path / "cmake")
    sources = ["main.c", *cmake_sources(folder)]
    outputs.append(run(compile_c(folder, sources, (*WARNINGS, "-I.", "-lm"))))
    folder = compiled.export(tmp_path / "pulp", kit="pulp-sdk")
    sources = [*pulp_sources(folder), str(STANDINS / "pulp" / "pmsis_host.c")]
    flags = (*WARNINGS, *PULP, "-I.", "-lm", "-lpthread")
    outputs.append(run(compile_c(folder, sources, flags)))
    losses = [re.findall(r"loss ([\d.]+)", output) for output in outputs]
    assert losses[0] == losses[1] and len(losses[0]) == 10
    assert float(losses[0][-1]) < float(losses[0][0])


# ---- what is refused


def test_unknown_kit_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"did you mean 'pulp-sdk'\? allowed: arduino, cmake"):
        firmware("portable").export(tmp_path / "c", kit="pulpsdk")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("target", ["host", "nrf52840", "stm32f407"])
def test_pulp_kit_needs_l1_and_l2(target: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption) as error:
        firmware(target).export(tmp_path / "c", kit="pulp-sdk")
    assert "needs a target with the memories l1 and l2" in str(error.value)
    assert error.value.hint is not None
    fitting = error.value.hint.removeprefix("compile it for one of ").split(", ")
    assert fitting == ["gap9", "pulp-cluster", "rv32imf", "vega"]
    assert set(fitting) < set(target_names())


def test_arduino_kit_is_for_one_core(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="for one core; kws was compiled for 8") as error:
        firmware("pulp-cluster").export(tmp_path / "c", kit="arduino")
    assert error.value.hint == "ac.compile(..., target='pulp-cluster', cores=1)"
    firmware("pulp-cluster", cores=1).export(tmp_path / "c", kit="arduino")


@pytest.mark.parametrize(("kit", "target"), TREES[1:])
def test_kits_without_files_take_weights_in_c_only(kit: str, target: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no file system to read weights from"):
        firmware(target).export(tmp_path / "c", kit=kit, weights="binary")
    with pytest.raises(BadOption, match="unknown form of weights 'text'"):
        firmware(target).sources("text", kit)


def test_command_line_writes_kits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ear.py").write_text(
        "import torch\n\ndef make():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Linear(4, 3), (torch.zeros(1, 4), torch.tensor([1]))\n"
    )

    def compile_verb(kit: str, target: str) -> tuple[int, str]:
        out = str(tmp_path / "c")
        arguments = ["compile", f"{tmp_path}/ear.py:make", "--out", out, "--kit", kit]
        result = CliRunner().invoke(app, [*arguments, "--target", target])
        return result.exit_code, result.stderr

    assert compile_verb("arduino", "rp2040") == (0, "")
    assert (tmp_path / "c" / "library.properties").exists()
    assert compile_verb("pulp-sdk", "gap9") == (0, "")
    assert (tmp_path / "c" / "Makefile").exists()
    code, message = compile_verb("ardunio", "rp2040")
    assert code == 2 and "did you mean 'arduino'?" in message
    code, message = compile_verb("pulp-sdk", "rp2040")
    assert code == 2 and "gap9, pulp-cluster, rv32imf, vega" in message


def test_every_kit_is_documented_and_the_port_compiles(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "kits.md").read_text()
    for kit in KITS:
        assert f"\n## {kit}\n" in text
    (port,) = re.findall(r"```c\n(.*?)```", text, re.S)
    functions = "void hardware_barrier(void);\nvoid wake_cores(int first, int last);\n"
    (tmp_path / "port_mine.c").write_text(functions + port)
    (tmp_path / "port.h").write_bytes(port_file("port.h"))
    compile_c(tmp_path, ["port_mine.c"], (*WARNINGS, *RV32, "-c"))
