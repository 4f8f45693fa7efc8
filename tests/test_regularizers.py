# SPDX-License-Identifier: Apache-2.0
"""EWC, SI and LwF: the generated C learns like the same formulas in PyTorch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import BadOption
from acclimate.kernels.loop.expr import Arg
from acclimate.kernels.loop.op import MAP, Map
from acclimate.lower import Optimizer, Regularizer
from acclimate.pipeline import build_firmware
from acclimate.program import Buffer, Call, Entry, Program, Role, View
from ladder import torch_optimizer

CLASSES = 4
LR = 0.05
# Sums of a task's gradients in another order, squared, then ten steps.
BOUND = 2e-4
OPTIMIZERS = (
    ac.SGD(),
    ac.SGD(momentum=0.9),
    ac.SGD(weight_decay=0.01),
    ac.Adam(weight_decay=0.01),
    ac.AdamW(),
)
REGULARIZERS = (
    ac.EWC(strength=20.0),
    ac.EWC(strength=20.0, online=True, decay=0.7),
    ac.SI(strength=3.0, damping=0.05),
    ac.SI(strength=3.0, damping=0.05, limit=0.02),
)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 9, 7),
        nn.ReLU(),
        nn.Linear(7, CLASSES),
    ).eval()


def tasks(count: int = 3, samples: int = 4, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(samples, 2, 6, 6, generator=generator),
            torch.randint(0, CLASSES, (samples,), generator=generator),
        )
        for _ in range(count)
    ]


class Reference:
    """The formulas of the papers in PyTorch, with one importance per task where it is separate."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, held: Regularizer) -> None:
        self.model, self.held = copy.deepcopy(model), held
        self.parameters = list(self.model.parameters())
        self.optimizer = torch_optimizer(optimizer, self.parameters, LR)
        self.kept: list[tuple[list[Tensor], list[Tensor]]] = []
        self.anchor = self._copy()
        self.path = [torch.zeros_like(p) for p in self.parameters]

    def _copy(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters]

    def _gradients(self, x: Tensor, y: Tensor) -> list[Tensor]:
        loss = F.cross_entropy(self.model(x), y)
        return list(torch.autograd.grad(loss, self.parameters))

    def step(self, x: Tensor, y: Tensor) -> None:
        task, before = self._gradients(x, y), self._copy()
        penalty = sum(
            (f * (p - a).square()).sum()
            for importance, anchor in self.kept
            for f, p, a in zip(importance, self.parameters, anchor, strict=True)
        )
        (F.cross_entropy(self.model(x), y) + self.held.strength * penalty).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        for path, g, p, old in zip(self.path, task, self.parameters, before, strict=True):
            path -= g * (p.detach() - old)

    def finish(self, x: Tensor, y: Tensor) -> None:
        importance = self._path_gain() if isinstance(self.held, ac.SI) else self._fisher(x, y)
        if isinstance(self.held, ac.SI) or self.held.online:
            for old in self.kept[-1][0] if self.kept else []:
                old *= 1.0 if isinstance(self.held, ac.SI) else self.held.decay
            if self.kept:
                importance = [f + g for f, g in zip(importance, self.kept[-1][0], strict=True)]
            if isinstance(self.held, ac.SI):
                importance = [f.clamp(0, self.held.limit) for f in importance]
            self.kept = []
        self.anchor = self._copy()
        self.kept.append((importance, self.anchor))

    def _fisher(self, x: Tensor, y: Tensor) -> list[Tensor]:
        total = [torch.zeros_like(p) for p in self.parameters]
        for i in range(len(y)):
            for f, g in zip(total, self._gradients(x[i : i + 1], y[i : i + 1]), strict=True):
                f += g.square() / len(y)
        return total

    def _path_gain(self) -> list[Tensor]:
        gains = []
        for path, p, a in zip(self.path, self.parameters, self.anchor, strict=True):
            gains.append(path / ((p.detach() - a).square() + self.held.damping))
            path.zero_()
        return gains


def finish(device: object, held: Regularizer, x: np.ndarray, y: np.ndarray) -> None:
    """The end of a task, as the documentation says."""
    if "consolidate" in held.entries:
        device.consolidate()
    if "importance" in held.entries:
        for i in range(len(y)):
            device.importance(x[i : i + 1], y[i : i + 1], share=1 / len(y))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("held", REGULARIZERS, ids=repr)
