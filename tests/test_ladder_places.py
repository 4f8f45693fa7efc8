# SPDX-License-Identifier: Apache-2.0
"""Operators that pick, move or blend elements by place, and weights that a model rearranges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import UnsupportedModel
from ladder import Scaled, climb


def numbers(*values: int) -> Tensor:
    return torch.tensor(values)


def assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = 1.0
    y[:, 1:3] = x[:, :2] * 2
    y[y < -0.5] = 0.25
    y[:, 3:1] = 7.0
    return y


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(
        x, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "linear": lambda x: (
        F.interpolate(x.flatten(2), scale_factor=3, mode="linear")
        + F.interpolate(x.flatten(2), scale_factor=3)
    ),
    "roll": lambda x: x.roll((1, -2), (2, 3)) + x.roll(5),
    "cumsum": lambda x: x.cumsum(1) + x.cumsum(-1),
    "causal_mask": lambda x: (
        (x @ x.transpose(2, 3))
        .masked_fill(torch.triu(torch.ones(6, 6, dtype=torch.bool), 1), -1e9)
        .softmax(-1)
    ),
    "positions": lambda x: (
        (x.tril() + x.triu(1) * torch.arange(5) + torch.arange(0.0, 1.5, 0.25)[:, None])
        @ torch.eye(5)
        * (torch.arange(5) - 3).clamp(-1, 1)
    ),
    "index": lambda x: x[:, [0, 2, 2]] * x[:, :, [-1, 0]].sum() + x[:, torch.tensor(1)][:, None],
    "index_pair": lambda x: torch.cat(
        [
            x[:, numbers(0, 2), numbers(1, 3)].flatten(1),
            x[:, numbers(0, 2)[:, None], :, numbers(1, 3)].movedim(2, 0).flatten(1),
            torch.index_select(x, 3, numbers(3, 1)).flatten(1),
        ],
        1,
    ),
    "assign": assigned,
    "pad": lambda x: (
        F.pad(x, (1, 2, 1, 0), mode="reflect")
        * F.pad(x, (1, 2, 1, 0), mode="replicate")
        * F.pad(x, (1, 2, 1, 0), mode="circular")
    ),
    "diagonal": lambda x: x.diagonal(1, 2, 3) * torch.trace(x[0, 0]),
    "unfold": lambda x: torch.cat([x.unfold(3, 3, 2).flatten(1), x.unfold(2, 3, 1).flatten(1)], 1),
    "extremes": lambda x: x.max(1)[0] + x.min(1)[0] + x.argmin(1),
    "product": lambda x: x.prod(1) + (x[:, :2] * 0).prod(1),
    "distances": lambda x: torch.cdist(x.flatten(2), x.flatten(2)[:, :2]),
    "round": lambda x: (
        x
        + (x.round() + x.ceil() - 2 * x.trunc()).detach()
        + torch.fake_quantize_per_tensor_affine(x, 0.25, 3, -4, 7)
    ),
    "logarithms": lambda x: (
        (x * x + 1).log2() + (x * x + 1).log10() + (x * 0.5).exp2() + torch.erfc(x)
    ),
    "hyperbolic": lambda x: (x * 0.5).sinh() + (x * 0.5).cosh(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_climbs(name: str) -> None:
    torch.manual_seed(3)
    model, x = Scaled(FUNCTIONS[name]), torch.randn(2, 4, 6, 5)
    with torch.no_grad():
        target = torch.randn_like(model(x))
    climb(model, (x, target), lr=0.01)


def test_grid_sample_climbs() -> None:
    torch.manual_seed(3)
    grid = torch.linspace(-1.1, 0.9, 8).reshape(1, 2, 2, 2)
    model = Scaled(lambda x: F.grid_sample(x, grid, align_corners=False))
    climb(model, (torch.randn(1, 2, 4, 3), torch.randn(1, 2, 2, 2)), lr=0.01, simulated=False)


class Rearranged(nn.Module):
    """A layer whose weight is stored in another order than the layer reads it."""

    def __init__(self, shape: tuple[int, ...], layer: Callable[[Tensor, Tensor, Tensor], Tensor]):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(shape) * 0.4), nn.Parameter(torch.randn(6) * 0.1)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, self.w, self.b)


ROWS, MAPS = (3, 6), (2, 3, 5, 5)
WEIGHTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Callable[..., Tensor]]] = {
    "transposed": (ROWS, (6, 6), lambda x, w, b: F.linear(x, w.t(), b)),
    "flipped": (ROWS, (6, 6), lambda x, w, b: F.linear(x, w.flip(0), b.flip(0))),
    "permuted": (ROWS, (2, 6, 3), lambda x, w, b: F.linear(x, w.permute(2, 0, 1).flatten(0, 1), b)),
    "mixed": (ROWS, (3, 6, 2), lambda x, w, b: F.linear(x, w.transpose(1, 2).reshape(6, 6), b)),
    "rows": (ROWS, (12, 6), lambda x, w, b: F.linear(x, w[::2], b)),
    "columns": (ROWS, (6, 8), lambda x, w, b: F.linear(x, w[:, 2:], b)),
    "rolled": (ROWS, (6, 6), lambda x, w, b: F.linear(x, w.roll(1, 0), b)),
    "both_ways": (ROWS, (6, 6), lambda x, w, b: F.linear(F.linear(x, w, b).tanh(), w.t(), b)),
    "shared_row": (ROWS, (1, 6), lambda x, w, b: F.linear(x, w.expand(6, 6), b)),
    "conv": (MAPS, (3, 6, 3, 3), lambda x, w, b: F.conv2d(x, w.transpose(0, 1), b)),
    "conv_turned": (MAPS, (6, 3, 3, 3), lambda x, w, b: F.conv2d(x, w.flip(2, 3), b.flip(0))),
    "conv_axes": (MAPS, (6, 3, 3, 3), lambda x, w, b: F.conv2d(x, w.transpose(2, 3), b)),
    "depthwise": (
        MAPS, (3, 3, 3), lambda x, w, b: F.conv2d(x, w.permute(1, 2, 0)[:, None], b[:3], groups=3)
    ),
    "bilinear": (ROWS, (6, 6, 6), lambda x, w, b: F.bilinear(x, x.tanh(), w, b)),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_in_another_order_climbs(name: str) -> None:
    """An update that is fused with the gradient has to write it in the order of the parameter."""
    torch.manual_seed(4)
    shape, weight, layer = WEIGHTS[name]
    model, x = Rearranged(weight, layer), torch.randn(shape)
    with torch.no_grad():
        target = torch.randn_like(model(x))
    climb(model, (x, target), lr=0.05, simulated=False)
    same_as_torch(model, x[:1])


class Entangled(nn.Module):
    """Gradients that are made of the weight itself, in another order than it is updated in."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 5) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.w * self.w.t()).sum() + x.sum() * (self.w * self.w.flip(0)).mean()


