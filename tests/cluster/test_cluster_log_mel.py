# SPDX-License-Identifier: Apache-2.0
"""The MFCC on the RTL: the same numbers on any number of cores, without races, in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sounds
from acclimate.data import Mfcc, MfccSpec, mfcc
from acclimate.simulate.cluster import ClusterDevice
from acclimate.targets import Target, find_target

SPEC = MfccSpec()
SHORT = replace(SPEC, clip_samples=3200)  # 9 frames: one core has two of them
CYCLES = 960_000  # 4 ms at 240 MHz


def target(name: str, cores: int, float_registers: bool = False) -> Target:
    found = find_target(name).with_cores(cores)
    features = found.features | ({"float_registers"} if float_registers else set())
    return replace(found, features=features)


def compiled(spec: MfccSpec, machine: Target, **options: bool) -> ClusterDevice:
    device = Mfcc(spec).compile(target=machine).run(**options)
    assert isinstance(device, ClusterDevice)
    return device


def check(device: ClusterDevice, spec: MfccSpec, kind: str) -> None:
    """1e-3 is the bound of test_data_front_end.py for these sounds, rounded up."""
    rng = np.random.default_rng(3)
    samples = sounds.sound(kind, rng, spec.clip_samples, np.int16)[None]
    wanted = mfcc(samples.astype(np.float32) / 32768, spec)[:, None]
    np.testing.assert_allclose(device.features(samples), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "cores", "float_registers"),
    [("gap9", 1, False), ("gap9", 8, False), ("pulp-cluster", 8, True), ("pulp-cluster", 3, False)],
)
def test_features_on_the_cluster_are_those_of_python(
    name: str, cores: int, float_registers: bool
) -> None:
    device = compiled(SHORT, target(name, cores, float_registers), check_races=True)
    for kind in ("noise", "silence", "impulses"):
        check(device, SHORT, kind)


def test_a_second_of_sound_takes_less_than_four_milliseconds_of_gap9() -> None:
    device = compiled(SPEC, find_target("gap9"))
    check(device, SPEC, "noise")
    assert device.cycles <= CYCLES
