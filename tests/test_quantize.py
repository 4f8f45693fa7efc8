# SPDX-License-Identifier: Apache-2.0
"""A frozen backbone in integers, a classifier in floats: the pass, its integers, its C."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import BadExample, BadOption
from acclimate.models import DSCNN, ResNet8
from acclimate.program import Interpreter, Role
from acclimate.quantize.residual import factors
from acclimate.quantize.scheme import quantize_weights
from ladder import assert_close

CALIBRATION = 24
LR = 0.05


class Backbone(nn.Module):
    """A frozen backbone of every kind of layer, and a classifier that learns.

    Its outputs are the features and the scores: the features are integers times a number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.dense = nn.Conv2d(12, 8, (3, 2), padding=(2, 0), dilation=(2, 1))
        self.classify = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x).relu()
        x = self.depthwise(x).clamp(0.0, 6.0)
        x = self.pointwise(x)
        x = self.dense(x).relu()
        features = x.mean((2, 3))
        return self.classify(features), features


def loss(outputs: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs[0], y)


def frozen(model: nn.Module, *learns: str) -> nn.Module:
    model.eval().requires_grad_(False)
    for name in learns:
        model.get_submodule(name).requires_grad_(True)
    return model


def compiled(model: nn.Module, shape: tuple[int, ...], **options: object) -> ac.Firmware:
    """With as many batches of calibration as there are."""
    torch.manual_seed(1)
    x = torch.randn(CALIBRATION, *shape)
    options = {"quantize": ac.Int8(x), "loss": loss, "target": "host", **options}
    example = (x[:1], torch.zeros(1, dtype=torch.long))
    return ac.compile(model, example=example, optimizer="sgd", name="net", **options)


def backbone(seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return frozen(Backbone(), "classify")


def inputs(count: int = 4) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, 1, 3, 9, 8)).astype(np.float32)


def test_frozen_layers_become_integers_and_what_learns_stays() -> None:
    firmware = compiled(backbone(), (3, 9, 8))
    for entry in firmware.program.entries.values():
        counts = Counter(call.op.name for call in entry.calls)
        assert counts["conv2d_fwd"] == 0 and counts["linear_fwd"] == 1
        names = [name for name in counts if "_s8" in name or "_u8" in name]
        assert sorted(names) == [
            "conv2d_s8_u8_planes", "conv2d_u8_s8", "depthwise_u8_u8", "mean_u8_planes",
            "quantize_s8",
        ]  # fmt: skip
    learned = [b.dtype for b in firmware.program.buffers.values() if b.role is Role.PARAMETER]
    assert set(learned) == {"f32"}
    floats = [b for b in firmware.program.buffers.values() if b.role is Role.FROZEN]
    assert {b.dtype for b in floats} == {"s8", "s32"}, "frozen weights in floats are gone"


def test_the_c_computes_the_integers_of_numpy() -> None:
    firmware = compiled(backbone(), (3, 9, 8))
    device, meaning = firmware.run(), Interpreter(firmware.program)
    names = [b.name for b in firmware.program.interface("predict") if b.role is Role.OUTPUT]
    for x in inputs():
        scores, features = device.predict(x)
        wanted = meaning.run("predict", x=x)
        np.testing.assert_array_equal(features, wanted[names[1]])
        assert_close(scores, wanted[names[0]], 1e-6, "scores")


def test_integers_are_near_the_floats() -> None:
    model = backbone()
    device = compiled(model, (3, 9, 8)).run()
    for x in inputs():
        with torch.no_grad():
            scores, features = model(torch.from_numpy(x))
        found = device.predict(x)
        assert_close(found[1], features, 0.05, "features")
        assert_close(found[0], scores, 0.05, "scores")


