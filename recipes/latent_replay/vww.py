# SPDX-License-Identifier: Apache-2.0
"""Weights of MobileNetV1-0.25 that were trained on Visual Wake Words, from MLPerf Tiny.

Source: mlcommons/tiny, benchmark/training/visual_wake_words, vww_96.h5 (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.data.speech_commands import data_folder
from acclimate.errors import DataError, MissingTool
from acclimate.models.mobilenet_v1 import BLOCKS, MobileNetV1

_FILE = Path("models") / "mlperf_tiny" / "vww_mobilenetv1_96.h5"
_EPSILON = 1e-3  # of batch norms in Keras; PyTorch has 1e-5
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
         "running_var": "moving_variance"}  # fmt: skip


def find_weights() -> Path | None:
    """The file in ACCLIMATE_DATA, or None if it is not there."""
    folder = data_folder()
    path = None if folder is None else folder / _FILE
    return path if path is not None and path.exists() else None


def load_weights(network: MobileNetV1, path: Path) -> None:
    """Gives a network of width 0.25 the weights of a file, but those of its last layer.

    Strided layers of Keras pad the far side, those of PyTorch both sides. For a map turned by 180
    degrees the near side is the far one, so kernels are turned: the network then says of a turned
    image exactly what the one in the file says of the image.

    Raises:
        MissingTool: h5py is not installed.
        DataError: the file cannot be read, or holds another network.
    """
    if find_spec("h5py") is None:
        raise MissingTool(
            "reading Keras weights needs h5py", hint="pip install 'acclimate[images]'"
        )
    import h5py

    try:
        with h5py.File(path) as file:
            state = dict(_weights(file["model_weights"]))
        network.load_state_dict(network.state_dict() | state)
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError("the weights cannot be read", found=repr(error), where=str(path)) from error
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = _EPSILON


def _weights(layers: Any) -> Iterator[tuple[str, Tensor]]:
    """Names of our network and their values; Keras numbers layers of a kind from the second on."""

    def of(kind: str, number: int, name: str) -> Tensor:
        layer = kind if number == 0 else f"{kind}_{number}"
        return torch.from_numpy(np.asarray(layers[layer][layer][f"{name}:0"]))

    def norm(ours: str, number: int) -> Iterator[tuple[str, Tensor]]:
        for name, theirs in _NORM.items():
            yield f"{ours}.{name}", of("batch_normalization", number, theirs)

    yield "conv1.weight", of("conv2d", 0, "kernel").permute(3, 2, 0, 1).flip(2, 3)
    yield "conv1.bias", of("conv2d", 0, "bias")
    yield from norm("bn1", 0)
    for k in range(len(BLOCKS)):
        block = f"blocks.{k}"
        depthwise = of("depthwise_conv2d", k, "depthwise_kernel")
        yield f"{block}.depthwise.weight", depthwise.permute(2, 3, 0, 1).flip(2, 3)
        yield f"{block}.depthwise.bias", of("depthwise_conv2d", k, "bias")
        yield from norm(f"{block}.bn1", 2 * k + 1)
        pointwise = of("conv2d", k + 1, "kernel")
        yield f"{block}.pointwise.weight", pointwise.permute(3, 2, 0, 1)
        yield f"{block}.pointwise.bias", of("conv2d", k + 1, "bias")
        yield from norm(f"{block}.bn2", 2 * k + 2)
