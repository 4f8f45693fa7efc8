# SPDX-License-Identifier: Apache-2.0
"""Every operator, loss and optimizer climbs the ladder in a small model of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import acclimate as ac
from ladder import Scaled, climb


class Shared(nn.Module):
    """One weight used three times: its gradients add up."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(torch.tanh(self.layer(x)))))


def example_for(model: nn.Module, *shape: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(*shape)
    with torch.no_grad():
        return x, torch.randn_like(model(x))


ACTIVATIONS = {
    "relu": nn.ReLU(),
    "relu_inplace": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "leaky_relu": nn.LeakyReLU(0.125),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "mish": nn.Mish(),
    "logsigmoid": nn.LogSigmoid(),
    "softmax": nn.Softmax(dim=1),
    "softmax_rows": nn.Softmax(dim=2),
    "log_softmax": nn.LogSoftmax(dim=1),
    "softmin": nn.Softmin(dim=-1),
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "add_broadcast": lambda x: x + x.mean(2, keepdim=True) + x[:, :, :1, :],
    "sub_scalar": lambda x: 2.0 - x - 0.5,
    "mul_broadcast": lambda x: x * x[:, :1] * 3.0,
    "div_broadcast": lambda x: x / (x.abs().sum(dim=(2, 3), keepdim=True) + 1.0),
    "square_root": lambda x: (x * x + 0.1).sqrt() + (x * x + 1.0).rsqrt(),
    "power": lambda x: x**2 + x**3 + (x.abs() + 0.5) ** 1.5,
    "exp_log": lambda x: (x.exp() + 1.0).log() + torch.log1p(x * x),
    "clamp": lambda x: x.clamp(-0.5, 0.7) + x.clamp_min(0.1),
    "max_min": lambda x: torch.maximum(x, x.flip(0) * 0 + 0.2) + torch.minimum(x, x * 0.5),
    "where": lambda x: torch.where(x > 0.3, x * x, -x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.25),
    "trigonometry": lambda x: x.sin() * x.cos(),
    "sum_axes": lambda x: x.sum((1, 3)),
    "mean_all": lambda x: x.mean() * x,
    "variance": lambda x: (
        (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True) + 1).sqrt()
    ),
    "amax": lambda x: x - x.amax(1, keepdim=True).detach(),
    "cat": lambda x: torch.cat([x, x * 2, x[:, :2]], dim=1),
    "cat_inner": lambda x: torch.cat([x, x * 2], dim=3),
    "stack": lambda x: torch.stack([x, x * x], dim=1),
    "slice": lambda x: x[:, 1:3, ::2, 1:],
    "select": lambda x: x[:, 2] * x[:, 0],
    "chunk": lambda x: x.chunk(2, dim=1)[0] * x.chunk(2, dim=1)[1],
    "pad": lambda x: F.pad(x, (1, 2, 0, 3)),
    "pad_value": lambda x: F.pad(x, (1, 0), value=0.5),
    "crop": lambda x: F.pad(x, (-1, -1, 0, 2)),
    "view": lambda x: x.reshape(x.shape[0], -1),
    "permute": lambda x: x.permute(0, 3, 1, 2).reshape(x.shape[0], -1) * 2,
    "transpose_twice": lambda x: (
        x.transpose(1, 2).transpose(2, 3) * x.transpose(1, 2).transpose(2, 3)
    ),
    "flatten_unflatten": lambda x: x.flatten(1).unflatten(1, (4, -1)),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "expand": lambda x: x[:, :1].expand(-1, 5, -1, -1) * 2,
    "squeeze": lambda x: x[:, :1].squeeze(1).unsqueeze(-1),
    "upsample": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "bmm": lambda x: torch.bmm(x[:, 0], x[:, 1].transpose(1, 2)),
    "matmul_4d": lambda x: x @ x.transpose(2, 3),
    "einsum": lambda x: torch.einsum("bchw,bchv->bcwv", x, x),
    "normalize": lambda x: F.normalize(x, dim=1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "max_pool": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_pool_same": lambda x: F.max_pool2d(x, 2, stride=1),
    "max_pool_ceil": lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True),
    "max_pool_dilated": lambda x: F.max_pool2d(x, 2, 1, dilation=2),
    "avg_pool": lambda x: F.avg_pool2d(x, 2),
    "avg_pool_padded": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg_pool_without_pad": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool_ceil": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "global_average": lambda x: F.adaptive_avg_pool2d(x, 1),
    "global_maximum": lambda x: F.adaptive_max_pool2d(x, 1),
    "adaptive_average": lambda x: F.adaptive_avg_pool2d(x[..., :4], (3, 2)),
    "max_pool_1d": lambda x: F.max_pool1d(x.flatten(2), 3, 2),
    "avg_pool_1d": lambda x: F.avg_pool1d(x.flatten(2), 3, 2),
}
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(7, 5), (1, 7)),
    "linear_batch": (lambda: nn.Linear(7, 5, bias=False), (6, 7)),
    "linear_3d": (lambda: nn.Linear(7, 5), (2, 3, 7)),
    "conv1d": (lambda: nn.Conv1d(3, 5, 4, stride=2, padding=3, dilation=2), (2, 3, 21)),
    "conv1d_depthwise": (lambda: nn.Conv1d(4, 8, 3, groups=4), (1, 4, 11)),
    "conv2d": (lambda: nn.Conv2d(3, 5, 3, padding=1), (2, 3, 8, 7)),
    "conv2d_stride": (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1), (1, 3, 32, 32)),
    "conv2d_same": (lambda: nn.Conv2d(2, 3, 4, padding="same"), (1, 2, 8, 8)),
    "conv2d_no_bias": (lambda: nn.Conv2d(2, 3, (2, 5), stride=(3, 1), bias=False), (1, 2, 9, 9)),
    "conv2d_groups": (
        lambda: nn.Conv2d(6, 9, 3, groups=3, dilation=(1, 2), padding=2),
        (1, 6, 9, 8),
    ),
    "conv2d_padded": (
        lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(3, 4, 3, stride=2)),
        (1, 3, 10, 9),
    ),
    "conv_after_pad": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.ZeroPad2d((0, 1, 2, 3)), nn.Conv2d(3, 4, 3)),
        (1, 2, 6, 6),
    ),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 2, stride=2), (1, 3, 5, 4)),
    "transposed_wide": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 5, 4),
    ),
    "transposed_1d": (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2), (1, 3, 7)),
    "layer_norm": (lambda: nn.LayerNorm((5, 6)), (2, 4, 5, 6)),
    "layer_norm_plain": (lambda: Scaled(lambda x: x * F.layer_norm(x, (6,))), (2, 4, 6)),
    "group_norm": (lambda: nn.GroupNorm(2, 6), (2, 6, 5, 4)),
    "instance_norm": (lambda: nn.InstanceNorm2d(3, affine=True), (1, 3, 5, 4)),
    "batch_norm_train": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).train(),
        (4, 2, 6, 5),
    ),
    "batch_norm_first": (
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3)).eval(),
        (1, 2, 6, 5),
    ),
    "batch_norm_linear": (
        lambda: nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU()).eval(),
        (1, 6),
    ),
    "gru": (lambda: Last(nn.GRU(4, 5, batch_first=True)), (2, 6, 4)),
    "gru_two_layers": (lambda: Last(nn.GRU(3, 4, num_layers=2, batch_first=True)), (1, 5, 3)),
    "gru_16_steps": (lambda: Last(nn.GRU(4, 6, batch_first=True)), (1, 16, 4)),
    "lstm": (lambda: Last(nn.LSTM(4, 5, batch_first=True)), (2, 6, 4)),
    "lstm_both_ways": (
        lambda: Last(nn.LSTM(3, 4, batch_first=True, bidirectional=True)),
        (1, 4, 3),
    ),
    "rnn": (lambda: Last(nn.RNN(4, 5, batch_first=True)), (1, 6, 4)),
    "attention": (lambda: Attention(8, 2), (2, 5, 8)),
    "encoder_layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(),
        (1, 4, 8),
    ),
    "shared_weight": (Shared, (1, 5)),
}


