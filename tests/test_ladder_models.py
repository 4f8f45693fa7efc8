# SPDX-License-Identifier: Apache-2.0
"""Every reference network climbs the ladder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.models import REGISTRY
from acclimate.simulate import SANITIZED, HostDevice
from ladder import climb
from sanitizers import build_with_address_checks

# Checking every access by hand is slow: the large networks call the same kernels.
SMALL = ("ae_tiny", "dscnn_xs", "tcn", "gru", "lstm", "attention", "mlp", "har_cnn")
# Climb on to the simulated devices; test_ladder_devices takes a step of larger ones.
SIMULATED = ("ae_tiny", "lstm", "attention", "mlp")
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


def case_of(name: str) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor], str]:
    """Model, example and loss of a reference network."""
    case = REGISTRY[name]
    torch.manual_seed(1)
    model = case.build().eval()
    random_statistics(model)
    x = torch.randn(1, *case.input_shape)
    kind, shape = case.target
    y = torch.tensor([1]) if kind == "class" else torch.randn(1, *shape)
    return model, (x, y), case.loss


@pytest.mark.parametrize("name", REGISTRY)
def test_model_climbs_the_ladder(name: str) -> None:
    model, example, loss = case_of(name)
    rate = LEARNING_RATES.get(name, 0.01)
    climb(model, example, loss, lr=rate, simulated=name in SIMULATED)


@pytest.mark.parametrize("name", REGISTRY)
def test_undefined_behaviour_sanitizer_finds_nothing(name: str) -> None:
    model, example, loss = case_of(name)
    firmware = ac.compile(model, example=example, loss=loss)
    device = HostDevice(firmware.program, firmware.build(SANITIZED), lr=1e-4)
    assert np.isfinite(device.train(*example))
    assert np.isfinite(device.predict(example[0])).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("target", ["host", "portable"])
def test_address_sanitizer_finds_nothing(name: str, target: str, tmp_path: Path) -> None:
    model, example, loss = case_of(name)
    firmware = ac.compile(model, example=example, loss=loss, target=target)
    program = build_with_address_checks(firmware.export(tmp_path / "c"))
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "step 9" in done.stdout
