# SPDX-License-Identifier: Apache-2.0
"""Every reference network climbs the ladder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from acclimate.models import REGISTRY
from ladder import climb

# Below the value at which ten steps of plain gradient descent diverge.
LEARNING_RATES = {"upydnet": 1e-4, "mobilenet_v2_block": 1e-3}


def random_statistics(model: nn.Module) -> None:
    """Running statistics as after training: folding by one would prove nothing."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)


@pytest.mark.parametrize("name", REGISTRY)
def test_model_climbs_the_ladder(name: str) -> None:
    case = REGISTRY[name]
    torch.manual_seed(1)
    model = case.build().eval()
    random_statistics(model)
    x = torch.randn(1, *case.input_shape)
    kind, shape = case.target
    y = torch.tensor([1]) if kind == "class" else torch.randn(1, *shape)
    climb(model, (x, y), case.loss, lr=LEARNING_RATES.get(name, 0.01))
