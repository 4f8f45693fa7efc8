# SPDX-License-Identifier: Apache-2.0
"""Reference networks as functions for the command line, with the policies that were published.

acclimate plan benchmarks/networks.py:upydnet --target gap9
acclimate compile benchmarks/networks.py:dscnn_s --target stm32h743 --point all+page-75 --out DIR
"""

from __future__ import annotations

from typing import Any

import torch

import acclimate as ac
from acclimate.models import REGISTRY


def _case(name: str, plans: dict[str, Any] | None = None) -> dict[str, Any]:
    case = REGISTRY[name]
    torch.manual_seed(0)
    kind, size = case.target
    y = torch.zeros(1, dtype=torch.long) if kind == "class" else torch.zeros(1, *size)
    return {
        "model": case.build().eval(),
        "example": (torch.zeros(1, *case.input_shape), y),
        "loss": case.loss,
        "name": name,
        "plans": plans or {},
    }


def dscnn_s() -> dict[str, Any]:
    """Keywords."""
    return _case("dscnn_s")


def upydnet() -> dict[str, Any]:
    """Depth from one camera; `sparse` learns the coarsest decoder and its upsampling.

    Source: the memory-driven sparse update, arXiv 2512.00086.
    """
    return _case("upydnet", {"sparse": ac.Layers("decoder0", "ups0")})
