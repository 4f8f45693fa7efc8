# SPDX-License-Identifier: Apache-2.0
"""A cycle-exact PULP cluster: CV32E40P cores in RTL, verilated, inside a C++ model of the rest."""

from acclimate.simulate.cluster.build import build_simulator, built_simulator
from acclimate.simulate.cluster.device import ClusterDevice
from acclimate.simulate.cluster.image import cluster_image, cluster_toolchain, rtl_of
from acclimate.simulate.cluster.machine import EVENTS, Machine
from acclimate.simulate.cluster.profile import Profile
from acclimate.simulate.cluster.rtl import Rtl

__all__ = [
    "EVENTS",
    "ClusterDevice",
    "Machine",
    "Profile",
    "Rtl",
    "build_simulator",
    "built_simulator",
    "cluster_image",
    "cluster_toolchain",
    "rtl_of",
]
