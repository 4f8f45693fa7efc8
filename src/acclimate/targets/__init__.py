# SPDX-License-Identifier: Apache-2.0
"""One .toml per device; loader and checks."""

from acclimate.targets.targets import Target, find_target, target_names

__all__ = ["Target", "find_target", "target_names"]
