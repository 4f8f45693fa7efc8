# SPDX-License-Identifier: Apache-2.0
"""What the recipe of new keywords says that a head takes."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from acclimate.device.rce.meaning import Settings
from acclimate.learn.forward import RceHead, head_cost

RECIPE = Path(__file__).parents[1] / "recipes" / "class_incremental_kws"


def test_a_full_table_takes_what_two_smaller_ones_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(RECIPE)
    measure = importlib.import_module("measure")
    monkeypatch.setattr(measure, "NEURONS", 96)
    found = measure.cost_of("TinyRCE", 16)
    x = np.random.default_rng(1).standard_normal((128, 16)).astype(np.float32)
    labels = np.arange(len(x)) % measure.K
    whole = head_cost(lambda: RceHead(Settings(reach=0.1), 16, 96), x, labels, measure.CHIP)
    assert found.learn == pytest.approx(whole.learn, rel=0.02)
    assert found.classify == pytest.approx(whole.classify, rel=0.02)
