# SPDX-License-Identifier: Apache-2.0
"""The reference networks by name, with their shapes, loss and published sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from acclimate.models.autoencoder import DeepAutoEncoder, tiny_autoencoder
from acclimate.models.dscnn import DSCNN
from acclimate.models.frontnet import Frontnet
from acclimate.models.har_cnn import HarCNN
from acclimate.models.mobilenet_v1 import MobileNetV1
from acclimate.models.mobilenet_v2 import InvertedResidual
from acclimate.models.resnet8 import ResNet8
from acclimate.models.small import MLP, AttentionClassifier, GRUClassifier, LSTMClassifier
from acclimate.models.tcn import TCN
from acclimate.models.upydnet import UPyDNet

Target = tuple[Literal["class"], int] | tuple[Literal["regression"], tuple[int, ...]]


@dataclass(frozen=True)
class ModelCase:
    """One reference network and what is known about it.

    Attributes:
        name: key in `REGISTRY`.
        build: makes the network with fresh weights; it starts in train mode, as every module.
        input_shape: shape of x without the batch.
        target: ("class", number of classes), or ("regression", shape of y without the batch).
        loss: name of the loss that trains it.
        parameters: published number of parameters (convolution bias, batch norm scale and shift
            counted), exact; None where nothing is published.
        macs: published multiply-accumulates of one forward pass; None where nothing is published.
    """

    name: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    target: Target
    loss: str
    parameters: int | None = None
    macs: int | None = None


_KEYWORDS: Target = ("class", 12)
_MFCC = (1, 49, 10)
_POSE: Target = ("regression", (4,))

_CASES = (
    ModelCase(
        name="deep_autoencoder",
        build=DeepAutoEncoder,
        input_shape=(640,),
        target=("regression", (640,)),
        loss="mse",
        parameters=264_192 + 1_672 + 2_064,
        macs=264_192,
    ),
    ModelCase(
        name="ae_tiny",
        build=tiny_autoencoder,
        input_shape=(128,),
        target=("regression", (128,)),
        loss="mse",
        macs=28_672,
    ),
    ModelCase("dscnn_xs", lambda: DSCNN("XS"), (1, 16, 8), _KEYWORDS, "cross_entropy", macs=71_872),
    ModelCase("dscnn_s", lambda: DSCNN("S"), _MFCC, _KEYWORDS, "cross_entropy", 23_756, 2_656_768),
    ModelCase("dscnn_m", lambda: DSCNN("M"), _MFCC, _KEYWORDS, "cross_entropy", 138_128, 9_816_384),
    ModelCase(
        "dscnn_l", lambda: DSCNN("L"), _MFCC, _KEYWORDS, "cross_entropy", 416_772, 28_327_812
    ),
    ModelCase("resnet8", ResNet8, (3, 32, 32), ("class", 10), "cross_entropy", 78_186, 12_501_632),
    # 221 794 with the running statistics of batch norm, as Keras counts.
    ModelCase("mobilenet_v1_025", MobileNetV1, (3, 96, 96), ("class", 2), "cross_entropy", 216_322),
    ModelCase(
        "frontnet_160x16", lambda: Frontnet("160x16"), (1, 96, 160), _POSE, "l1", 78_452, 4_304_640
    ),
    ModelCase(
        "frontnet_160x32",
        lambda: Frontnet("160x32"),
        (1, 96, 160),
        _POSE,
        "l1",
        304_356,
        14_138_880,
    ),
    ModelCase(
        "upydnet", UPyDNet, (3, 48, 48), ("regression", (1, 48, 48)), "l1", 107_625, 79_755_264
    ),
    ModelCase(
        name="mobilenet_v2_block",
        build=lambda: InvertedResidual(16, 16),
        input_shape=(16, 24, 24),
        target=("regression", (16, 24, 24)),
        loss="mse",
    ),
    ModelCase("tcn", TCN, (6, 64), ("class", 5), "cross_entropy"),
    ModelCase("har_cnn", HarCNN, (6, 100), ("class", 5), "cross_entropy", 19_537, 1_132_120),
    ModelCase("gru", GRUClassifier, (16, 10), _KEYWORDS, "cross_entropy"),
    ModelCase("lstm", LSTMClassifier, (16, 10), _KEYWORDS, "cross_entropy"),
    ModelCase("attention", AttentionClassifier, (16, 10), _KEYWORDS, "cross_entropy"),
    ModelCase("mlp", MLP, (64,), ("class", 10), "cross_entropy"),
)

REGISTRY = {case.name: case for case in _CASES}
