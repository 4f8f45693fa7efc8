# SPDX-License-Identifier: Apache-2.0
"""The generated C: same bytes, prefixed symbols, clean under warnings and sanitizers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.simulate import SANITIZED, WARNINGS, HostDevice
from acclimate.simulate.compiler import zig
from sanitizers import build_with_address_checks

GOLDEN = Path(__file__).parent / "golden"


def small(name: str = "net", seed: int = 0) -> ac.Firmware:
    """A convolution, a ReLU, a pool and a linear layer."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 3),
    )
    x = torch.linspace(-1, 1, 36).reshape(1, 1, 6, 6)
    return ac.compile(model, example=(x, torch.tensor([1])), optimizer=ac.SGD(lr=0.1), name=name)


def everything() -> ac.Firmware:
    """A model that calls most kernels and kinds of loops."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.Conv2d(4, 4, 3, groups=4, stride=2, padding=1),
        nn.MaxPool2d(2, 1),
        nn.ConvTranspose2d(4, 3, 2, stride=2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(48, 5),
    ).train()
    example = (torch.randn(2, 2, 10, 10), torch.tensor([0, 4]))
    return ac.compile(
        model,
        example=example,
        optimizer=ac.AdamW(),
        entries=("predict", "train", "accumulate", "apply"),
    )


def build(folder: Path, *arguments: str) -> Path:
    """Compiles an exported folder and returns the executable."""
    sources = [str(p) for p in sorted(folder.rglob("*.c"))]
    out = folder / "a.out"
    command = [
        zig(),
        "cc",
        *WARNINGS,
        "-O1",
        f"-I{folder}",
        *sources,
        "-lm",
        "-o",
        str(out),
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def run(path: Path) -> str:
    return subprocess.run(
        [str(path)], capture_output=True, text=True, check=True, cwd=path.parent
    ).stdout


def test_same_input_same_bytes() -> None:
    one, two = everything(), everything()
    assert one.sources() == two.sources()
    assert one.sources("binary") == two.sources("binary")


def test_no_dates_and_no_absolute_paths() -> None:
    for name, content in everything().sources().items():
        text = content.decode()
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text), name
        assert str(Path(__file__).parent) not in text, name
        assert "/home/" not in text, name


@pytest.mark.parametrize("name", ["net.c", "net.h", "net_weights.c", "manifest.json"])
def test_golden_c(name: str, request: pytest.FixtureRequest) -> None:
    """The C of a small model is kept: a change shows in the diff. `--update-golden` writes it."""
    content = small().sources()[name]
    if name == "manifest.json":
        table = json.loads(content)
        del table["files"]  # checksums of kernels change with the kernels
        content = (json.dumps(table, indent=1) + "\n").encode()
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_bytes(content)
    assert content.decode() == (GOLDEN / name).read_text()


def test_every_symbol_has_the_prefix() -> None:
    library = small("kws").build()
    device = HostDevice(small("kws").program, library, 0.1)
    assert device is not None
    headers = "".join(
        content.decode()
        for name, content in small("kws").sources().items()
        if "/" not in name and name[-2:] == ".h"
    )
    functions = re.findall(r"^\w[\w ]*\b(\w+)\(", headers, re.M)
    assert functions
    assert all(name.startswith("kws_") for name in functions), functions


@pytest.mark.parametrize("weights", ["c", "binary"])
def test_export_builds_and_learns(tmp_path: Path, weights: str) -> None:
    firmware = small()
    folder = firmware.export(tmp_path / "c", weights=weights)
    output = run(build(folder))
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", output)]
    device = firmware.run()
    x = (np.arange(36) % 7 * np.float32(0.1)).reshape(1, 1, 6, 6).astype(np.float32)
    expected = [device.train(x, np.array([0]), lr=0.01) for _ in range(10)]
    np.testing.assert_allclose(losses, expected, atol=2e-6)
    assert losses[-1] < losses[0]


def test_binary_weights_are_checked_by_the_c_code(tmp_path: Path) -> None:
    folder = small().export(tmp_path / "c", weights="binary")
    program = build(folder)
    blob = bytearray((folder / "net_weights.bin").read_bytes())
    blob[40] ^= 1
    (folder / "net_weights.bin").write_bytes(bytes(blob))
    done = subprocess.run([str(program)], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 1
    assert "damaged" in done.stderr


def test_two_models_share_an_executable(tmp_path: Path) -> None:
    """As a static library each, like the CMake file builds them: equal kernels are taken once."""
    archives = []
    for name in ("one", "two"):
        folder = small(name, seed=len(name)).export(tmp_path / name)
        (folder / "main.c").unlink()
        objects = []
        for source in sorted(folder.rglob("*.c")):
            target = source.with_suffix(".o")
            command = [
                zig(),
                "cc",
                *WARNINGS,
                "-O1",
                f"-I{folder}",
                "-c",
                str(source),
                "-o",
                str(target),
            ]
            subprocess.run(command, check=True)
            objects.append(str(target))
        archives.append(str(tmp_path / f"lib{name}.a"))
        subprocess.run([zig(), "ar", "rcs", archives[-1], *objects], check=True)
    (tmp_path / "main.c").write_text(
        '#include "one/one.h"\n#include "two/two.h"\n'
        "int main(void) {\n    static float x[36], a[3], b[3];\n    const int32_t y[1] = {1};\n"
        "    one_train(x, y, 0.1f);\n    two_train(x, y, 0.1f);\n"
        "    one_predict(a, x);\n    two_predict(b, x);\n"
        "    return a[0] == a[0] && b[0] == b[0] ? 0 : 1;\n}\n"
    )
    out = tmp_path / "a.out"
    subprocess.run(
        [
            zig(),
            "cc",
            "-std=c99",
            f"-I{tmp_path}",
            str(tmp_path / "main.c"),
            *archives,
            "-lm",
            "-o",
            str(out),
        ],
        check=True,
    )
    run(out)


def test_undefined_behaviour_sanitizer_finds_nothing() -> None:
    firmware = everything()
    device = HostDevice(firmware.program, firmware.build(SANITIZED), firmware.lr)
    x, y = torch.randn(2, 2, 10, 10), torch.tensor([0, 4])
    for _ in range(3):
        device.train(x, y)
        device.accumulate(x, y)
        device.apply()
    assert np.isfinite(device.predict(x)).all()


def test_address_sanitizer_finds_nothing(tmp_path: Path) -> None:
    output = run(build_with_address_checks(everything().export(tmp_path / "c")))
    assert "step 9" in output


def test_address_sanitizer_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        "float g[10];\nfloat at(const float *p, int i) {\n    return p[i];\n}\n"
        "int main(int argc, char **argv) {\n    (void)argv;\n    return (int)at(g, 9 + argc);\n}\n"
    )
    done = subprocess.run(
        [build_with_address_checks(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "0 past the end of g" in done.stderr


def test_cmake_lists_every_source() -> None:
    files = everything().sources()
    listed = set(re.findall(r"^  (\S+\.c)$", files["CMakeLists.txt"].decode(), re.M))
    assert listed == {name for name in files if name.endswith(".c") and name != "main.c"}


def test_manifest_says_what_every_pass_did() -> None:
    firmware = small()
    table = json.loads(firmware.sources()["manifest.json"])
    names = [entry["name"] for entry in table["passes"]]
    assert names == [stage.name for stage in firmware.stages]
    done = {entry["name"]: entry["changes"] for entry in table["passes"]}
    assert any("relu" in change for change in done["fuse_clamp"])
    assert len(done["fuse_update"]) == 2
    calls = table["entries"]["train"]["calls"]
    assert sum(call["macs"] for call in calls) == table["entries"]["train"]["macs"]


def test_no_heap_in_the_generated_code() -> None:
    for name, content in everything().sources().items():
        if name.endswith(".c") and name != "main.c":
            assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\b", content.decode()), name
