# SPDX-License-Identifier: Apache-2.0
"""One .toml per device, each figure with its source; loader and checks."""

from acclimate.targets.check import FEATURES, PROCESSORS, SIMULATORS
from acclimate.targets.find import find_target, target_names
from acclimate.targets.targets import L3, Cluster, Figure, Memory, Target, size_text

__all__ = [
    "FEATURES",
    "L3",
    "PROCESSORS",
    "SIMULATORS",
    "Cluster",
    "Figure",
    "Memory",
    "Target",
    "find_target",
    "size_text",
    "target_names",
]
