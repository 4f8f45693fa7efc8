# SPDX-License-Identifier: Apache-2.0
"""Low-rank branches and lite residuals: nothing changes before training, then PyTorch's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import BadOption
from acclimate.policy.lite_residual import fit_axis
from acclimate.program import Role
from policies import check_policy, chosen, convolutional, images, learning


class Block(nn.Module):
    """A residual block with a depthwise convolution, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.block = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=4),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 1),
        )
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.stem(x)))
        y: Tensor = self.fc(self.block(x).mean((2, 3)))
        return y


def block(side: int = 8) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    model = Block()
    for norm in (model.norm1, model.block[1]):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return model.eval(), (torch.randn(1, 3, side, side), torch.tensor([1]))


POLICIES = [
    ac.Lora(2),
    ac.Lora(1, layers=("stem", "fc"), alpha=4.0, seed=5),
    ac.Lora(2) | ac.Head(),
    ac.Lora(2) | ac.BiasOnly(),
    ac.LiteResidual(),
    ac.LiteResidual(layers=("block",), kernel=3),
    ac.LiteResidual(layers=("stem",)) | ac.Lora(1, layers=("fc",)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("side", [8, 13])
def test_branches_learn_as_in_pytorch(policy: ac.Combine, side: int) -> None:
    model, data = block(side)
    update = chosen(policy, model, data[0])
    torch.testing.assert_close(update.model(data[0]), model(data[0]))
    check_policy(policy, model, data, optimizer=ac.Adam(), lr=0.01)


def test_branches_of_other_layers() -> None:
    check_policy(ac.Lora(3), convolutional(norm=True), images(2), optimizer=ac.SGD(momentum=0.9))
    check_policy(ac.Lora(2), nn.Linear(5, 3), (torch.randn(1, 5), torch.tensor([1])))
    series = nn.Sequential(
        nn.Conv1d(3, 4, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)
    )
    check_policy(ac.Lora(2), series, (torch.randn(1, 3, 10), torch.tensor([1])))


def test_only_the_branch_learns() -> None:
    model, (x, _) = block()
    wanted = {f"{layer}.{part}.weight" for layer in ("stem", "fc") for part in ("down", "up")}
    assert learning(ac.Lora(2, layers=("stem", "fc")), model, x) == wanted
    lite = learning(ac.LiteResidual(layers=("block",)), model, x)
    parts = {f"block.{part}.{what}" for part in ("group", "point") for what in ("weight", "bias")}
    biases = {"norm1.bias", "block.base.0.bias", "block.base.1.bias", "block.base.3.bias"}
    assert lite == parts | biases | {"fc.weight", "fc.bias"}


def test_branch_of_a_folded_norm_has_no_norm_in_the_program() -> None:
    model, data = block()
    firmware = ac.compile(model, example=data, update=ac.Lora(2) | ac.BiasOnly())
    paths = {b.path for b in firmware.program.buffers.values()}
    assert not any("norm1" in path for path in paths)
    frozen = {b.path for b in firmware.program.buffers.values() if b.role is Role.FROZEN}
    assert frozen == {
        f"{name}.weight" for name in ("stem.base", "block.0", "block.3.base", "fc.base")
    }


def test_a_norm_whose_input_is_read_twice_stays() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            z = self.conv(x)
            return (self.norm(z) + z).mean((2, 3))

    model = Twice().eval()
    nn.init.uniform_(model.norm.running_var, 0.5, 1.5)
    check_policy(ac.Lora(1), model, images())


def test_low_rank_learns_with_less_state() -> None:
    data = (torch.randn(1, 64), torch.tensor([1]))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    options = {"example": data, "optimizer": ac.Adam()}
    full, low = (ac.compile(model, update=p, **options) for p in (ac.All(), ac.Lora(2)))
    assert low.plan.static_bytes["state"] * 8 < full.plan.static_bytes["state"]
    learn = sum(b.size for b in low.program.buffers.values() if b.role is Role.PARAMETER)
    assert learn == 2 * (64 + 64) + 2 * (64 + 4)


@pytest.mark.parametrize("given", range(1, 30))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_cover_the_outputs(given: int, stride: int) -> None:
    wanted = -(-given // stride)
    axis = fit_axis(given, wanted)
    assert axis is not None
    upsampled = axis.count * axis.factor - axis.skip
    assert axis.size == wanted <= upsampled
    assert 2 * axis.pad <= axis.window
    assert (given + 2 * axis.pad - axis.window) // axis.window + 1 >= axis.count


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (ac.Lora(1, layers=("fc1",)), "did you mean 'fc'"),
        (ac.Lora(1, layers=("block.0",)), "4 groups"),
        (ac.Lora(1, layers=("norm1",)), "BatchNorm2d"),
        (ac.LiteResidual(layers=("blok",)), "did you mean 'block'"),
        (ac.LiteResidual(layers=("fc",)), "does not map an image"),
    ],
    ids=repr,
)
def test_layers_without_branches(policy: ac.Lora, message: str) -> None:
    model, (x, _) = block()
    with pytest.raises(BadOption, match=message):
        chosen(policy, model, x)


def test_models_without_layers_for_branches() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3)), images()[0]
    for policy in (ac.Lora(2), ac.LiteResidual()):
        with pytest.raises(BadOption, match="no "):
            chosen(policy, model, x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ac.Lora(0),
        lambda: ac.Lora(1, layers=(3,)),
        lambda: ac.LiteResidual(kernel=4),
        lambda: ac.LiteResidual(layers={"a": 1}),
    ],
)
def test_bad_options(make: object) -> None:
    with pytest.raises(BadOption) as caught:
        make()
    assert caught.value.hint
