# SPDX-License-Identifier: Apache-2.0
"""Policies that train whole parameters: which ones, what they cost, what they say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.errors import AcclimateError, BadExample, BadOption, NothingToTrain
from acclimate.program import Role
from policies import check_policy, chosen, convolutional, images, learning


class Reversed(nn.Module):
    """Layers are declared in another order than they run; attention owns a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.embed = nn.Linear(5, 8)

    def forward(self, x: Tensor) -> Tensor:
        z = self.embed(x)
        z = self.norm(z + self.mix(z, z, z, need_weights=False)[0])
        y: Tensor = self.fc(z.mean(1))
        return y


@pytest.mark.parametrize(
    "policy",
    [
        ac.All(),
        ac.Head(),
        ac.Last(2),
        ac.BiasOnly(),
        ac.BiasOnly(head=True),
        ac.BiasOnly(last=3),
        ac.Layers("2", "7"),
        ac.Layers("0") | ac.Head(),
    ],
    ids=repr,
)
def test_what_learns_is_what_pytorch_trains(policy: ac.Combine) -> None:
    check_policy(policy, convolutional(), images(), optimizer=ac.SGD(momentum=0.9))


def test_norms_are_folded_into_what_learns() -> None:
    model, data = convolutional(norm=True), images()
    firmware = check_policy(ac.BiasOnly(), model, data)
    learn = {b.path for b in firmware.program.buffers.values() if b.role is Role.PARAMETER}
    assert learn == {"0.bias", "3.bias", "6.bias", "8.bias"}


def test_names_that_learn() -> None:
    model, x = convolutional(norm=True), images()[0]
    names = {name for name, _ in model.named_parameters()}
    assert learning(ac.All(), model, x) == names
    assert learning(ac.Head(), model, x) == {"8.weight", "8.bias"}
    assert learning(ac.Last(4), model, x) == names
    assert learning(ac.BiasOnly(last=2), model, x) == {"6.bias", "8.bias"}
    assert learning(ac.Layers("1"), model, x) == {"1.weight", "1.bias"}
    assert learning(ac.Head() | ac.BiasOnly(last=1), model, x) == {"8.weight", "8.bias"}


def test_layers_count_in_the_order_in_which_they_run() -> None:
    model, x = Reversed(), torch.randn(1, 4, 5)
    assert learning(ac.Head(), model, x) == {"fc.weight", "fc.bias"}
    last = learning(ac.Last(2), model, x)
    assert {name.partition(".")[0] for name in last} == {"mix", "norm", "fc"}
    assert "mix.out_proj.weight" in last


def test_frozen_parts_of_the_model_may_learn_again() -> None:
    model = convolutional().requires_grad_(False)
    firmware = ac.compile(model, example=images(), update=ac.Head())
    assert {b.path for b in firmware.program.buffers.values() if b.role is Role.PARAMETER} == {
        "7.weight",
        "7.bias",
    }
    assert not any(p.requires_grad for p in model.parameters())


def test_biases_need_less_memory_than_weights() -> None:
    model, example = convolutional(), images()
    full, bias = (ac.compile(model, example=example, update=p) for p in (ac.All(), ac.BiasOnly()))
    assert bias.plan.ram_bytes < full.plan.ram_bytes / 2


def test_statistics_and_random_numbers_stay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten())
    model.append(nn.Linear(144, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    update = chosen(ac.Head(), model, images(2)[0])
    assert torch.equal(state, torch.get_rng_state())
    for found in (model.state_dict(), update.model.state_dict()):
        assert all(torch.equal(found[name], value) for name, value in before.items())


POLICIES = [
    ac.All(),
    ac.Head(),
    ac.Last(k=3),
    ac.BiasOnly(head=True, last=4),
    ac.Layers("decoder0", "ups0"),
    ac.SparseChannels({"conv1": 0.25}, by="random", seed=7, bias=False),
    ac.SparseChannels({"conv1": 0.25, "conv2": 1}),
    ac.Lora(4, layers=("fc1",), alpha=8.0),
    ac.LiteResidual(layers=("block1",), kernel=3),
    ac.Layers("fc1") | ac.SparseChannels({"conv1": 0.5}) | ac.BiasOnly(last=2),
    ac.Combine(),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_text_of_a_policy_is_the_code_that_makes_it(policy: object) -> None:
    names = {name: getattr(ac, name) for name in ac.__all__}
    assert eval(repr(policy), names) == policy
    assert eval(str(policy), names) == policy


class NoBias(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(192, 4, bias=False))


ERRORS: dict[str, tuple[object, type[AcclimateError], str]] = {
    "name": (lambda m, x: ac.Layers("2x").choose(m, x), BadOption, "allowed: 0, 1, 2"),
    "no parameters": (lambda m, x: ac.Layers("1").choose(m, x), BadOption, "1 has no parameters"),
    "no name": (lambda m, x: ac.Layers(), BadOption, "names of modules"),
    "list": (lambda m, x: ac.Layers(["2"]), BadOption, "names of modules"),
    "none of them": (lambda m, x: ac.Last(0), BadOption, "trains no layer"),
    "too many": (lambda m, x: ac.Last(9).choose(m, x), BadOption, "4 layers with weights"),
    "no bias": (lambda m, x: ac.BiasOnly().choose(NoBias(), x), BadOption, "has a bias"),
    "last": (lambda m, x: ac.BiasOnly(last=0), BadOption, "leaves no layer"),
    "nothing": (lambda m, x: ac.Combine().choose(m, x), NothingToTrain, "nothing to train"),
    "parts": (lambda m, x: ac.Combine(ac.Head(), "fc"), BadOption, "made of policies"),
    "example": (lambda m, x: ac.Head().choose(m, (x[0][:, :1],)), BadExample, "not accept"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case: str) -> None:
    act, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message) as caught:
        act(convolutional(), (images()[0],))
    assert caught.value.hint


def test_only_policies_are_joined() -> None:
    with pytest.raises(TypeError):
        ac.Head() | "fc"
