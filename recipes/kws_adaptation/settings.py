# SPDX-License-Identifier: Apache-2.0
"""What the recipe measures: what learns, how much is stored, where, and what is asked of it.

Source: Cioflan et al., on-device domain adaptation for noise-robust keyword spotting: abstract,
slide deck "On-Device Domain Adaptation on a multi-core MCU", and pulp-platform/odda-for-kws.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Learns:
    """One choice of what learns.

    Args:
        name: on the command line and in tables.
        layers: of DS-CNN; "{last}" stands for the number of the last block.
        batch: utterances per update; more than one adds up the gradients of single utterances.
        rates: learning rates that are tried on the validation speakers.
    """

    name: str
    layers: tuple[str, ...]
    batch: int
    rates: tuple[float, ...]

    def of(self, blocks: int) -> tuple[str, ...]:
        """Names of the layers in a network of so many blocks."""
        return tuple(layer.format(last=blocks - 1) for layer in self.layers)

    @property
    def classifier_only(self) -> bool:
        """True if everything before the classifier is frozen."""
        return all(layer.startswith("fc1") for layer in self.layers)


LEARNS = {
    choice.name: choice
    for choice in (
        Learns("fc1", ("fc1",), 1, (0.0003, 0.001, 0.003, 0.01)),
        Learns("bias", ("fc1.bias",), 1, (0.001, 0.003, 0.01, 0.03, 0.1)),
        Learns("last", ("blocks.{last}", "fc1"), 8, (0.02, 0.05, 0.1, 0.2, 0.5)),
        Learns("all", ("conv1", "blocks", "fc1"), 8, (0.001, 0.002, 0.005, 0.01, 0.02)),
    )
}
TITLES = {
    "fc1": "fc1",
    "bias": "biases of fc1 (12 numbers)",
    "last": "last block + fc1",
    "all": "everything",
}
BLOCKS = {"S": 4, "M": 4, "L": 5}

# Utterances of a class that are stored; of 12 classes. All are 1,788.
HUNDRED, TENTH, EVERYTHING = 8, 15, None
STORED: tuple[int | None, ...] = (HUNDRED, TENTH, EVERYTHING)
SERIES = (2, 4, 8, 16)
EPOCHS = {**dict.fromkeys((*SERIES, HUNDRED, TENTH), 10), EVERYTHING: 6}

TARGETS = ("coffee shop", "city", "mixed voices")
SNRS_DB = (0.0, 5.0, 10.0)
# The noise-aware training of a network that is not shipped: epochs by size.
PRETRAINING = {"S": 160, "M": 60, "L": 40}

TUNED_PLACE, TUNED_SNR_DB = "coffee shop", 0.0
TUNED_CLEAN_LOSS = 0.02  # a rate must not cost more than this without noise
OTHERS_EVERY = 3  # the other noises are judged with every third test utterance


@dataclass(frozen=True)
class Published:
    """A row of the deck: GAP9 at 240 MHz and 650 mV, only fc1 learns."""

    mflop: float
    storage_kb: float
    memory_kb: float
    flop_per_cycle: float
    ms: float
    uj: float


DECK = {
    "S": Published(2.95, 23.7, 9.5, 4.94, 10.89, 424),
    "M": Published(17.2, 138.1, 25.5, 9.18, 24.16, 988),
    "L": Published(51.1, 416.7, 40.9, 11.0, 55.04, 2313),
}
DECK_TOTAL_S, DECK_TOTAL_MJ = 14.0, 806.0
# Accuracy points over the noise-aware network, on other data (DEMAND noise, all of GSC v2).
DECK_GAINS = {
    ("fc1", HUNDRED): "+5",
    ("fc1", EVERYTHING): "+5.5",
    ("all", TENTH): "fc1 + 1.2",
    ("all", EVERYTHING): "+13",
}
