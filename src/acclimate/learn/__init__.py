# SPDX-License-Identifier: Apache-2.0
"""Strategies that drive a device through learning in the field."""

from acclimate.learn.adaptation import (
    AdaptationResult,
    AdaptationSpec,
    Epoch,
    Survey,
    TrainableDevice,
    adapt,
    evaluate,
    survey,
)
from acclimate.learn.torch_device import TorchDevice

__all__ = [
    "AdaptationResult",
    "AdaptationSpec",
    "Epoch",
    "Survey",
    "TorchDevice",
    "TrainableDevice",
    "adapt",
    "evaluate",
    "survey",
]
