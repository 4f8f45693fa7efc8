# SPDX-License-Identifier: Apache-2.0
"""The MFCC in C is that of data/features.py, on every device, and beside a model."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
import sounds
from acclimate.data import FrontEnd, Mfcc, MfccSpec, Normalisation, mfcc
from acclimate.data.features import dct_matrix
from acclimate.errors import BadExample, BadOption
from acclimate.program import Interpreter, Role
from acclimate.simulate import HostDevice
from acclimate.simulate.compiler import zig_cc

SPECS = {
    "published": MfccSpec(),
    "8 kHz": MfccSpec(sample_rate_hz=8000, clip_samples=8000, fft_size=512),
    "25 ms": MfccSpec(
        window_ms=25, hop_ms=10, fft_size=512, mel_bins=64, mel_high_hz=8000.0, coefficients=13
    ),
    "no zeros": MfccSpec(window_ms=64, hop_ms=32, mel_bins=32, mel_low_hz=300.0, log_floor=1e-3),
    "odd window": MfccSpec(
        sample_rate_hz=22050, clip_samples=9000, window_ms=25, fft_size=2048, mel_high_hz=11025.0
    ),
}


def bound(front_end: Mfcc, samples: np.ndarray) -> np.ndarray:
    """Twice the bound of the error of features[N,1,frames,coefficients] in float32: that of C and
    that of NumPy."""
    program, spec = front_end.program(), front_end.spec
    call = program.entries["features"].calls[0]
    inputs = [samples.astype(np.float64)]
    inputs += [program.values[v.buffer].astype(np.float64) for v in call.inputs[1:-1]]
    inputs.append(program.values[call.inputs[-1].buffer])
    inputs[4] = inputs[4].astype(int)
    off = sounds.error_bound(call.attrs, inputs, call.values())
    if front_end.output == "log_mel":
        return 2 * off[:, None]
    dct = np.abs(dct_matrix(spec))
    largest = abs(np.log(spec.log_floor)) + 12
    terms = (spec.mel_bins + 8) * sounds.UNIT_ROUNDOFF * largest
    return 2 * ((off + terms) @ dct)[:, None]


def pcm(kind: str, spec: MfccSpec, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return sounds.sound(kind, rng, spec.clip_samples, np.int16)[None]


@pytest.fixture(scope="module")
def devices() -> dict[str, HostDevice]:
    return {name: Mfcc(spec).compile().run() for name, spec in SPECS.items()}


@pytest.mark.parametrize("kind", sounds.SOUNDS)
@pytest.mark.parametrize("name", SPECS)
def test_c_computes_the_mfcc_of_python(devices, name: str, kind: str) -> None:
    spec, samples = SPECS[name], pcm(kind, SPECS[name])
    found = devices[name].features(samples)
    wanted = mfcc(samples.astype(np.float32) / 32768, spec)[:, None]
    assert found.shape == (1, 1, spec.frames, spec.coefficients)
    assert (np.abs(found - wanted) <= bound(Mfcc(spec), samples)).all()


def test_bound_of_speech_is_small() -> None:
    samples = pcm("noise", SPECS["published"])
    assert bound(Mfcc(), samples).max() < 0.01  # of coefficients that reach 60


def test_normalised_features_are_those_of_the_front_end() -> None:
    spec = SPECS["published"]
    mean = tuple(float(v) for v in np.linspace(-40, 3, 10))
    front_end = FrontEnd(spec, Normalisation(mean, tuple(np.linspace(8, 1, 10).tolist())))
    samples = pcm("voiced", spec)
    found = Mfcc.of(front_end).compile().run().features(samples)
    allowed = bound(Mfcc(spec), samples) / front_end.normalisation.std + 1e-5
    assert (np.abs(found - front_end(samples.astype(np.float32) / 32768)) <= allowed).all()


def test_samples_may_be_numbers_and_several_clips() -> None:
    spec, front_end = SPECS["8 kHz"], Mfcc(SPECS["8 kHz"], samples="f32", clips=2)
    device = front_end.compile().run()
    samples = np.concatenate([pcm("voiced", spec), pcm("noise", spec)])
    found = device.features(samples.astype(np.float32) / 32768)
    one = Mfcc(spec).compile().run().features(samples)  # clip after clip
    np.testing.assert_array_equal(found, one)


def test_log_mel_energies_alone_are_what_the_dct_is_taken_of(devices) -> None:
    spec, samples = SPECS["published"], pcm("voiced", SPECS["published"])
    energies = Mfcc(spec, output="log_mel").compile().run().features(samples)
    assert energies.shape == (1, 1, 49, 40)
    cosines = energies.astype(np.float64) @ dct_matrix(spec)
    np.testing.assert_allclose(devices["published"].features(samples), cosines, atol=1e-4)


def test_interpreter_of_the_program_agrees(devices) -> None:
    samples = pcm("voiced", SPECS["published"])
    program = Mfcc().program()
    exact = Interpreter(program, np.float64).run("features", pcm=samples)["features"]
    assert (np.abs(devices["published"].features(samples) - exact) <= bound(Mfcc(), samples)).all()


class Spotter(nn.Module):
    """Features to scores of 4 words."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(490, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


