# SPDX-License-Identifier: Apache-2.0
"""The reference networks have the sizes that their papers publish."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from acclimate.errors import BadOption
from acclimate.models import DSCNN, REGISTRY, DeepAutoEncoder, Frontnet, ModelCase
from acclimate.models.separable import same_padding

CASES = [pytest.param(case, id=name) for name, case in REGISTRY.items()]


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def run(model: nn.Module, shape: tuple[int, ...], N: int = 1) -> tuple[Tensor, int]:
    """Runs the model on noise; returns y and the MACs of its convolutions and linear layers."""
    macs = 0

    def add(module: nn.Module, x: tuple[Tensor], y: Tensor) -> None:
        nonlocal macs
        if isinstance(module, nn.Linear):
            macs += y.numel() * module.in_features
        elif isinstance(module, nn.ConvTranspose2d):
            macs += x[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            macs += y.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(add) for m in model.modules()]
    with torch.no_grad():
        y = model.eval()(torch.randn(N, *shape, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    return y, macs


@pytest.mark.parametrize("case", CASES)
def test_model_has_the_published_size(case: ModelCase) -> None:
    model = case.build()
    y, macs = run(model, case.input_shape)
    kind, target = case.target
    assert y.shape[1:] == ((target,) if kind == "class" else target)
    assert case.parameters in (None, count_parameters(model))
    assert case.macs in (None, macs)


@pytest.mark.parametrize("case", CASES)
def test_model_treats_each_sample_of_a_batch_alone(case: ModelCase) -> None:
    torch.manual_seed(0)
    model = case.build().eval()
    x = torch.randn(2, *case.input_shape)
    with torch.no_grad():
        # Another batch size may choose another matrix product: float32 rounding, not equality.
        torch.testing.assert_close(model(x)[1:], model(x[1:]), rtol=1e-4, atol=1e-5)


# Published numbers are rounded; ours round to them. peers' step = 3 x forward - forward of layer 1.
@pytest.mark.parametrize(
    ("name", "millions", "places"),
    [
        ("dscnn_s", 2.657, 3),
        ("dscnn_m", 9.816, 3),
        ("dscnn_l", 28.33, 2),
        ("resnet8", 12.50, 2),
        ("frontnet_160x32", 14.14, 2),
        ("frontnet_160x16", 4.30, 2),
        ("upydnet", 79.76, 2),
        ("har_cnn", 1.13, 2),
    ],
)
def test_macs_round_to_the_published_number(name: str, millions: float, places: int) -> None:
    _, macs = run(REGISTRY[name].build(), REGISTRY[name].input_shape)
    assert round(macs / 1e6, places) == millions


@pytest.mark.parametrize(
    ("name", "first_layer", "step"),
    [
        ("deep_autoencoder", 640 * 128, 710_656),
        ("ae_tiny", 128 * 64, 77_824),
        ("dscnn_s", 25 * 5 * 40 * 64, 7_650_304),
        ("resnet8", 32 * 32 * 27 * 16, 37_062_528),
    ],
)
def test_training_step_has_the_published_macs(name: str, first_layer: int, step: int) -> None:
    _, macs = run(REGISTRY[name].build(), REGISTRY[name].input_shape)
    assert 3 * macs - first_layer == step  # forward, weight and input gradients; none for x


def test_autoencoder_has_the_published_parts() -> None:
    model = DeepAutoEncoder()
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    assert sum(m.weight.numel() for m in linear) == 264_192
    assert sum(m.bias.numel() for m in linear) == 1_672
    # The published 4 128 counts the running mean and variance too.
    assert sum(2 * (m.weight.numel() + m.bias.numel()) for m in norms) == 4_128
    assert count_parameters(DeepAutoEncoder(batch_norm=False)) == 264_192 + 1_672


def test_frontnet_80x32_has_the_published_size() -> None:
    model = Frontnet("80x32")
    y, macs = run(model, (1, 48, 80))
    assert (count_parameters(model), round(macs / 1e6, 2), y.shape) == (299_748, 4.03, (1, 4))


def test_dscnn_s_maps_are_25_by_5() -> None:
    model = DSCNN("S")
    x = torch.zeros(1, 1, 49, 10)
    first = model.conv1(model.pad1(x))
    assert first.shape == model.blocks(first).shape == (1, 64, 25, 5)


def test_dscnn_m_maps_are_25_by_10_then_13_by_5() -> None:
    model = DSCNN("M")
    first = model.conv1(model.pad1(torch.zeros(1, 1, 49, 10)))
    assert first.shape == (1, 172, 25, 10)
    assert model.blocks(first).shape == (1, 172, 13, 5)


@pytest.mark.parametrize(
    ("axis", "zeros"),
    [((49, 10, 2), (4, 5)), ((10, 4, 2), (1, 1)), ((10, 4, 1), (1, 2)), ((10, 3, 2), (0, 1))],
)
def test_same_padding_is_tensorflows(axis: tuple[int, int, int], zeros: tuple[int, int]) -> None:
    assert same_padding(*axis) == zeros


def test_unknown_size_lists_the_allowed_ones() -> None:
    with pytest.raises(BadOption, match="allowed: L, M, S, XS"):
        DSCNN("s")
