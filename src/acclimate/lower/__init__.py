# SPDX-License-Identifier: Apache-2.0
"""ATen nodes -> kernel calls on buffers."""

from acclimate.lower.lower import ENTRIES, c_name, decompositions, lower
from acclimate.lower.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, find_optimizer
from acclimate.lower.registry import RULES, Supported

__all__ = [
    "ENTRIES",
    "OPTIMIZERS",
    "RULES",
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "Supported",
    "c_name",
    "decompositions",
    "find_optimizer",
    "lower",
]