def test_the_classifier_learns_from_the_features_of_the_integers() -> None:
    model = backbone()
    device = compiled(model, (3, 9, 8)).run()
    layer, y = model.classify, torch.tensor([2])
    for x in inputs():
        _, features = device.predict(x)
        expected = nn.functional.cross_entropy(layer(torch.from_numpy(features)), y)
        gradients = torch.autograd.grad(expected, [layer.weight, layer.bias])
        assert_close(device.train(x, y.numpy(), lr=LR), expected.item(), 1e-5, "loss")
        with torch.no_grad():
            for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                parameter -= LR * gradient
        assert_close(device.weights["classify.weight"], layer.weight.detach(), 1e-5, "weights")


@pytest.mark.parametrize("on", ["cortex-m0plus", "cortex-m4", "cluster"])
def test_devices_compute_the_integers_of_the_host(on: str) -> None:
    target = "gap9" if on == "cluster" else "portable"
    firmware = compiled(backbone(), (3, 9, 8), target=target)
    device, host = firmware.run(on), firmware.run("host")
    assert any(call.work for call in firmware.program.calls()) == (on == "cluster")
    for x in inputs(2):
        np.testing.assert_array_equal(device.predict(x)[1], host.predict(x)[1])
        y = np.zeros(1, np.int64)
        assert_close(device.train(x, y, lr=LR), host.train(x, y, lr=LR), 1e-5, "loss")


def test_tiles_compute_the_same_integers() -> None:
    torch.manual_seed(0)
    model = frozen(DSCNN("XS"), "fc1")
    whole = compiled(model, (1, 16, 8), target="gap9", loss="cross_entropy")
    tiled = ac.retarget(whole, "gap9", budget={"l1": "6 kB"})
    assert tiled.program.copies and not whole.program.copies
    x = torch.randn(1, 1, 16, 8)
    np.testing.assert_array_equal(tiled.run().predict(x), whole.run().predict(x))


def test_a_trained_layer_ends_the_integers() -> None:
    model = frozen(Backbone(), "pointwise", "classify")
    firmware = compiled(model, (3, 9, 8))
    (stage,) = [stage for stage in firmware.stages if stage.name == "quantize"]
    ends = [line for line in stage.changes if "floats from" in line]
    assert ends and all("pointwise conv2d_fwd on: it learns" in line for line in ends)
    counts = Counter(call.op.name for call in firmware.program.entries["train"].calls)
    assert counts["dequantize_u8_planes"] == 1, (
        "the layer after them, and its gradient, read floats"
    )
    assert counts["conv2d_fwd"] == 2 and counts["depthwise_u8_u8_planes"] == 1
    y = np.zeros(1, np.int64)
    device = firmware.run()
    losses = [device.train(inputs(1)[0], y, lr=LR) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_nothing_frozen_in_front_stays_float() -> None:
    model = frozen(Backbone(), "stem")
    firmware = compiled(model, (3, 9, 8))
    assert not any(call.op.name.startswith("quantize") for call in firmware.program.calls())


def test_layers_that_want_planes_and_pixels_of_one_activation() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3)
            self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.pointwise = nn.Conv2d(4, 4, 1)
            self.classify = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x).relu()
            x = self.depthwise(x).relu() + self.pointwise(x).relu()
            return self.classify(x.mean((2, 3)))

    torch.manual_seed(0)
    model = frozen(Both(), "classify")
    firmware = compiled(model, (1, 6, 6), loss="cross_entropy")
    (stage,) = [stage for stage in firmware.stages if stage.name == "quantize"]
    assert any("others read its input as pixels" in line for line in stage.changes)
    x = torch.randn(1, 1, 6, 6)
    assert_close(firmware.run().predict(x), model(x).detach(), 0.05, "scores")


