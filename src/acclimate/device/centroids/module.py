# SPDX-License-Identifier: Apache-2.0
"""Declares the module `centroids`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.vector.module import VECTOR

CENTROIDS = Module(
    name="centroids",
    doc="Nearest class mean, all samples alike or old ones fading.",
    folder=Path(__file__).parent,
    source="definition; running means: Welford, Note on a method for calculating corrected sums of "
    "squares and products, 1962",
    needs=(VECTOR,),
)
