# SPDX-License-Identifier: Apache-2.0
"""The shipped keyword spotter loads, is what its sidecar says, and refuses damage."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.data.clips import CLASSES
from acclimate.data.features import MfccSpec
from acclimate.data.source import HELD_OUT_PLACES, SpeechSource
from acclimate.errors import CorruptFile
from acclimate.learn import AdaptationSpec, TorchDevice, adapt, evaluate
from acclimate.models.pretrained import CHECKPOINTS, load_dscnn_s_kws, save_dscnn_kws
from data_fixtures import data_dir, speech_commands

__all__ = ["data_dir", "speech_commands"]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHECKPOINTS, tmp_path / "checkpoints"))


def test_checkpoint_says_what_it_is() -> None:
    model, info = load_dscnn_s_kws()
    assert not model.training and info.classes == CLASSES
    assert info.front_end.spec == MfccSpec() and "CC BY 4.0" in info.data
    assert not any(noise.startswith(HELD_OUT_PLACES) for noise in info.noises)
    accuracy = dict(info.accuracy)
    assert accuracy["clean"] > 0.83 and set(HELD_OUT_PLACES) < set(accuracy)


def test_checkpoint_survives_saving(tmp_path: Path) -> None:
    model, info = load_dscnn_s_kws()
    save_dscnn_kws(model, replace(info, sha256=""), tmp_path)
    again, found = load_dscnn_s_kws(tmp_path)
    assert found == info
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "dscnn_s_kws.json",
        "dscnn_s_kws.safetensors",
    ]


def test_changed_weights_are_refused(copied: Path) -> None:
    weights = copied / "dscnn_s_kws.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CorruptFile, match="another checksum"):
        load_dscnn_s_kws(copied)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"classes": []}'])
def test_damaged_sidecar_is_refused(content: str, copied: Path) -> None:
    (copied / "dscnn_s_kws.json").write_text(content)
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_dscnn_s_kws(copied)


def test_missing_weights_are_refused(copied: Path) -> None:
    (copied / "dscnn_s_kws.safetensors").unlink()
    with pytest.raises(CorruptFile, match=r"dscnn_s_kws\.safetensors"):
        load_dscnn_s_kws(copied)


def test_weights_of_another_network_are_refused(copied: Path) -> None:
    sidecar = copied / "dscnn_s_kws.json"
    fields = json.loads(sidecar.read_text())
    fields["classes"] = fields["classes"][:3]
    sidecar.write_text(json.dumps(fields))
    with pytest.raises(CorruptFile, match="does not fit"):
        load_dscnn_s_kws(copied)


def test_torch_device_trains_only_what_requires_grad() -> None:
    model, _ = load_dscnn_s_kws()
    model.requires_grad_(False)
    model.fc1.requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((2, 1, 49, 10)).astype(np.float32)
    device, y = TorchDevice(model), np.array([1, 5])
    losses = [device.train(x, y, 0.05) for _ in range(20)]
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert losses[-1] < losses[0] and changed == {"fc1.weight", "fc1.bias"}
    assert device.predict(x).shape == (2, 12)


@pytest.mark.data
def test_checkpoint_is_as_accurate_as_it_says(speech_commands: SpeechSource) -> None:
    model, info = load_dscnn_s_kws()
    device, clips = TorchDevice(model), speech_commands.test_clips()
    place = speech_commands.place("coffee shop").test
    stated = dict(info.accuracy)
    # One clip of 863 may fall on the other side when additions are ordered differently.
    found = evaluate(device, clips, info.front_end, batch=64)
    assert found == pytest.approx(stated["clean"], abs=0.002)
    found = evaluate(device, clips, info.front_end, place, batch=64)
    assert found == pytest.approx(stated["coffee shop"], abs=0.003)


@pytest.mark.data
def test_classifier_adapts_to_the_coffee_shop(speech_commands: SpeechSource) -> None:
    model, info = load_dscnn_s_kws()
    model.requires_grad_(False)
    model.fc1.requires_grad_(True)
    device, clips = TorchDevice(model), speech_commands.test_clips()
    place = speech_commands.place("coffee shop")
    adapt(device, speech_commands.train_clips(), place.train, info.front_end, AdaptationSpec())
    stated = dict(info.accuracy)
    gain = evaluate(device, clips, info.front_end, place.test, batch=64) - stated["coffee shop"]
    clean = evaluate(device, clips, info.front_end, batch=64) - stated["clean"]
    assert gain > 0.04 and clean > -0.05
