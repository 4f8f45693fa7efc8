# SPDX-License-Identifier: Apache-2.0
"""Program -> program for one device: kernels, order, tiles, places."""

from acclimate.fit.fit import fit, quick_l3_bytes, quick_ram_bytes
from acclimate.fit.stage import ORDERED, Stage, run_passes

__all__ = ["ORDERED", "Stage", "fit", "quick_l3_bytes", "quick_ram_bytes", "run_passes"]
