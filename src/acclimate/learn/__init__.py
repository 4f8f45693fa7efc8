# SPDX-License-Identifier: Apache-2.0
"""Strategies that drive a device through learning in the field."""

from acclimate.learn.adaptation import (
    AdaptationResult,
    AdaptationSpec,
    Epoch,
    TrainableDevice,
    adapt,
    mixtures,
    train_on,
)
from acclimate.learn.evaluation import (
    CLEAN,
    Conditions,
    Survey,
    accuracy,
    confusion,
    evaluate,
    survey,
)
from acclimate.learn.on_device import FrozenPrefix, OneByOne, learning_step, let_learn
from acclimate.learn.torch_device import TorchDevice

__all__ = [
    "CLEAN",
    "AdaptationResult",
    "AdaptationSpec",
    "Conditions",
    "Epoch",
    "FrozenPrefix",
    "OneByOne",
    "Survey",
    "TorchDevice",
    "TrainableDevice",
    "accuracy",
    "adapt",
    "confusion",
    "evaluate",
    "learning_step",
    "let_learn",
    "mixtures",
    "survey",
    "train_on",
]
