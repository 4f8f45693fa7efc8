# SPDX-License-Identifier: Apache-2.0
"""Random models climb the ladder: shapes, strides, paddings, groups and small graphs are drawn."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ladder import climb


def drawn(examples: int) -> settings:
    """The same examples at every run, with time enough to build C."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),  # shrinking would build C a hundred times
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


ACTIVATIONS = (
    nn.Identity,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.Tanh,
    nn.SiLU,
    nn.Hardswish,
    nn.GELU,
)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """One convolution of any geometry, with an activation and perhaps a pad on one side."""
    groups = draw(st.integers(1, 3))
    C, K = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pad = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    one_sided = draw(st.tuples(*[st.integers(0, 2)] * 4))
    H, W = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    high = H + 2 * pad[0] + one_sided[2] + one_sided[3] - dilation[0] * (kernel[0] - 1)
    wide = W + 2 * pad[1] + one_sided[0] + one_sided[1] - dilation[1] * (kernel[1] - 1)
    assume(high >= 1 and wide >= 1)
    layers = [
        nn.Conv2d(C, C, 1),  # so that the gradient for the input is needed
        nn.ZeroPad2d(one_sided),
        nn.Conv2d(C, K, kernel, stride, pad, dilation, groups, bias=draw(st.booleans())),
        draw(st.sampled_from(ACTIVATIONS))(),
    ]
    return nn.Sequential(*layers), (draw(st.integers(1, 3)), C, H, W)


class Graph(nn.Module):
    """A chain of layers with skips: sums, products and concatenations of earlier results."""

    def __init__(self, plan: list[tuple[str, int, int]], channels: int) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleList()
        widths = [channels]
        for kind, argument, skip in plan:
            width = widths[-1]
            if kind == "conv":
                self.layers.append(nn.Conv2d(width, argument, 3, padding=1))
                widths.append(argument)
            elif kind == "depthwise":
                self.layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width))
                widths.append(width)
            elif kind == "norm":
                self.layers.append(nn.GroupNorm(1, width))
                widths.append(width)
            elif kind == "cat":
                self.layers.append(nn.Identity())
                widths.append(width + widths[skip % len(widths)])
            else:
                self.layers.append(ACTIVATIONS[argument % len(ACTIVATIONS)]())
                widths.append(width)
        self.head = nn.Linear(widths[-1], 3)

    def forward(self, x: Tensor) -> Tensor:
        results = [x]
        for (kind, _, skip), layer in zip(self.plan, self.layers, strict=True):
            earlier = results[skip % len(results)]
            y = layer(results[-1])
            if kind == "cat":
                y = torch.cat([y, earlier], dim=1)
            elif kind == "add" and earlier.shape == y.shape:
                y = y + earlier
            elif kind == "mul" and earlier.shape == y.shape:
                y = y * torch.sigmoid(earlier)
            results.append(y)
        return self.head(F.adaptive_avg_pool2d(results[-1], 1).flatten(1))


STEPS = st.tuples(
    st.sampled_from(("conv", "conv", "depthwise", "norm", "act", "add", "mul", "cat")),
    st.integers(1, 6),
    st.integers(0, 7),
)


@drawn(20)
@given(convolutions())
def test_random_convolution_climbs(case: tuple[nn.Module, tuple[int, ...]]) -> None:
    model, shape = case
    torch.manual_seed(7)
    x = torch.randn(*shape)
    with torch.no_grad():
        y = torch.randn_like(model(x))
    climb(model, (x, y), "mse", lr=0.02)


@drawn(12)
@given(st.lists(STEPS, min_size=2, max_size=7), st.integers(1, 3), st.integers(1, 2))
def test_random_graph_climbs(plan: list[tuple[str, int, int]], channels: int, batch: int) -> None:
    torch.manual_seed(8)
    model = Graph(plan, channels)
    x = torch.randn(batch, channels, 5, 4)
    climb(model, (x, torch.randint(3, (batch,))), "cross_entropy", lr=0.02)


@drawn(8)
@given(st.lists(st.integers(1, 24), min_size=2, max_size=5), st.integers(1, 5), st.data())
def test_random_perceptron_climbs(widths: list[int], batch: int, data: st.DataObject) -> None:
    torch.manual_seed(9)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, bias=data.draw(st.booleans()))]
        layers += [data.draw(st.sampled_from(ACTIVATIONS))()]
    model = nn.Sequential(*layers)
    frozen = data.draw(st.sets(st.integers(0, len(widths) - 2)))
    assume(len(frozen) < len(widths) - 1)
    for index in frozen:
        model[2 * index].requires_grad_(False)
    climb(model, (torch.randn(batch, widths[0]), torch.randn(batch, widths[-1])), "mse", lr=0.02)
