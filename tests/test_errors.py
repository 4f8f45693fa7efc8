# SPDX-License-Identifier: Apache-2.0
"""Bad input is a clear error: what, found, where, hint; and nothing is left half-written."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate import errors


class Dynamic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y[y > 0].sum().expand(1, 4)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if y.sum() > 0:
            y = y * 2
        return y


class WithoutKernel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(self.layer(x).reshape(1, 2, 2)).reshape(1, 4)


def linear(**arguments: Any) -> ac.Firmware:
    """Compiles a linear layer with one argument changed."""
    model = arguments.pop("model", None) or nn.Linear(4, 3)
    example = arguments.pop("example", (torch.zeros(1, 4), torch.zeros(1, dtype=torch.long)))
    return ac.compile(model, example=example, **arguments)


def frozen() -> nn.Module:
    return nn.Linear(4, 3).requires_grad_(False)


X, Y = torch.zeros(1, 4), torch.zeros(1, dtype=torch.long)
MSE: dict[str, Any] = {"loss": "mse", "example": (torch.randn(1, 4), torch.randn(1, 4))}
NAN = torch.tensor([[1.0, float("nan"), 0.0, 0.0]])
CASES: dict[str, tuple[dict[str, Any], type[errors.AcclimateError], str]] = {
    "dynamic shape": ({"model": Dynamic(), **MSE}, errors.UnsupportedModel, "depends on the data"),
    "control flow": ({"model": Branching(), **MSE}, errors.UnsupportedModel, "depends on the data"),
    "no kernel": ({"model": WithoutKernel(), **MSE}, errors.UnsupportedModel, "no kernel"),
    "nothing to train": ({"model": frozen()}, errors.NothingToTrain, "nothing to train"),
    "loss not scalar": (
        {
            "loss": nn.CrossEntropyLoss(reduction="none"),
            "example": (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)),
        },
        errors.BadOption,
        "not a scalar",
    ),
    "unknown loss": ({"loss": "crossentropy"}, errors.BadOption, "did you mean 'cross_entropy'"),
    "wrong shape": ({"example": (torch.zeros(1, 5), Y)}, errors.BadExample, "does not accept"),
    "wrong target": ({"example": (X, torch.zeros(1, 4))}, errors.BadExample, "does not accept"),
    "wrong dtype": ({"example": (X.double(), Y)}, errors.BadExample, "float64"),
    "half": ({"model": nn.Linear(4, 3).half()}, errors.UnsupportedModel, "float16"),
    "nan": ({"example": (NAN, Y)}, errors.BadExample, "1 values that are NaN"),
    "not a pair": ({"example": X}, errors.BadExample, "pair"),
    "not a tensor": ({"example": ([[1.0]], Y)}, errors.BadExample, "not a tensor"),
    "unknown target": ({"target": "hots"}, errors.BadOption, "did you mean 'host'"),
    "unknown optimizer": ({"optimizer": "adamm"}, errors.BadOption, "did you mean 'adam'"),
    "unknown entry": ({"entries": ("predict", "trian")}, errors.BadOption, "did you mean 'train'"),
    "half of a pair": ({"entries": ("predict", "accumulate")}, errors.BadOption, "each other"),
    "prefix with dash": ({"name": "my-net"}, errors.BadOption, "name='my_net'"),
    "prefix is a keyword": ({"name": "while"}, errors.BadOption, "name='net_while'"),
    "prefix with digit": ({"name": "1st"}, errors.BadOption, "name='net_1st'"),
    "budget without number": ({"budget": {"ram": "small"}}, errors.BadOption, "48 kB"),
    "budget of what": ({"budget": {"rom": "1 kB"}}, errors.BadOption, "allowed: mj, ms, ram"),
    "does not fit": ({"budget": {"ram": "50 B"}}, errors.DoesNotFit, "over"),
    "batch norm of one": (
        {"model": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).train()},
        errors.BadExample,
        "more than 1 value per channel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_clear_error(case: str) -> None:
    arguments, kind, words = CASES[case]
    with pytest.raises(kind) as caught:
        linear(**arguments)
    message = str(caught.value)
    assert words in message
    assert "hint: " in message


def test_error_names_the_users_line() -> None:
    with pytest.raises(errors.UnsupportedModel) as caught:
        linear(model=WithoutKernel(), **MSE)
    assert "test_errors.py" in str(caught.value)
    assert "torch.linalg.inv" in str(caught.value)


def test_model_state_is_untouched_by_compile() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    example = (torch.randn(5, 4), torch.zeros(5, dtype=torch.long))
    state = torch.random.get_rng_state()
    linear(model=model, example=example)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.BadOutput, match="other things"):
        linear().export(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_own_folder_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "c"
    linear(name="one").export(out)
    linear(name="two").export(out)
    assert (out / "two.c").exists()
    assert not (out / "one.c").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_force_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "old.txt").write_text("x")
    linear().export(tmp_path / "c", force=True)
    assert not (tmp_path / "c" / "old.txt").exists()


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("x")
    with pytest.raises(errors.BadOutput, match="is a file"):
        linear().export(tmp_path / "c")


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = linear()
    write = Path.write_bytes
    count = 0

    def failing(self: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(errors.BadOutput, match="No space left"):
        firmware.export(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_interrupt_keeps_the_old_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = linear().export(tmp_path / "c")
    before = sorted(p.name for p in out.rglob("*"))

    def interrupted(self: Path, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        linear(name="other").export(out)
    assert sorted(p.name for p in out.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
