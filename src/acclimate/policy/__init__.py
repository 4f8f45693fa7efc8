# SPDX-License-Identifier: Apache-2.0
"""What to update: policies that choose which parameters, or which channels of them, learn."""

from acclimate.policy.auto import Auto
from acclimate.policy.channels import SparseChannels
from acclimate.policy.fitting import fitting_policies, paged_bytes
from acclimate.policy.lite_residual import LiteResidual
from acclimate.policy.lora import Lora
from acclimate.policy.policy import Combine, Policy
from acclimate.policy.select import All, BiasOnly, Head, Last, Layers

__all__ = [
    "All",
    "Auto",
    "BiasOnly",
    "Combine",
    "Head",
    "Last",
    "Layers",
    "LiteResidual",
    "Lora",
    "Policy",
    "SparseChannels",
    "fitting_policies",
    "paged_bytes",
]
