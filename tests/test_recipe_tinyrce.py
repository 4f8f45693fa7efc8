# SPDX-License-Identifier: Apache-2.0
"""What the TinyRCE recipe counts: RAM of backpropagation from the network, RAM of the head."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from acclimate.device.rce.meaning import Settings
from acclimate.learn.forward import RceHead
from acclimate.models.har_cnn import HarCNN

RECIPE = Path(__file__).parents[1] / "recipes" / "tinyrce"


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(RECIPE)
    return importlib.import_module("cost")


def test_ram_of_plain_backpropagation_is_that_of_the_layers(cost: ModuleType) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Linear(5, 2))
    weights = 4 * (6 * 8 + 8 + 8 * 5 + 5 + 5 * 2 + 2)
    assert cost.plain_bytes(model, torch.zeros(1, 6)) == {
        "weights": weights,
        "gradients": weights,
        "activations": 4 * (6 + 8 + 5 + 2),  # ReLU overwrites what it gets
        "pair": 4 * (8 + 5),  # the first layer has more, but its input needs no gradient
    }


def test_plain_backpropagation_keeps_what_pytorch_keeps(cost: ModuleType) -> None:
    """Tensors of the forward pass that PyTorch saves are among those counted, or integers."""
    model, saved = HarCNN(), dict[int, int]()
    own = {parameter.data_ptr() for parameter in model.parameters()}

    def kept(x: torch.Tensor) -> torch.Tensor:
        if x.is_floating_point() and x.data_ptr() not in own:
            saved[x.data_ptr()] = x.untyped_storage().nbytes()
        return x

    x = torch.randn(cost.WINDOW)
    with torch.autograd.graph.saved_tensors_hooks(kept, lambda x: x):
        scores = model(x)
    assert cost.plain_bytes(model, x)["activations"] == sum(saved.values()) + scores.nbytes


def test_ram_of_the_head_is_what_the_module_takes(cost: ModuleType) -> None:
    structs = ("ac_rce", "ac_rce_neuron")
    found = {"head_bytes": cost.struct_bytes(cost.find_modules(["rce"]), structs)}
    found["extractor_bytes"] = 1000
    head = RceHead(Settings(), 24, 50)
    pointers = 2 * 4  # `centres` and `neurons` have 64 bits here
    assert cost.rce_bytes(found, 50, 24, 0) == head.size_bytes - pointers + 1000
    assert cost.rce_bytes(found, 50, 24, 3) - cost.rce_bytes(found, 50, 24, 0) == 3 * (24 * 4 + 2)
