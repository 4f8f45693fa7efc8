# SPDX-License-Identifier: Apache-2.0
"""Runs the C: on this machine, and on simulated devices."""

from acclimate.simulate.compiler import FAST, SANITIZED, WARNINGS, compile_shared, zig_version
from acclimate.simulate.device import Device
from acclimate.simulate.host import HostDevice

__all__ = ["FAST", "SANITIZED", "WARNINGS", "Device", "HostDevice", "compile_shared", "zig_version"]
