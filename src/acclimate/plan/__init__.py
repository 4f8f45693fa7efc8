# SPDX-License-Identifier: Apache-2.0
"""Call order, lifetimes and places of buffers."""

from acclimate.plan.bound import check_bound, least_live
from acclimate.plan.lifetimes import Lifetime, lifetimes, live_bytes, peak_bytes
from acclimate.plan.order import dependencies, order_calls
from acclimate.plan.placement import arena_name, assign
from acclimate.plan.plan import Arena, EntryPlan, Plan, arrange, plan, put, with_teams
from acclimate.plan.team import Team

__all__ = [
    "Arena",
    "EntryPlan",
    "Lifetime",
    "Plan",
    "Team",
    "arena_name",
    "arrange",
    "assign",
    "check_bound",
    "dependencies",
    "least_live",
    "lifetimes",
    "live_bytes",
    "order_calls",
    "peak_bytes",
    "plan",
    "put",
    "with_teams",
]