def test_residual_blocks_stay_integers() -> None:
    torch.manual_seed(0)
    model = frozen(ResNet8(), "fc1")
    firmware = compiled(model, (3, 32, 32), loss="cross_entropy", entries=("predict",))
    (stage,) = [stage for stage in firmware.stages if stage.name == "quantize"]
    assert not any("floats from" in line for line in stage.changes)
    counts = Counter(call.op.name for call in firmware.program.calls())
    assert sum(n for name, n in counts.items() if name.startswith("add_")) == 3
    assert sum(n for name, n in counts.items() if name.startswith("conv2d_")) == 9
    assert counts["mean_u8_planes"] == counts["linear_fwd"] == 1
    assert not {"map", "reduce", "conv2d_fwd", "dequantize_u8"} & set(counts)
    device, meaning = firmware.run(), Interpreter(firmware.program)
    x = np.random.default_rng(4).standard_normal((1, 3, 32, 32)).astype(np.float32)
    found = device.predict(x)
    assert_close(found, next(iter(meaning.run("predict", x=x).values())), 1e-6, "scores")
    assert_close(found, model(torch.from_numpy(x)).detach(), 0.05, "scores")


@pytest.mark.parametrize(
    "scales", [(1.0, 1.0, 1.0), (0.02, 3.0, 3.1), (1e-6, 1e-7, 5.0), (9.0, 1.0, 0.01)]
)
def test_factors_of_a_sum_are_the_scales(scales: tuple[float, float, float]) -> None:
    x, z, shift = factors(*scales)
    assert 0 <= min(x, z) <= max(x, z) < 2**15 and 0 <= shift <= 30
    step = 0.5 / 2**shift
    assert abs(x / 2**shift - scales[0] / scales[2]) <= step
    assert abs(z / 2**shift - scales[1] / scales[2]) <= step


@pytest.mark.parametrize(
    ("x", "what"),
    [
        (torch.zeros(5, 3, 9, 7), r"are \[1 or more, 3, 9, 8\]"),
        (torch.zeros(0, 3, 9, 8), "1 or more"),
        (torch.full((2, 3, 9, 8), torch.nan), "not finite"),
        ((torch.zeros(2, 3, 9, 8), torch.zeros(2, 1)), "1 inputs, the calibration has 2"),
    ],
)
def test_calibration_that_does_not_fit_is_an_error(x: object, what: str) -> None:
    with pytest.raises(BadExample, match=what):
        compiled(backbone(), (3, 9, 8), quantize=ac.Int8(x))


def test_weights_lose_at_most_a_step() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((16, 40)) * 10.0 ** rng.uniform(-3, 1, (16, 1))
    b = rng.standard_normal(16)
    scale_x, scale_y = 0.02, 0.7
    made = quantize_weights(w, b, scale_x, scale_y)
    scales = scale_y / scale_x / 2.0 ** made.scale[:, 1:]
    assert (np.abs(made.w).max(axis=1) >= 63).all(), "seven bits at least"
    error = np.abs(made.w * scales - w)
    unclipped = np.abs(made.w) < 127
    assert (error <= 0.5001 * scales)[unclipped].all()
    bias = (made.scale[:, 0] - 2.0 ** (made.scale[:, 1] - 1)) * scales[:, 0] * scale_x
    assert (np.abs(bias - b) <= 0.5001 * scales[:, 0] * scale_x).all()


def test_sums_never_overflow() -> None:
    """Small outputs ask for large shifts: they stop where a sum could leave 32 bits."""
    for b in (0.0, 1.0, 1e4):
        made = quantize_weights(np.full((1, 4000), 1e-6), np.array([b]), 1e-3, 1e-7)
        most = 255 * np.abs(made.w.astype(int)).sum() + abs(int(made.scale[0, 0]))
        assert most < 2**31
        assert (b == 0.0) == (made.scale[0, 0] >> made.scale[0, 1] < 255)


def test_a_layer_without_weights_is_its_bias() -> None:
    made = quantize_weights(np.zeros((2, 3)), np.array([0.5, -0.25]), 0.1, 0.01)
    assert not made.w.any()
    np.testing.assert_array_equal(made.scale[:, 0] >> made.scale[:, 1], [50, -25])


def test_a_scheme_that_is_none_is_an_error() -> None:
    example = torch.zeros(1, 4), torch.tensor([0])
    with pytest.raises(BadOption, match="frozen layers compute with"):
        ac.compile(nn.Linear(4, 2), example=example, quantize="int8")  # type: ignore[arg-type]
