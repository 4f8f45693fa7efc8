# SPDX-License-Identifier: Apache-2.0
"""Experiments of many cells: measured once, kept as JSON, shown beside what was published."""

from acclimate.experiment.cells import (
    CellStore,
    Experiment,
    kept_cells,
    measure_cells,
    progress_on,
)
from acclimate.experiment.chart import BarChart, Line, LineChart, Whisker
from acclimate.experiment.page import Page, Section, save_page
from acclimate.experiment.table import Beside, Column, Footer, Table, asked, points, spread

__all__ = [
    "BarChart",
    "Beside",
    "CellStore",
    "Column",
    "Experiment",
    "Footer",
    "Line",
    "LineChart",
    "Page",
    "Section",
    "Table",
    "Whisker",
    "asked",
    "kept_cells",
    "measure_cells",
    "points",
    "progress_on",
    "save_page",
    "spread",
]
