# SPDX-License-Identifier: Apache-2.0
"""ATen nodes -> kernel calls on buffers."""

from acclimate.lower.lower import ENTRIES, c_name, decompositions, lower
from acclimate.lower.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, find_optimizer
from acclimate.lower.registry import RULES, Supported
from acclimate.lower.regularizers import EWC, SI, Regularizer

__all__ = [
    "ENTRIES",
    "EWC",
    "OPTIMIZERS",
    "RULES",
    "SGD",
    "SI",
    "Adam",
    "AdamW",
    "Optimizer",
    "Regularizer",
    "Supported",
    "c_name",
    "decompositions",
    "find_optimizer",
    "lower",
]