class Words(nn.Module):
    """Rows of a table, picked by the input."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4, padding_idx=0)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.table(x).mean(1))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Conv1d(2, 3, 3)

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.left(x) + self.right(z).mean(2), torch.sigmoid(self.left(x))


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][:, -1]


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_climbs(name: str) -> None:
    torch.manual_seed(2)
    model = Scaled(ACTIVATIONS[name])
    climb(model, example_for(model, 2, 6, 5), lr=0.05)


SLOW = {"power": 1e-4}  # diverges at larger steps, in PyTorch too


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_climbs(name: str) -> None:
    torch.manual_seed(3)
    model = Scaled(FUNCTIONS[name])
    climb(model, example_for(model, 2, 4, 6, 5), lr=SLOW.get(name, 0.01))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", LAYERS)
def test_layer_climbs(name: str) -> None:
    torch.manual_seed(4)
    build, shape = LAYERS[name]
    model = build()
    climb(model, example_for(model, *shape), lr=0.05)


CLASSES = torch.tensor([2, 0, 3])
LOSSES = {
    "cross_entropy": ("cross_entropy", CLASSES),
    "cross_entropy_smooth": (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
    "cross_entropy_sum": (nn.CrossEntropyLoss(reduction="sum"), CLASSES),
    "cross_entropy_weights": (nn.CrossEntropyLoss(torch.tensor([0.5, 1.0, 2.0, 1.5])), CLASSES),
    "cross_entropy_probabilities": ("cross_entropy", torch.softmax(torch.randn(3, 4), 1)),
    "nll": (lambda o, y: F.nll_loss(F.log_softmax(o, 1), y), CLASSES),
    "mse": ("mse", torch.randn(3, 4)),
    "l1": ("l1", torch.randn(3, 4)),
    "huber": (nn.HuberLoss(delta=0.4), torch.randn(3, 4)),
    "smooth_l1": (nn.SmoothL1Loss(beta=0.3), torch.randn(3, 4)),
    "berhu": ("berhu", torch.randn(3, 4)),
    "bce_with_logits": ("bce_with_logits", torch.rand(3, 4)),
    "bce_weighted": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), torch.rand(3, 4)),
    "own": (
        lambda o, y: ((o - y) ** 2 * torch.tensor([1.0, 0.0, 2.0, 1.0])).mean(),
        torch.randn(3, 4),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_climbs(name: str) -> None:
    torch.manual_seed(5)
    loss, target = LOSSES[name]
    climb(nn.Linear(6, 4), (torch.randn(3, 6), target), loss, lr=0.05)


OPTIMIZERS = {
    "sgd": ac.SGD(),
    "decay": ac.SGD(weight_decay=0.1),
    "momentum": ac.SGD(momentum=0.9),
    "nesterov": ac.SGD(momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": ac.Adam(),
    "adam_decay": ac.Adam(weight_decay=0.1, beta1=0.8),
    "adamw": ac.AdamW(weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_climbs(name: str) -> None:
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    climb(
        model,
        (torch.randn(2, 1, 6, 6), torch.tensor([0, 2])),
        "cross_entropy",
        optimizer=OPTIMIZERS[name],
        lr=0.02,
    )


def test_embedding_climbs() -> None:
    torch.manual_seed(7)
    climb(Words(), (torch.tensor([[1, 8, 1], [0, 3, 5]]), torch.tensor([2, 0])), "cross_entropy")


def test_gather_climbs() -> None:
    torch.manual_seed(7)
    model = nn.Linear(4, 5)
    target = torch.tensor([[0, 4], [2, 2], [1, 0]])
    climb(model, (torch.randn(3, 4), target), lambda o, y: (o.gather(1, y) ** 2).mean(), lr=0.05)


def test_two_inputs_and_two_outputs_climb() -> None:
    torch.manual_seed(8)
    inputs = (torch.randn(2, 4), torch.randn(2, 2, 7))
    targets = (torch.randn(2, 3), torch.rand(2, 3))

    def loss(outputs: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]) -> Tensor:
        return F.mse_loss(outputs[0], target[0]) + F.binary_cross_entropy(outputs[1], target[1])

    climb(TwoInputs(), (inputs, targets), loss, lr=0.05)
