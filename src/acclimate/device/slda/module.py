# SPDX-License-Identifier: Apache-2.0
"""Declares the module `slda`."""

from pathlib import Path

from acclimate.device.module import Module
from acclimate.device.vector.module import VECTOR

SLDA = Module(
    name="slda",
    doc="Streaming linear discriminant analysis: class means and one covariance, sample by sample.",
    folder=Path(__file__).parent,
    source="Hayes and Kanan, Lifelong machine learning with deep streaming linear discriminant "
    "analysis, 2020, arXiv:1909.01520; the first sample of a class counts here as its mean",
    needs=(VECTOR,),
)
