# SPDX-License-Identifier: Apache-2.0
"""Call order, lifetimes and places of buffers."""

from acclimate.plan.lifetimes import Lifetime, lifetimes, live_bytes, peak_bytes
from acclimate.plan.order import dependencies, order_calls
from acclimate.plan.placement import ARENA
from acclimate.plan.plan import EntryPlan, Plan, plan
from acclimate.plan.team import Team

__all__ = [
    "ARENA",
    "EntryPlan",
    "Lifetime",
    "Plan",
    "Team",
    "dependencies",
    "lifetimes",
    "live_bytes",
    "order_calls",
    "peak_bytes",
    "plan",
]
