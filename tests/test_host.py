# SPDX-License-Identifier: Apache-2.0
"""The host device: arrays in and out, checkpoints, several devices and processes."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate import errors
from acclimate.models.resnet8 import ResNet8
from acclimate.simulate import HostDevice, host

X, Y = torch.randn(1, 6), torch.tensor([2])


def firmware(**options: object) -> ac.Firmware:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    return ac.compile(model, example=(X, Y), optimizer=ac.SGD(lr=0.1, momentum=0.9), **options)


@pytest.fixture(scope="module")
def compiled() -> ac.Firmware:
    return firmware()


def test_numpy_and_torch_give_the_same(compiled: ac.Firmware) -> None:
    one, two = compiled.run(), compiled.run()
    assert one.train(X, Y) == two.train(X.numpy(), np.array([2], np.int32))
    assert np.array_equal(one.predict(X), two.predict(X.numpy()))


def test_numpy_input_is_not_copied(compiled: ac.Firmware) -> None:
    device = compiled.run()
    x = X.numpy().copy()
    (buffer,) = (b for b in compiled.program.interface("predict") if b.name == "x")
    assert np.shares_memory(host.as_array(x, buffer), x)
    assert np.shares_memory(host.as_array(torch.from_numpy(x), buffer), x)
    device.predict(x)


def test_devices_do_not_share_memory(compiled: ac.Firmware) -> None:
    one, two = compiled.run(), compiled.run()
    before = two.predict(X).copy()
    for _ in range(5):
        one.train(X, Y)
    assert np.array_equal(two.predict(X), before)
    assert not np.array_equal(one.predict(X), before)


def test_weights_are_views(compiled: ac.Firmware) -> None:
    device = compiled.run()
    device.weights["2.bias"][...] = [9.0, 0.0, 0.0, 0.0]
    assert int(np.argmax(device.predict(X))) == 0


def test_predict_takes_many_samples(compiled: ac.Firmware) -> None:
    device = compiled.run()
    samples = torch.randn(7, 6)
    one_by_one = np.concatenate([device.predict(sample[None]) for sample in samples])
    assert np.array_equal(device.predict(samples), one_by_one)


def test_learning_rate_is_a_runtime_argument(compiled: ac.Firmware) -> None:
    still, moving = compiled.run(), compiled.run()
    still.train(X, Y, lr=0.0)
    moving.train(X, Y)
    assert np.array_equal(still.predict(X), compiled.run().predict(X))
    assert not np.array_equal(moving.predict(X), still.predict(X))


def test_accumulate_has_mean_semantics() -> None:
    torch.manual_seed(4)
    model = nn.Linear(3, 2)
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    options = {"loss": "mse", "optimizer": ac.SGD(lr=0.5)}
    whole = ac.compile(model, example=(x, y), **options).run()
    single = ac.compile(
        model, example=(x[:1], y[:1]), entries=("predict", "accumulate", "apply"), **options
    ).run()
    whole.train(x, y)
    for i in range(6):
        single.accumulate(x[i : i + 1], y[i : i + 1])
    single.apply()
    for name, value in whole.weights.items():
        np.testing.assert_allclose(single.weights[name], value, rtol=1e-5, atol=1e-6)
    before = {name: value.copy() for name, value in single.weights.items()}
    single.accumulate(x[:1], y[:1])
    single.apply()  # the sums were cleared: this is the step of one sample
    other = ac.compile(model, example=(x[:1], y[:1]), **options).run()
    for name, value in before.items():
        other.weights[name][...] = value
    other.train(x[:1], y[:1])
    for name, value in other.weights.items():
        np.testing.assert_allclose(single.weights[name], value, rtol=1e-5, atol=1e-6)


def test_missing_entry_says_how_to_get_it(compiled: ac.Firmware) -> None:
    with pytest.raises(errors.BadOption, match="'accumulate'"):
        compiled.run().accumulate(X, Y)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(1, 5), Y, "takes \\[1, 6\\]"),
        (torch.zeros(1, 6, dtype=torch.complex64), Y, "complex64"),
        (X, torch.tensor([4]), "there are 4"),
        (X, torch.tensor([-100]), "there are 4"),
        (X, torch.tensor([1.0]), "float32"),
    ],
)
def test_wrong_arrays_are_refused(
    compiled: ac.Firmware, x: torch.Tensor, y: torch.Tensor, words: str
) -> None:
    with pytest.raises(errors.BadExample, match=words):
        compiled.run().train(x, y)


def test_too_few_arrays_are_refused(compiled: ac.Firmware) -> None:
    with pytest.raises(errors.BadExample, match="x, y"):
        compiled.run().train(X)


# ---- checkpoints


def trained(compiled: ac.Firmware) -> HostDevice:
    device = compiled.run()
    for _ in range(3):
        device.train(X, Y)
    return device


def test_checkpoint_restores_everything(compiled: ac.Firmware, tmp_path: Path) -> None:
    device = trained(compiled)
    device.save(tmp_path / "a.ckpt")
    other = compiled.run()
    other.load(tmp_path / "a.ckpt")
    assert other.train(X, Y) == device.train(X, Y)  # velocity included
    assert np.array_equal(other.predict(X), device.predict(X))


def test_every_damaged_byte_is_noticed(compiled: ac.Firmware, tmp_path: Path) -> None:
    trained(compiled).save(tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    device = compiled.run()
    before = {name: value.copy() for name, value in device.state.items()}
    for at in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        (tmp_path / "b.ckpt").write_bytes(bytes(damaged))
        with pytest.raises(errors.CorruptFile):
            device.load(tmp_path / "b.ckpt")
    for name, value in device.state.items():
        assert np.array_equal(value, before[name]), name


@pytest.mark.parametrize("size", [0, 3, 19, 20, 21, 200])
def test_truncated_checkpoint_is_refused(compiled: ac.Firmware, tmp_path: Path, size: int) -> None:
    trained(compiled).save(tmp_path / "a.ckpt")
    (tmp_path / "a.ckpt").write_bytes((tmp_path / "a.ckpt").read_bytes()[:size])
    with pytest.raises(errors.CorruptFile, match="truncated"):
        compiled.run().load(tmp_path / "a.ckpt")


def test_checkpoint_of_another_model_is_refused(compiled: ac.Firmware, tmp_path: Path) -> None:
    other = ac.compile(nn.Linear(6, 4), example=(X, Y)).run()
    other.save(tmp_path / "a.ckpt")
    with pytest.raises(errors.CorruptFile, match="another model"):
        compiled.run().load(tmp_path / "a.ckpt")


def test_missing_checkpoint(compiled: ac.Firmware, tmp_path: Path) -> None:
    with pytest.raises(errors.CorruptFile, match="cannot read"):
        compiled.run().load(tmp_path / "none.ckpt")


def test_failed_save_keeps_the_old_file(
    compiled: ac.Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = trained(compiled)
    device.save(tmp_path / "a.ckpt")
    before = (tmp_path / "a.ckpt").read_bytes()

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(host.ctypes, "string_at", full)
    with pytest.raises(errors.BadOutput):
        device.save(tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


# ---- processes

PROGRAM = """
import sys, torch, acclimate as ac
from torch import nn
torch.manual_seed(3)
model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
device = ac.compile(model, example=(torch.ones(1, 6), torch.tensor([2])), name="shared").run()
print([device.train(torch.ones(1, 6), torch.tensor([2])) for _ in range(4)])
"""


def test_processes_build_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len(set(outputs)) == 1
    assert len(list((tmp_path / "host").glob("*.so"))) == 1
    assert not list((tmp_path / "host").glob(".*"))


@pytest.mark.parametrize("part", ["model", "example", "both"])
def test_channels_last_is_the_same_program(part: str) -> None:
    torch.manual_seed(0)
    model = ResNet8(filters=4).eval()
    x, y = torch.rand(1, 3, 16, 16), torch.tensor([1])
    plain = ac.compile(copy.deepcopy(model), example=(x, y), name="net")
    if part != "example":
        model = model.to(memory_format=torch.channels_last)
    if part != "model":
        x = x.to(memory_format=torch.channels_last)
    firmware = ac.compile(model, example=(x, y), name="net")
    assert firmware.sources() == plain.sources()
    assert part == "example" or not model.conv1.weight.is_contiguous()  # it is as it was
