# SPDX-License-Identifier: Apache-2.0
"""The pretrained keyword spotter: weights in safetensors, what is known of them in a sidecar."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from acclimate.cache import write_atomic
from acclimate.data.features import FrontEnd, MfccSpec, Normalisation
from acclimate.errors import CorruptFile
from acclimate.models.dscnn import DSCNN

CHECKPOINTS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class KwsTraining:
    """Hyper-parameters of the noise-aware training.

    Attributes:
        size: of DS-CNN: S, M or L.
        seed: of weights, order, mixtures and augmentation.
        epochs: passes over the training clips, each with fresh mixtures.
        batch: clips per step.
        lr: peak of the one-cycle schedule of AdamW.
        weight_decay: of AdamW.
        label_smoothing: share of the target spread over all classes.
        weight_average: decay of the moving average of the weights, which is what is kept.
        snr_low_db: loudest noise.
        snr_high_db: faintest noise.
        shift_ms: speech moves by up to this.
        quiet_share: share of the clips that stay clean.
        speed: words are slower or faster by up to this share, and lower or higher.
        gain_low_db: faintest mixture against the recording.
        gain_high_db: loudest mixture.
        channel: deviation of a random offset of each coefficient [deviations of the coefficient],
            which is what another microphone or room adds.
    """

    size: str = "S"
    seed: int = 0
    epochs: int = 160
    batch: int = 64
    lr: float = 5e-3
    weight_decay: float = 0.1
    label_smoothing: float = 0.05
    weight_average: float = 0.995
    snr_low_db: float = -5.0
    snr_high_db: float = 10.0
    shift_ms: float = 200.0
    quiet_share: float = 0.25
    speed: float = 0.15
    gain_low_db: float = -10.0
    gain_high_db: float = 6.0
    channel: float = 0.6


@dataclass(frozen=True)
class KwsCheckpoint:
    """What is known about the weights.

    Attributes:
        classes: names in the order of the outputs.
        data: speech that it learned from and was measured with, with licence and attribution.
        noises: noises that it learned from, each with author and licence.
        training: hyper-parameters.
        front_end: features that the network expects.
        snr_db: of the accuracies in noise.
        accuracy: share of test clips named right: "clean", then in the noise of each place.
        sha256: of the weights file.
    """

    classes: tuple[str, ...]
    data: str
    noises: tuple[str, ...]
    training: KwsTraining
    front_end: FrontEnd
    snr_db: float
    accuracy: tuple[tuple[str, float], ...]
    sha256: str


def _name(size: str) -> str:
    return f"dscnn_{size.lower()}_kws"


def save_dscnn_kws(model: DSCNN, info: KwsCheckpoint, folder: Path) -> None:
    """Writes weights and sidecar; `info.sha256` is replaced by that of the file."""
    weights = safetensors.torch.save(model.state_dict())
    fields = asdict(info) | {"sha256": hashlib.sha256(weights).hexdigest()}
    name = _name(info.training.size)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{name}.safetensors", weights)
    write_atomic(folder / f"{name}.json", (json.dumps(fields, indent=2) + "\n").encode())


def load_dscnn_s_kws(folder: Path = CHECKPOINTS) -> tuple[DSCNN, KwsCheckpoint]:
    """Loads the keyword spotter DS-CNN-S that acclimate carries; see `load_dscnn_kws`."""
    return load_dscnn_kws("S", folder)


def load_dscnn_kws(size: str, folder: Path) -> tuple[DSCNN, KwsCheckpoint]:
    """Loads a keyword spotter DS-CNN, trained noise-aware on Speech Commands.

    Args:
        size: S, M or L.
        folder: where the two files are.

    Returns:
        The network in eval mode, and what is known about it.

    Raises:
        CorruptFile: a file is missing or damaged, or the two do not belong together.
    """
    sidecar, weights_file = (folder / f"{_name(size)}.{end}" for end in ("json", "safetensors"))
    try:
        info = _checkpoint(json.loads(sidecar.read_text()))
        weights = weights_file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        unread = Path(getattr(error, "filename", None) or sidecar)
        raise _corrupt("cannot be read", repr(error), unread) from error
    if (found := hashlib.sha256(weights).hexdigest()) != info.sha256:
        raise _corrupt(f"has another checksum than sha256 {info.sha256}", found, weights_file)
    model = DSCNN(size, len(info.classes))
    try:
        model.load_state_dict(safetensors.torch.load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise _corrupt(f"does not fit DS-CNN-{size}", str(error), weights_file) from error
    return model.eval(), info


def _corrupt(what: str, found: str, path: Path) -> CorruptFile:
    return CorruptFile(
        f"the keyword spotter {what}",
        found=found,
        where=str(path),
        hint="pip install --force-reinstall --no-deps acclimate",
    )


def _checkpoint(fields: dict[str, Any]) -> KwsCheckpoint:
    """The inverse of `asdict`: JSON has no tuples and no classes."""
    front_end = fields["front_end"]
    mean, std = (tuple(front_end["normalisation"][key]) for key in ("mean", "std"))
    nested = {
        "classes": tuple(fields["classes"]),
        "noises": tuple(fields["noises"]),
        "training": KwsTraining(**fields["training"]),
        "front_end": FrontEnd(MfccSpec(**front_end["spec"]), Normalisation(mean, std)),
        "accuracy": tuple((name, value) for name, value in fields["accuracy"]),
    }
    return KwsCheckpoint(**(fields | nested))
