# SPDX-License-Identifier: Apache-2.0
"""Which kernel computes which call: by measurement where there is one."""

from acclimate.tune.select import applicable, select_kernels

__all__ = ["applicable", "select_kernels"]