def test_a_model_gets_the_entry_point_beside_its_own(tmp_path) -> None:
    torch.manual_seed(0)
    model, x, y = Spotter(), torch.randn(1, 1, 49, 10), torch.tensor([1])
    firmware = ac.compile(model, example=(x, y), features=Mfcc())
    plain = ac.compile(model, example=(x, y))
    device, samples = firmware.run(), pcm("voiced", SPECS["published"])
    features = device.features(samples)
    np.testing.assert_array_equal(features, Mfcc().compile().run().features(samples))
    np.testing.assert_array_equal(device.predict(features), plain.run().predict(features))
    assert device.train(features, y) > 0
    np.testing.assert_array_equal(device.features(samples), features)  # nothing of it learns
    device.save(tmp_path / "a.ckpt")
    device.reset()
    device.load(tmp_path / "a.ckpt")
    np.testing.assert_array_equal(device.features(samples), features)
    folder = firmware.export(tmp_path / "net")
    assert (
        "void net_features(float *features, const int16_t *pcm);" in (folder / "net.h").read_text()
    )
    assert "features" in json.loads((folder / "manifest.json").read_text())["entries"]
    firmware.report()


def test_a_model_with_a_tensor_of_that_name_is_refused() -> None:
    class Taken(Spotter):
        def __init__(self) -> None:
            super().__init__()
            self.pcm = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * self.pcm)

    x, y = torch.randn(1, 1, 49, 10), torch.tensor([1])
    with pytest.raises(BadOption, match="pcm"):
        ac.compile(Taken(), example=(x, y), features=Mfcc())


def test_same_definition_same_bytes_and_constants_that_are_const(tmp_path) -> None:
    files = [Mfcc().compile(target="stm32f407").sources() for _ in range(2)]
    assert files[0] == files[1]
    weights = files[0]["mfcc_weights.c"].decode()
    assert "const int16_t mfcc_features_order[64]" in weights
    assert "const float mfcc_features_window[640]" in weights


@pytest.mark.parametrize("target", ["stm32f407", "rp2040"])  # Cortex-M4F; M0+ without an FPU
def test_features_on_cortex_m(target: str) -> None:
    samples = pcm("voiced", SPECS["published"])
    device = Mfcc().compile(target=target).run()
    found = device.features(samples)
    wanted = mfcc(samples.astype(np.float32) / 32768, SPECS["published"])[:, None]
    assert (np.abs(found - wanted) <= bound(Mfcc(), samples)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fft_size": 1000}, "1000 points"),
        ({"fft_size": 512}, "fft_size=1024"),
        ({"mel_high_hz": 9000.0}, "mel_high_hz=8000"),
        ({"log_floor": 0.0}, "log_floor=1e-6"),
        ({"clip_samples": 600}, "within a clip"),
    ],
)
def test_definitions_that_the_kernel_cannot_compute_are_refused(change, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        Mfcc(replace(MfccSpec(), **change))


def test_options_and_samples_are_checked(devices) -> None:
    with pytest.raises(BadOption, match="s16"):
        Mfcc(samples="s61")
    with pytest.raises(BadOption, match="normalis"):
        Mfcc(normalisation=Normalisation((0.0,), (1.0,)), output="log_mel")
    with pytest.raises(BadExample, match="int16"):
        devices["published"].features(np.zeros((1, 16000), np.float32))
    with pytest.raises(BadExample, match="32768"):
        devices["published"].features(np.full((1, 16000), 40000))
    with pytest.raises(BadOption, match="features"):
        ac.compile(
            Spotter(), example=(torch.randn(1, 1, 49, 10), torch.tensor([1])), entries=("predict",)
        ).run().features(np.zeros((1, 16000), np.int16))


@pytest.mark.parametrize("kit", ["cmake", "pulp-sdk", "arduino"])
def test_example_of_a_kit_calls_the_features(kit: str) -> None:
    target = {"cmake": "host", "pulp-sdk": "gap9", "arduino": "rp2040"}[kit]
    files = Mfcc().compile(target=target).sources(kit=kit)
    (example,) = [text for path, text in files.items() if path.endswith(("main.c", ".ino"))]
    assert b"mfcc_features(" in example and b"mfcc_predict" not in example


def test_example_in_c_compiles_and_prints_features(tmp_path) -> None:
    folder = Mfcc().compile().export(tmp_path / "mfcc")
    sources = [str(path.relative_to(folder)) for path in folder.rglob("*.c")]
    zig_cc(("-std=c99", "-O1", "-I.", *sources, "-lm", "-o", "example"), folder)
    lines = subprocess.run([folder / "example"], capture_output=True, text=True, check=True).stdout
    assert re.match(r"features\[0\] = -?\d", lines), lines


def test_constants_are_frozen_and_named() -> None:
    program = Mfcc().program()
    frozen = [b for b in program.buffers.values() if b.role is Role.FROZEN]
    assert {b.path for b in frozen} == {b.name for b in frozen} and len(frozen) == 7
