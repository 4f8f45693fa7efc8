# SPDX-License-Identifier: Apache-2.0
"""What a device meets one after the other: experiences, and how they are made from data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from acclimate.data.clips import F32, I64
from acclimate.errors import BadOption


@dataclass(frozen=True)
class Labelled:
    """Samples x[N,...] with classes y[N]."""

    x: F32
    y: I64

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise BadOption(f"{len(self.x)} samples have {len(self.y)} labels")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, chosen: np.ndarray) -> Labelled:
        """The samples of these numbers, or where a mask is true."""
        return Labelled(self.x[chosen], self.y[chosen])

    def of(self, classes: Sequence[int]) -> Labelled:
        """The samples of some classes."""
        return self.take(np.isin(self.y, classes))


class Kind(StrEnum):
    """What changes between experiences, and what a device is told at test time.

    Source: van de Ven and Tolias, "Three scenarios for continual learning", arXiv:1904.07734.
    """

    CLASS = "class-incremental"  # other classes; it has to choose among all of them
    DOMAIN = "domain-incremental"  # the same classes elsewhere: another user, place, sensor
    TASK = "task-incremental"  # other classes; it is told among which it has to choose


@dataclass(frozen=True)
class Experience:
    """A stretch of time with data of one kind.

    Args:
        name: for tables.
        train: what the device learns from, in the order of its arrival.
        test: of the same kind; of speakers, subjects or recordings that are not in `train`.
        classes: that occur.
    """

    name: str
    train: Labelled
    test: Labelled
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.train) or not len(self.test):
            raise BadOption(
                f"the experience {self.name} has nothing to learn from or to test with",
                found=f"{len(self.train)} and {len(self.test)} samples",
            )


@dataclass(frozen=True)
class Scenario:
    """Experiences in their order.

    Args:
        kind: what changes between them.
        experiences: at least one.
    """

    kind: Kind
    experiences: tuple[Experience, ...]

    def __post_init__(self) -> None:
        if not self.experiences:
            raise BadOption("a scenario needs at least one experience")

    def seen(self, number: int) -> tuple[int, ...]:
        """Classes of the experiences up to `number`, in their order."""
        found = (c for experience in self.experiences[: number + 1] for c in experience.classes)
        return tuple(dict.fromkeys(found))


def class_incremental(
    train: Labelled,
    test: Labelled,
    groups: Sequence[Sequence[int]],
    *,
    names: Mapping[int, str] | None = None,
    told: bool = False,
) -> Scenario:
    """Classes arrive in groups.

    Args:
        train: of all classes.
        test: of all classes.
        groups: of class numbers; none twice.
        names: of the classes, for tables.
        told: the device is told the group at test time: task-incremental.

    Raises:
        BadOption: a class is in two groups, or a group has no data.
    """
    flat = [c for group in groups for c in group]
    twice = sorted({c for c in flat if flat.count(c) > 1})
    if twice:
        raise BadOption(f"the classes {twice} are in two groups", found=repr(list(groups)))
    experiences = []
    for group in groups:
        name = ", ".join(names[c] if names else str(c) for c in group)
        experiences.append(Experience(name, train.of(group), test.of(group), tuple(group)))
    return Scenario(Kind.TASK if told else Kind.CLASS, tuple(experiences))


def domain_incremental(domains: Mapping[str, tuple[Labelled, Labelled]]) -> Scenario:
    """The same classes in one domain after the other.

    Args:
        domains: training and test samples by name, in their order.
    """
    experiences = []
    for name, (train, test) in domains.items():
        classes = tuple(int(c) for c in np.unique(np.concatenate([train.y, test.y])))
        experiences.append(Experience(name, train, test, classes))
    return Scenario(Kind.DOMAIN, tuple(experiences))


def groups_of(classes: int, size: int, seed: int | None = None) -> list[list[int]]:
    """The classes 0 .. classes - 1 in groups of `size`, in random order if there is a seed."""
    order = np.arange(classes)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(classes)
    return [[int(c) for c in order[at : at + size]] for at in range(0, classes, size)]
