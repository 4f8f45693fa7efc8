# SPDX-License-Identifier: Apache-2.0
"""Project files around the C of a model, one kit per build system: what `export(kit=...)` names."""

from acclimate.emit.kits.find import KITS, find_kit
from acclimate.emit.kits.kit import Kit, Tree

__all__ = ["KITS", "Kit", "Tree", "find_kit"]