@pytest.mark.parametrize("way", ["train", "accumulate"])
def test_three_tasks_equal_pytorch(optimizer: Optimizer, held: Regularizer, way: str) -> None:
    model = network()
    entries = ("predict", "train") if way == "train" else ("predict", "accumulate", "apply")
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(
        model, example=example, optimizer=optimizer, regularizer=held, entries=entries
    )
    device = firmware.run("host")
    reference = Reference(model, optimizer, held)
    free = Reference(model, optimizer, type(held)(strength=0.0))
    for x, y in tasks():
        for i in range(4):
            part = slice(i, i + 1) if way == "train" else slice(None)
            reference.step(x[part], y[part])
            free.step(x[part], y[part])
            if way == "train":
                device.train(x[part], y[part], lr=LR)
            else:
                for j in range(len(y)):
                    device.accumulate(x[j : j + 1], y[j : j + 1])
                device.apply(lr=LR)
        reference.finish(x, y)
        free.finish(x, y)
        finish(device, held, x.numpy(), y.numpy())
    named = dict(reference.model.named_parameters())
    for (name, p), other in zip(named.items(), free.parameters, strict=True):
        wanted = p.detach().numpy()
        error = np.abs(device.weights[name] - wanted).max()
        assert error <= BOUND * np.abs(wanted).max(), name
        effect = np.abs(other.detach().numpy() - wanted).max()
        assert effect > 10 * error, f"{name}: the penalty does nothing"


@pytest.mark.parametrize("held", REGULARIZERS, ids=repr)
def test_the_program_in_numpy_is_the_c(held: Regularizer) -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(network(), example=example, regularizer=held)
    device, meaning = firmware.run("host"), firmware.run("numpy")
    x, y = (t.numpy() for t in tasks(1)[0])
    for name in ("train", *held.entries, "train"):
        data = () if name == "consolidate" else (x[:1], y[:1])
        loss, _ = device.run_entry(name, *data, lr=LR, share=0.25)
        expected_loss, _ = meaning.run_entry(name, *data, lr=LR, share=0.25)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(device.predict(x), meaning.predict(x), rtol=1e-4, atol=1e-5)
    for name, array in device.state.items():
        expected = meaning.state[name]
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6, err_msg=name)


def test_memory_does_not_grow_with_tasks_and_the_report_counts_it() -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    sizes = {}
    for held in (None, ac.EWC(), ac.EWC(online=True), ac.SI()):
        firmware = ac.compile(network(), example=example, regularizer=held)
        trained = sum(p.numel() for p in network().parameters())
        sizes[type(held), getattr(held, "online", None)] = firmware.plan.ram_bytes
        state = sum(b.size for b in firmware.program.buffers.values() if b.role == "state")
        assert state == trained * (len(held.states) if held else 0)
    assert len(set(sizes.values())) == 3


def test_plain_descent_needs_no_gradient_buffer_with_ewc() -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(network(), example=example, regularizer=ac.EWC())
    names = [call.op.name for call in firmware.program.entries["train"].calls]
    assert "linear_step" in " ".join(names) or "linear_bwd_step" in names
    assert "linear_bwd_w" not in names


def test_channels_that_learn_keep_states_of_their_own_size() -> None:
    model = network()
    update = ac.SparseChannels({"3": 0.25, "0": 0.5})
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    for held in REGULARIZERS:
        firmware = ac.compile(model, example=example, update=update, regularizer=held)
        device = firmware.run("host")
        before = {name: array.copy() for name, array in device.weights.items()}
        x, y = (t.numpy() for t in tasks(1)[0])
        device.train(x[:1], y[:1], lr=LR)
        finish(device, held, x, y)
        learned = {name: array.copy() for name, array in device.weights.items()}
        device.train(x[1:2], y[1:2], lr=LR)
        plain = ac.compile(model, example=example, update=update).run("host")
        for name, array in learned.items():
            plain.weights[name][...] = array
        plain.train(x[1:2], y[1:2], lr=LR)
        # At the anchor the penalty is flat: the first step of a task is that without it.
        for name, array in device.weights.items():
            np.testing.assert_allclose(array, plain.weights[name], rtol=1e-4, atol=2e-6)
            if name in ("0.weight", "3.weight"):
                assert (array == before[name]).mean() >= 0.5


def test_lwf_equals_pytorch_and_leaves_new_classes_alone() -> None:
    model = network()
    loss = ac.LwF(alpha=0.7, temperature=2.0)
    (x, y), _, _ = tasks()
    example = (x[:1], (y[:1], torch.zeros(1, CLASSES)))
    device = ac.compile(model, example=example, loss=loss).run("host")
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(len(y), CLASSES)).astype(np.float32)
    old = [0, 2]
    targets = ac.LwF.targets(scores, old)
    reference = copy.deepcopy(model)
    for i in range(len(y)):
        z = reference(x[i : i + 1])
        q = F.softmax(torch.from_numpy(scores[i : i + 1, old]) / 2.0, dim=1)
        p = F.log_softmax(z[:, old] / 2.0, dim=1)
        value = F.cross_entropy(z, y[i : i + 1]) + 0.7 * F.kl_div(p, q, reduction="batchmean")
        parameters = list(reference.parameters())
        for p, g in zip(parameters, torch.autograd.grad(value, parameters), strict=True):
            p.data -= LR * g
        got = device.train(x[i : i + 1], y[i : i + 1], targets[i : i + 1], lr=LR)
        assert got == pytest.approx(value.item(), rel=1e-5)
    for name, p in reference.named_parameters():
        np.testing.assert_allclose(device.weights[name], p.detach(), rtol=1e-4, atol=1e-5)


