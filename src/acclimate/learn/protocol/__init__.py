# SPDX-License-Identifier: Apache-2.0
"""One protocol for learning that goes on: scenarios, strategies, metrics."""

from acclimate.learn.protocol.cwr import CwrReplay
from acclimate.learn.protocol.gradient import (
    Distilled,
    FineTune,
    Joint,
    Memory,
    Regularized,
    Replay,
    Schedule,
)
from acclimate.learn.protocol.heads import Streaming
from acclimate.learn.protocol.latent import LatentMemory, minibatch
from acclimate.learn.protocol.outcome import Outcome, Price
from acclimate.learn.protocol.run import Strategy, run
from acclimate.learn.protocol.scenario import (
    Experience,
    Kind,
    Labelled,
    Scenario,
    class_incremental,
    domain_incremental,
    groups_of,
)

__all__ = [
    "CwrReplay",
    "Distilled",
    "Experience",
    "FineTune",
    "Joint",
    "Kind",
    "Labelled",
    "LatentMemory",
    "Memory",
    "Outcome",
    "Price",
    "Regularized",
    "Replay",
    "Scenario",
    "Schedule",
    "Strategy",
    "Streaming",
    "class_incremental",
    "domain_incremental",
    "groups_of",
    "minibatch",
    "run",
]
