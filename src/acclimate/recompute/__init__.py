# SPDX-License-Identifier: Apache-2.0
"""Less RAM for more cycles: activations that are computed again or wait in a slower memory."""

from acclimate.recompute.apply import apply_schedule
from acclimate.recompute.graph import Graph, build_graph, estimate_cycles
from acclimate.recompute.recompute import recompute
from acclimate.recompute.save import Saving, can_page, save_ram
from acclimate.recompute.schedule import EntrySchedule, Row, Schedule
from acclimate.recompute.solve import Limits, solve
from acclimate.recompute.step import Cost, Moment, Node, Paging, Solution, Stage, Step, measure

__all__ = [
    "Cost",
    "EntrySchedule",
    "Graph",
    "Limits",
    "Moment",
    "Node",
    "Paging",
    "Row",
    "Saving",
    "Schedule",
    "Solution",
    "Stage",
    "Step",
    "apply_schedule",
    "build_graph",
    "can_page",
    "estimate_cycles",
    "measure",
    "recompute",
    "save_ram",
    "solve",
]
