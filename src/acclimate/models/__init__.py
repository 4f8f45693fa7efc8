# SPDX-License-Identifier: Apache-2.0
"""Reference networks: the ones that published systems train on microcontrollers."""

from acclimate.models.autoencoder import DeepAutoEncoder, tiny_autoencoder
from acclimate.models.dscnn import DSCNN
from acclimate.models.frontnet import Frontnet
from acclimate.models.har_cnn import HarCNN
from acclimate.models.mobilenet_v1 import MobileNetV1
from acclimate.models.mobilenet_v2 import InvertedResidual
from acclimate.models.registry import REGISTRY, ModelCase, Target
from acclimate.models.resnet8 import ResNet8
from acclimate.models.small import (
    MLP,
    AttentionBlock,
    AttentionClassifier,
    GRUClassifier,
    LSTMClassifier,
)
from acclimate.models.tcn import TCN
from acclimate.models.upydnet import UPyDNet

__all__ = [
    "DSCNN",
    "MLP",
    "REGISTRY",
    "TCN",
    "AttentionBlock",
    "AttentionClassifier",
    "DeepAutoEncoder",
    "Frontnet",
    "GRUClassifier",
    "HarCNN",
    "InvertedResidual",
    "LSTMClassifier",
    "MobileNetV1",
    "ModelCase",
    "ResNet8",
    "Target",
    "UPyDNet",
    "tiny_autoencoder",
]
