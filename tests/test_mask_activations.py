# SPDX-License-Identifier: Apache-2.0
"""Activations that the backward pass only tests are kept as bits, and needless ones not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate import pipeline
from acclimate.kernels.loop.expr import Arg, apply
from acclimate.kernels.loop.op import MAP, Map
from acclimate.models import REGISTRY
from acclimate.passes import mask_activations
from acclimate.plan.lifetimes import lifetimes
from acclimate.program import Buffer, Call, Entry, Interpreter, Phase, Program, Role, View
from acclimate.report.bench import example_of
from acclimate.simulate import Device
from acclimate.targets import find_target
from ladder import climb
from test_ladder_kernels import L1_BYTES, firmware_for


def biases_only(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    return model


def frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


def example_for(model: nn.Module, *shape: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(*shape)
    with torch.no_grad():
        return x, torch.randn_like(model(x))


def kept(firmware: ac.Firmware, entry: str = "train") -> dict[str, int]:
    """Bytes of the arena buffers that live from the forward into the backward pass."""
    program = firmware.program
    calls = program.entries[entry].calls
    first = next(n for n, call in enumerate(calls) if call.phase is not Phase.FORWARD)
    lives = lifetimes(program, program.entries[entry])
    return {x.buffer.name: x.size_bytes for x in lives if x.first < first <= x.last}


def without_masks(compiled: Callable[[], ac.Firmware]) -> ac.Firmware:
    """What a model compiles to when the pass is left out."""
    with pytest.MonkeyPatch.context() as patch:
        others = tuple(p for p in pipeline.PASSES if p is not mask_activations)
        patch.setattr(pipeline, "PASSES", others)
        return compiled()


# --- bits as an element type of loops ---

SHAPES = ((1,), (7,), (8,), (9,), (63,), (125,), (3, 16), (2, 3, 5), (1, 5, 24))
CORES = (1, 2, 4, 8)


def bit_program() -> Program:
    """Per shape: packs where x is in (-0.5, 0.5), then uses the bits in order and transposed."""
    rng = np.random.default_rng(0)
    buffers: dict[str, Buffer] = {}
    entries: dict[str, Entry] = {}
    inside = apply("and", apply("gt", Arg(0), -0.5), apply("lt", Arg(0), 0.5))
    chosen = apply("where", Arg(0, "u1"), Arg(1), apply("mul", Arg(1), 0.25))
    zeroed = apply("where", apply("not", Arg(0, "u1")), 0.0, Arg(1))
    for number, shape in enumerate(SHAPES):
        entry = f"case{number}"
        x, y, z, t = (
            Buffer(f"{name}{number}", shape, "f32", Role.STATE) for name in ("x", "y", "z", "t")
        )
        bits = Buffer(f"{entry}.bits", shape, "u1", Role.ACTIVATION)
        buffers |= {b.name: b for b in (x, y, z, t, bits)}
        views = {b.name: View.whole(b) for b in (x, y, z, t, bits)}
        source, mask = views[x.name], views[bits.name]
        axes = tuple(reversed(range(len(shape))))
        back = [view.permute(axes) for view in (views[t.name], mask, source)]
        calls = (
            Call(
                MAP,
                (views[y.name], mask),
                (source,),
                Map((apply("mul", Arg(0), 2.0), apply("u1", inside)), shape, "pack"),
            ),
            Call(MAP, (views[z.name],), (mask, source), Map((chosen,), shape, "choose")),
            Call(MAP, (back[0],), (back[1], back[2]), Map((zeroed,), back[0].shape, "zero")),
        )
        entries[entry] = Entry(entry, calls)
    values = {
        b.name: rng.standard_normal(b.shape).astype(np.float32)
        for b in buffers.values()
        if b.role is Role.STATE
    }
    return Program("bits", buffers, entries, values)


def check_bits(device: Device, program: Program) -> None:
    machine = Interpreter(program)
    for entry in program.entries:
        machine.run(entry)
        device.run_entry(entry)
    for number in range(len(SHAPES)):
        x = program.values[f"x{number}"]
        inside = (x > -0.5) & (x < 0.5)
        wanted = {"y": x * 2, "z": np.where(inside, x, x / 4), "t": np.where(inside, x, 0.0)}
        for name, value in wanted.items():
            np.testing.assert_array_equal(machine.value(f"{name}{number}"), value)
            np.testing.assert_array_equal(device.state[f"{name}{number}"], value)


def test_a_byte_holds_eight_bits() -> None:
    assert [Buffer("b", (n,), "u1", Role.ACTIVATION).size_bytes for n in (1, 8, 9)] == [1, 1, 2]


@pytest.mark.parametrize("cores", CORES)
def test_loops_of_bits_on_the_cluster(cores: int) -> None:
    target = find_target("pulp-cluster").with_cores(cores).with_memory("l1", L1_BYTES)
    program = bit_program()
    check_bits(firmware_for(program, target).run("cluster", check_races=True), program)


@pytest.mark.parametrize("processor", ["host", "cortex-m0plus", "cortex-m4"])
def test_loops_of_bits_on_one_core(processor: str) -> None:
    program = bit_program()
    target = find_target("host" if processor == "host" else "portable")
    check_bits(firmware_for(program, target).run(processor), program)


# --- what is kept ---

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.75),
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "hardsigmoid": nn.Hardsigmoid,
    "threshold": lambda: nn.Threshold(0.3, 0.1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_activation_before_frozen_weights_is_kept_as_bits(name: str) -> None:
    layer = LAYERS[name]
    model = nn.Sequential(
        nn.Conv2d(1, 5, 3), layer(), frozen(nn.Conv2d(5, 3, 3)), layer(), nn.Conv2d(3, 3, 1)
    )
    example = example_for(model, 1, 1, 11, 13)
    firmware = climb(model, example)
    before = without_masks(lambda: ac.compile(model, example=example, loss="mse"))
    old, new = kept(before), kept(firmware)
    assert 4 * 5 * 9 * 11 in old.values()
    assert 4 * 5 * 9 * 11 not in new.values()
    assert any(name.endswith("_mask") and size == 64 for name, size in new.items())  # 62 B in words
    assert sum(old.values()) - sum(new.values()) >= 4 * 5 * 9 * 11 - 64


class Residual(nn.Module):
    """relu(conv(relu(x)) + x), whose sum is tested where it is zero."""

    def __init__(self, C: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, C, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(torch.relu(x)) + x)


class Scaled(nn.Module):
    """The gradient of the activation is multiplied in the loop that tests it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) * 0.37


