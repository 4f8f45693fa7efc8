# SPDX-License-Identifier: Apache-2.0
"""Declares the module `rce`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.vector.module import VECTOR

RCE = Module(
    name="rce",
    doc="Restricted Coulomb Energy with a cap, ages and questions: learns without gradients.",
    folder=Path(__file__).parent,
    source="Hudak, RCE classifiers: theory and practice, 1992; additions after Pau and Ambrose, "
    "TinyRCE, with laws of age and removal of our own",
    needs=(VECTOR,),
)
