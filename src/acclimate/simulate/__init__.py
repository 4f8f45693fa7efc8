# SPDX-License-Identifier: Apache-2.0
"""Runs the C: on this machine, and on simulated devices."""

from acclimate.simulate.compiler import FAST, SANITIZED, WARNINGS, compile_shared, zig_version
from acclimate.simulate.device import Device
from acclimate.simulate.host import HostDevice
from acclimate.simulate.meaning import NumpyDevice
from acclimate.simulate.open import device_names, open_device

__all__ = [
    "FAST",
    "SANITIZED",
    "WARNINGS",
    "Device",
    "HostDevice",
    "NumpyDevice",
    "compile_shared",
    "device_names",
    "open_device",
    "zig_version",
]
