# SPDX-License-Identifier: Apache-2.0
"""Each pass does what it says on a model made for it; the ladder shows that numbers stay."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.kernels.conv2d.op import CONV2D_FWD
from acclimate.kernels.linear.op import LINEAR_BWD_STEP, LINEAR_BWD_X, LINEAR_STEP
from acclimate.program import Program, Role, describe

BACKWARD = (LINEAR_BWD_X, LINEAR_STEP, LINEAR_BWD_STEP)


def compiled(model: nn.Module, *shape: int, **options: object) -> ac.Firmware:
    x = torch.randn(*shape)
    with torch.no_grad():
        y = torch.randn_like(model(x))
    return ac.compile(model, example=(x, y), loss="mse", **options)


def counts(program: Program, entry: str = "train") -> Counter[str]:
    """How often each operator or loop is called."""
    return Counter(describe(call) for call in program.entries[entry].calls)


def after(firmware: ac.Firmware, name: str) -> Program:
    (stage,) = (stage for stage in firmware.stages if stage.name == name)
    return stage.program


def test_fold_batch_norm_leaves_no_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU()).eval()
    firmware = compiled(model, 1, 1, 5, 5)
    assert firmware.stages[0].changes == ("0 <- 1",)
    assert counts(firmware.program, "predict") == {"conv2d_fwd": 1}
    learned = {b.path for b in firmware.program.buffers.values() if b.role is Role.PARAMETER}
    assert learned == {"0.weight", "0.bias"}


def test_trained_norm_over_a_frozen_layer_is_not_folded() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    model[0].requires_grad_(False)
    firmware = compiled(model, 1, 1, 5, 5)
    assert firmware.stages[0].changes == ()
    learned = {b.path for b in firmware.program.buffers.values() if b.role is Role.PARAMETER}
    assert learned == {"1.weight", "1.bias"}


def test_shared_layer_is_not_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)
            self.norm = nn.BatchNorm2d(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(self.norm(self.conv(x))))

    assert compiled(Twice().eval(), 1, 2, 3, 3).stages[0].changes == ()


def test_drop_dead_removes_the_scores_of_the_training_step() -> None:
    class TwoOutputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.layer(x)
            return y, torch.sin(y)

    example = (torch.randn(1, 3), torch.randn(1, 2))
    firmware = ac.compile(TwoOutputs(), example=example, loss=lambda o, y: ((o[0] - y) ** 2).mean())
    assert "sin" in counts(firmware.program, "predict")
    assert "sin" in counts(firmware.stages[0].program)
    assert "sin" not in counts(firmware.program)


def test_frozen_layers_have_no_backward() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    model[0].requires_grad_(False)
    found = counts(compiled(model, 1, 1, 5, 5).program)
    assert not any(name.startswith(("conv2d_bwd", "conv2d_step", "linear_bwd_x")) for name in found)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.ReLU6()])
def test_fuse_clamp_puts_the_activation_into_the_layer(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer, nn.Flatten(), nn.Linear(18, 3), layer)
    program = compiled(model, 1, 1, 5, 5).program
    assert counts(program, "predict") == {"conv2d_fwd": 1, "linear_fwd": 1}
    (call,) = (c for c in program.entries["predict"].calls if c.op is CONV2D_FWD)
    assert (call.attrs.lo, call.attrs.hi) == (
        0.0,
        6.0 if isinstance(layer, nn.ReLU6) else float("inf"),
    )


def test_pads_become_numbers_of_the_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(2, 2, 3))
    firmware = compiled(model, 1, 1, 6, 6)
    assert "pad" in counts(firmware.stages[0].program)
    assert "pad" not in counts(firmware.program)
    padded = [
        c for c in firmware.program.entries["train"].calls if getattr(c.attrs, "pad_left", 0) == 1
    ]
    assert {c.op.name for c in padded} == {"conv2d_fwd", "conv2d_bwd_x", "conv2d_step"}


def test_update_is_fused_for_plain_descent_only() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 3))
    plain = counts(compiled(model, 1, 1, 5, 5, optimizer=ac.SGD(weight_decay=0.1)).program)
    heavy = counts(compiled(model, 1, 1, 5, 5, optimizer=ac.SGD(momentum=0.9)).program)
    assert plain["conv2d_step"] == plain["linear_bwd_step"] == 1
    assert "sgd" not in plain
    assert heavy["sgd"] >= 3
    assert not {"linear_step", "linear_bwd_step"} & heavy.keys()


def layers(program: Program) -> list[str]:
    """The backward calls of the fully connected layers with the names of the layers."""
    calls = program.entries["train"].calls
    return [f"{c.source.module} {c.op.name}" for c in calls if c.op in BACKWARD]


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Tanh()])
def test_input_gradient_and_update_are_one_pass_over_the_weights(layer: nn.Module) -> None:
    model = nn.Sequential(
        nn.Linear(4, 6), layer, nn.Linear(6, 5, bias=False), layer, nn.Linear(5, 2)
    )
    firmware = compiled(model, 1, 4, optimizer=ac.SGD(weight_decay=0.1))
    assert layers(firmware.program) == [
        "4 linear_bwd_step",
        "2 linear_bwd_step",
        "0 linear_step",  # nobody needs the gradient of the data
    ]
    before, now = after(firmware, "fuse_update"), after(firmware, "fuse_linear_backward")
    assert counts(before)["linear_bwd_x"] == 2
    assert sum(counts(before).values()) - sum(counts(now).values()) == 2
    macs = [sum(c.macs for c in p.entries["train"].calls) for p in (before, now)]
    assert macs[0] == macs[1]


def test_samples_of_a_batch_keep_their_own_kernels() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    assert layers(compiled(model, 2, 4).program) == [
        "2 linear_bwd_x",
        "2 linear_step",
        "0 linear_step",
    ]


def test_weight_that_is_read_later_is_updated_later() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(nn.functional.linear(self.a(x), self.b.weight.detach()))

    program = compiled(Twice(), 1, 3).program
    names = [name.split()[-1] for name in layers(program)]
    assert names == ["linear_bwd_x", "linear_bwd_x", "linear_step", "linear_step"]
    calls = program.entries["train"].calls
    (update,) = (i for i, c in enumerate(calls) if any(v.buffer == "b_weight" for v in c.writes))
    readers = [i for i, c in enumerate(calls) if any(v.buffer == "b_weight" for v in c.reads)]
    assert max(readers) == update


def test_accumulate_needs_no_gradient_of_one_sample() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(18, 3, bias=False))
    firmware = compiled(model, 1, 1, 5, 5, entries=("predict", "accumulate", "apply"))
    calls = firmware.program.entries["accumulate"].calls
    adding = {c.op.name for c in calls if c.accumulate}
    assert "linear_bwd_w" in adding


def test_shared_weight_has_one_gradient() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(3):
                x = torch.tanh(self.layer(x))
            return x

    calls = compiled(Recurrent(), 1, 4).program.entries["train"].calls
    gradients = [c for c in calls if c.op.name == "linear_bwd_w"]
    assert len(gradients) == 3
    assert len({c.writes[0].buffer for c in gradients}) == 1
    assert [c.accumulate for c in gradients] == [False, True, True]


def test_chain_of_loops_is_one_loop() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.exp(-(x * self.scale) * 2.0) + 1.0

    assert len(compiled(Chain(), 2, 9).program.entries["predict"].calls) == 1


def test_parts_of_a_cat_are_computed_in_place() -> None:
    class Cat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.a(x), self.b(x)], dim=1)

    assert counts(compiled(Cat(), 1, 2, 4, 4).program, "predict") == {"conv2d_fwd": 2}


def test_activation_overwrites_a_dead_input() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2))
    program = compiled(model, 1, 4).program
    (gelu,) = (c for c in program.entries["predict"].calls if describe(c) == "gelu")
    assert gelu.inputs[0] == gelu.outputs[0]
    (kept,) = (c for c in program.entries["train"].calls if describe(c) == "gelu")
    assert kept.inputs[0] != kept.outputs[0]  # the backward pass reads the input


def test_every_pass_is_listed_with_its_changes() -> None:
    firmware = compiled(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), 1, 4)
    names = [stage.name for stage in firmware.stages]
    assert len(names) == len(set(names))
    assert after(firmware, "reuse_in_place").entries.keys() == firmware.program.entries.keys()


def test_loss_is_shared_out_to_the_cores() -> None:
    model = nn.Linear(8, 160)
    alone, shared = (compiled(model, 1, 8, target="pulp-cluster", cores=n) for n in (1, 8))
    assert counts(alone.program)["mse_loss_parts"] == 0
    assert counts(shared.program)["mse_loss_parts"] == 1
    (parts,) = (b for b in shared.program.buffers.values() if b.name.endswith("mse_loss_parts"))
    assert parts.shape == (8,)
    assert any("mse_loss in 8 parts" in change for s in shared.stages for change in s.changes)


def test_short_sum_stays_on_one_core() -> None:
    firmware = compiled(nn.Linear(8, 32), 1, 8, target="pulp-cluster")
    assert counts(firmware.program)["mse_loss_parts"] == 0