class Windows(nn.Module):
    """The activation of one layer is a part of the input of the next but one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = nn.functional.leaky_relu(self.first(x), 0.125)
        b = nn.functional.leaky_relu(self.second(a), 0.125)
        return self.last(torch.cat((b, a), 1))


class Turned(nn.Module):
    """The activation is tested in another order of its axes than that of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x).transpose(1, 2)))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (
        lambda: nn.Sequential(nn.Conv2d(1, 6, 3), Residual(6), Residual(6), nn.Conv2d(6, 2, 3)),
        (1, 1, 9, 10),
    ),
    "scaled": (
        lambda: nn.Sequential(nn.Conv2d(1, 6, 3), Scaled(), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 2, 1)),
        (1, 1, 9, 10),
    ),
    "pooled": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 2, 1)
        ),
        (1, 1, 12, 12),
    ),
    "dense": (
        lambda: nn.Sequential(
            nn.Linear(6, 77), nn.ReLU(), nn.Linear(77, 65), nn.LeakyReLU(), nn.Linear(65, 3)
        ),
        (3, 6),
    ),
    "windows": (Windows, (2, 1, 8, 8)),
    "turned": (Turned, (1, 24, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_biases_learn_from_bits(name: str) -> None:
    torch.manual_seed(1)
    build, shape = MODELS[name]
    model = biases_only(build())
    example = example_for(model, *shape)
    firmware = climb(model, example, lr=0.05)
    before = without_masks(lambda: ac.compile(model, example=example, loss="mse"))
    assert any(n.endswith("_mask") for n in kept(firmware))
    assert sum(kept(firmware).values()) < sum(kept(before).values())
    assert firmware.plan.entries["train"].arena_bytes <= before.plan.entries["train"].arena_bytes


def test_weights_that_learn_keep_their_input_and_no_bits() -> None:
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3), nn.Conv2d(3, 3, 1))
    firmware = ac.compile(model, example=example_for(model, 1, 1, 11, 13), loss="mse")
    assert not any(name.endswith("_mask") for name in kept(firmware))


def test_prediction_packs_nothing() -> None:
    model = biases_only(nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 3)))
    program = ac.compile(model, example=example_for(model, 1, 1, 11, 13), loss="mse").program
    names = {v.buffer for call in program.entries["predict"].calls for v in call.views}
    assert "u1" not in {program.buffers[name].dtype for name in names}


def test_bits_do_not_change_a_number() -> None:
    model = biases_only(MODELS["residual"][0]())
    x, y = example_for(model, *MODELS["residual"][1])
    with torch.no_grad():
        next(model.parameters())[0] = 3e38  # some sums are infinite, and differences of them NaN
    compiled = lambda: ac.compile(model, example=(x, y), loss="mse")  # noqa: E731
    devices = [compiled().run("host"), without_masks(compiled).run("host")]
    for device in devices:
        for _ in range(3):
            device.train(x, y, lr=0.05)
    for name, value in devices[0].weights.items():
        np.testing.assert_array_equal(value, devices[1].weights[name])


