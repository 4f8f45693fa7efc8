# SPDX-License-Identifier: Apache-2.0
"""Which kernel computes which call: by measurement where there is one."""

from acclimate.tune.select import Chooser, applicable, select_kernels

__all__ = ["Chooser", "applicable", "select_kernels"]
