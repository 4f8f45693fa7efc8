# SPDX-License-Identifier: Apache-2.0
"""The main job, end to end: a keyword spotter adapts to the place that it is in."""

from acclimate.demo.keyword_spotting import POLICIES, Policy, run_demo

__all__ = ["POLICIES", "Policy", "run_demo"]