def test_quiet_stretch_is_not_worth_bits() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    firmware = ac.compile(model, example=example_for(model, 1, 1, 16, 16), loss="mse")
    assert not any(name.endswith("_mask") for name in kept(firmware))


# --- what a frozen layer does not need ---


class Shifted(nn.Module):
    """Arithmetic whose gradient is constant."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 0.5) * 3.0 - x / 7.0


FROZEN: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(64, 64), (2, 64)),
    "conv2d": (lambda: nn.Conv2d(4, 4, 3, padding=1), (1, 4, 8, 8)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 8, 8)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 3, padding=1), (1, 4, 8, 8)),
    "batch_norm": (lambda: nn.BatchNorm2d(4).eval(), (1, 4, 8, 8)),
    "avg_pool": (lambda: nn.AvgPool2d(2), (1, 4, 8, 8)),
    "max_pool": (lambda: nn.MaxPool2d(2), (1, 4, 8, 8)),
    "upsample": (lambda: nn.Upsample(scale_factor=2), (1, 4, 8, 8)),
    "leaky_relu": (lambda: nn.LeakyReLU(0.1), (1, 4, 8, 8)),
    "relu6": (nn.ReLU6, (1, 4, 8, 8)),
    "add": (Shifted, (1, 4, 8, 8)),
}


@pytest.mark.parametrize("name", FROZEN)
def test_nothing_but_bits_is_kept_for_a_frozen_layer(name: str) -> None:
    """A bias before it and a bias after it learn; no gradient needs a value in between."""
    torch.manual_seed(2)
    build, shape = FROZEN[name]
    width = shape[1]

    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.layer = nn.Parameter(torch.randn(shape[1:])), frozen(build())
            self.after = nn.Parameter(torch.randn(width, *[1] * (len(shape) - 2)))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x + self.before) + self.after

    model = Between()
    firmware = climb(model, example_for(model, *shape), simulated=False)
    count = int(np.prod(shape))
    program = firmware.program
    floats = {n: b for n, b in kept(firmware).items() if program.buffers[n].dtype == "f32"}
    # What the loss keeps of the result is all.
    with torch.no_grad():
        result = model(torch.zeros(shape)).numel()
    assert sum(floats.values()) <= 4 * result, floats
    assert sum(kept(firmware).values()) - sum(floats.values()) <= count


def test_frozen_layers_at_the_front_keep_nothing() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1), nn.LeakyReLU(), nn.Flatten(),
        nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU6(), nn.Linear(32, 3),
    ).eval()  # fmt: skip
    frozen(model[:10])
    firmware = ac.compile(model, example=example_for(model, 1, 1, 8, 8), loss="mse")
    assert set(kept(firmware).values()) <= {4 * 32, 4 * 3}


# --- whole networks ---


def network(name: str, part: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A reference network of which the biases learn, or the first layers and the last one."""
    model, x, y = example_of(REGISTRY[name])
    if part == "biases":
        return biases_only(model), x, y
    names = [n.rpartition(".")[0] for n, _ in model.named_parameters() if n.endswith("weight")]
    learns = {names[0], names[-1]}
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter_name.rpartition(".")[0] in learns)
    return model, x, y


@cache
def before_and_after(name: str, part: str) -> tuple[ac.Firmware, ac.Firmware]:
    model, x, y = network(name, part)
    loss = REGISTRY[name].loss

    def compiled() -> ac.Firmware:
        return ac.compile(model, example=(x, y), loss=loss, target="portable", entries=("train",))

    return without_masks(compiled), compiled()


# Bytes of the arena of a step for the kernels that need no scratch, before and after.
ARENAS = {
    ("resnet8", "biases"): (360_576, 200_704),
    ("resnet8", "ends"): (360_448, 200_704),
    ("dscnn_s", "biases"): (320_256, 72_256),
    ("dscnn_s", "ends"): (320_000, 72_000),
    ("upydnet", "biases"): (1_704_964, 677_376),
    ("upydnet", "ends"): (1_704_960, 677_376),
}


@pytest.mark.parametrize(("name", "part"), ARENAS)
def test_arena_of_a_network(name: str, part: str) -> None:
    before, after = before_and_after(name, part)
    found = tuple(f.plan.entries["train"].arena_bytes for f in (before, after))
    assert found == ARENAS[name, part]
    _, x, y = network(name, part)
    devices = [firmware.run("host") for firmware in (before, after)]
    losses = [[device.train(x, y, lr=0.01) for _ in range(2)] for device in devices]
    assert losses[0] == losses[1]  # the same sums in the same order
    for path, value in devices[0].weights.items():
        np.testing.assert_array_equal(value, devices[1].weights[path], path)