def test_lwf_without_old_classes_is_the_loss_alone() -> None:
    model = network()
    (x, y), _, _ = tasks()
    example = (x[:1], (y[:1], torch.zeros(1, CLASSES)))
    device = ac.compile(model, example=example, loss=ac.LwF(alpha=5.0)).run("host")
    plain = ac.compile(model, example=(x[:1], y[:1])).run("host")
    nothing = ac.LwF.targets(np.ones((1, CLASSES), np.float32), [])
    loss = device.train(x[:1], y[:1], nothing, lr=LR)
    assert loss == pytest.approx(plain.train(x[:1], y[:1], lr=LR), rel=1e-6)
    for name, array in plain.weights.items():
        np.testing.assert_allclose(device.weights[name], array, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ac.EWC(strength=-1), "strength"),
        (lambda: ac.EWC(decay=2), "decay"),
        (lambda: ac.SI(damping=0), "damping"),
        (lambda: ac.SI(limit=0), "limit"),
        (lambda: ac.LwF(temperature=0), "temperature"),
        (lambda: ac.LwF(loss="crossentropy"), "unknown loss"),
    ],
)
def test_bad_settings(make: object, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        make()


def test_bad_use() -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    for wrong in ("ewc", ac.EWC):  # a name, a class
        with pytest.raises(BadOption, match="no regularizer"):
            ac.compile(network(), example=example, regularizer=wrong)
    with pytest.raises(BadOption, match="needs an entry point that learns"):
        ac.compile(network(), example=example, regularizer=ac.EWC(), entries=("predict",))
    with pytest.raises(BadOption, match="two targets"):
        ac.compile(network(), example=example, loss=ac.LwF())
    device = ac.compile(network(), example=example).run("host")
    with pytest.raises(BadOption, match="no entry point 'importance'"):
        device.importance(*example)


@pytest.mark.parametrize("target", ["stm32f407", "pulp-cluster", "gap9"])
@pytest.mark.parametrize("held", REGULARIZERS[1:3], ids=repr)
def test_devices_equal_the_host(held: Regularizer, target: str) -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(network(), example=example, regularizer=held)
    budget = {"l1": "6 kB"} if target == "gap9" else None  # states wait in L2, in tiles
    devices = [firmware.run("host"), ac.retarget(firmware, target, budget=budget).run()]
    x, y = tasks(1)[0]
    for device in devices:
        for name in ("train", *held.entries, "train"):
            data = () if name == "consolidate" else (x[:1], y[:1])
            device.run_entry(name, *data, lr=LR, share=0.25)
    for name, array in devices[0].state.items():
        scale = np.abs(array).max() + 1e-3
        error = np.abs(devices[1].state[name].reshape(array.shape) - array).max()
        assert error <= 1e-4 * scale, name


def test_a_checkpoint_keeps_what_was_consolidated(tmp_path: Path) -> None:
    example = (torch.zeros(1, 2, 6, 6), torch.zeros(1, dtype=torch.long))
    firmware = ac.compile(network(), example=example, regularizer=ac.EWC(online=True))
    x, y = tasks(1)[0]
    device, other = firmware.run("host"), firmware.run("host")
    device.train(x[:1], y[:1], lr=LR)
    finish(device, ac.EWC(online=True), x.numpy(), y.numpy())
    device.save(tmp_path / "model.ckpt")
    other.load(tmp_path / "model.ckpt")
    for name, array in device.state.items():
        np.testing.assert_array_equal(other.state[name], array)


def test_outputs_in_place_are_set_after_all_are_computed() -> None:
    buffers = {name: Buffer(name, (2,), "f32", Role.STATE) for name in ("a", "b")}
    views = tuple(View.whole(buffer) for buffer in buffers.values())
    attrs = Map((Arg(0) + Arg(1), Arg(0) - Arg(1)), (2,), "turn")
    entry = Entry("turn", (Call(MAP, views, views, attrs),))
    values = {"a": np.array([1, 2], np.float32), "b": np.array([10, 20], np.float32)}
    program = Program("net", buffers, {"turn": entry}, values)
    device = build_firmware(program, title="in place").run("host")
    device.run_entry("turn")
    np.testing.assert_array_equal(device.state["a"], [11.0, 22.0])
    np.testing.assert_array_equal(device.state["b"], [-9.0, -18.0])