def test_gradients_made_of_their_weight_climb() -> None:
    torch.manual_seed(4)
    climb(Entangled(), (torch.randn(2, 5), torch.randn(2, 5)), lr=0.01, simulated=False)


class PartsOfPadded(nn.Module):
    """Convolutions of parts of one padded image, which none of them can pad for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1))
        w = self.conv.weight
        channels = F.conv2d(padded[:, :2], w[:, :2]) + F.conv2d(padded[:, 1:], w[:, 1:])
        return torch.cat([self.conv(padded[:1]), self.conv(padded[1:]) * 2]) + channels


def test_parts_of_a_padded_image_climb() -> None:
    torch.manual_seed(4)
    x = torch.randn(2, 3, 5, 4)
    climb(PartsOfPadded(), (x, torch.randn(2, 4, 5, 4)), lr=0.01, simulated=False)


class Tied(nn.Module):
    """One parameter with two names: a table of words that is also the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(7, 6), nn.Linear(6, 7, bias=False)
        self.head.weight = self.table.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.table(x))).transpose(1, 2)


class TiedNorm(nn.Module):
    """Two layers with one weight; only one of them has a norm behind it, which cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3)
        self.second = nn.Conv1d(3, 3, 1)
        self.second.weight = self.first.weight
        self.norm.running_var.fill_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.norm(self.first(x))))


def test_a_parameter_with_two_names_climbs() -> None:
    torch.manual_seed(4)
    words = torch.tensor([[1, 0, 3, 6, 3]])
    firmware = climb(Tied(), (words, words.flip(1)), "cross_entropy", lr=0.05)
    assert [b.path for b in firmware.program.buffers.values() if b.path] == ["table.weight"]
    x = torch.randn(2, 3, 4)
    climb(TiedNorm().eval(), (x, x.flip(2)), lr=0.05, simulated=False)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_climbs(dim: int | None) -> None:
    torch.manual_seed(4)
    layer = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3), dim=dim)
    x = torch.randn(2, 3, 9)
    climb(layer, (x, torch.randn(2, 4, 7)), lr=0.05, simulated=dim == 0)


def same_as_torch(model: nn.Module, x: Tensor) -> None:
    """Loss, and the loss after an update, of the program in NumPy."""
    with torch.no_grad():
        target = torch.randn_like(model(x))
    firmware = ac.compile(model, example=(x, target), loss="mse", name="model")
    device = firmware.run("numpy")
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    for _ in range(2):
        loss = F.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found = float(device.train(x.numpy(), target.numpy(), lr=0.02))
        assert found == pytest.approx(loss.item(), rel=2e-5, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    to=st.one_of(
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        st.sampled_from([0.5, 1.5, 2.0, 2.7, 3.0, 4.0]),
    ),
    corners=st.booleans(),
)
def test_linear_upsampling_of_drawn_sizes(
    size: tuple[int, int], to: tuple[int, int] | float, corners: bool
) -> None:
    by = {"size": to} if isinstance(to, tuple) else {"scale_factor": to}
    if isinstance(to, float) and min(size) * to < 1:
        return
    torch.manual_seed(0)
    same_as_torch(
        Scaled(lambda x: F.interpolate(x, mode="bilinear", align_corners=corners, **by)),
        torch.randn(2, 2, *size),
    )


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_indices_of_drawn_axes(data: st.DataObject) -> None:
    shape = (2, 3, 4, 3)
    axes = data.draw(st.sets(st.integers(0, 3), min_size=1, max_size=3))
    common = data.draw(st.lists(st.integers(1, 3), max_size=2))
    torch.manual_seed(0)
    key: list[slice | Tensor] = [slice(None)] * 4
    for axis in axes:
        mine = [n if data.draw(st.booleans()) else 1 for n in common]
        key[axis] = torch.randint(-shape[axis], shape[axis], mine)
    same_as_torch(Scaled(lambda x: x[tuple(key)] * 1.5), torch.randn(shape))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.interpolate(x, size=(7, 5)), "nearest upsampling of 6 to 7"),
        (lambda x: torch.zeros_like(x).scatter(1, torch.zeros(2, 4, 6, 5).long(), x), "scatter"),
        (torch.atan, r"operator prims\.atan\.default has no kernel"),
    ],
)
def test_what_is_not_supported_is_said(function: Callable[[Tensor], Tensor], message: str) -> None:
    model, x = Scaled(function), torch.randn(2, 4, 6, 5)
    with torch.no_grad():
        target = torch.zeros_like(model(x))
    with pytest.raises(UnsupportedModel, match=message) as found:
        ac.compile(model, example=(x, target), loss="mse", name="model")
    assert "ladder.py" in str(found.value), "the line of the model"
