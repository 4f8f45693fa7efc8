# SPDX-License-Identifier: Apache-2.0
"""Strategies that learn by gradients: they drive the entry points of a generated program.

They run on any device: the program in NumPy, C on this machine, C on a simulated cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from acclimate.capture import LwF
from acclimate.data.clips import F32, I64
from acclimate.errors import BadOption
from acclimate.estimate import entry_cycles
from acclimate.firmware import Firmware
from acclimate.learn.protocol.outcome import Price
from acclimate.learn.protocol.scenario import Experience, Labelled
from acclimate.simulate import Device


@dataclass(frozen=True)
class Schedule:
    """How each experience is learned.

    Args:
        epochs: passes over its samples.
        lr: learning rate.
        batch: samples per update. If it is more than the program takes in one call, the program
            needs `accumulate` and `apply`.
        seed: of the order of the samples, anew in each epoch.
    """

    epochs: int = 1
    lr: float = 0.01
    batch: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or not self.lr > 0:
            raise BadOption("a schedule needs an epoch, a batch and a rate", found=repr(self))


class FineTune:
    """Learns what comes and keeps nothing: what the others are compared with.

    Args:
        firmware: compiled, with `predict` and an entry point that learns.
        device: where it runs; by default the C on this machine.
        schedule: how each experience is learned.
    """

    def __init__(
        self, firmware: Firmware, schedule: Schedule, device: Device | None = None
    ) -> None:
        self.firmware, self.schedule = firmware, schedule
        self.device = device or firmware.run("host")
        self.calls: Counter[str] = Counter()
        self._rng = np.random.default_rng(schedule.seed)
        entries = firmware.program.entries
        (x, *_) = [b for b in firmware.program.interface("predict") if b.role == "input"]
        self._rows = x.shape[0]
        self._sums = "accumulate" in entries
        if schedule.batch % self._rows or (schedule.batch > self._rows and not self._sums):
            raise BadOption(
                f"updates on {schedule.batch} samples need sums of gradients",
                found=f"a program of {self._rows} samples with {', '.join(entries)}",
                hint="entries=('predict', 'accumulate', 'apply'), or a batch that fits",
            )

    def learn(self, experience: Experience) -> None:
        """Learns from an experience."""
        for chosen in self._batches(len(experience.train)):
            part = experience.train.take(chosen)
            self.step(part.x, part.y)
        self.keep(experience)

    def keep(self, experience: Experience) -> None:
        """Keeps what it wants of an experience that the network knows: nothing."""

    def scores(self, x: F32) -> F32:
        """Scores of x[N,...]."""
        whole = -(-len(x) // self._rows) * self._rows
        return np.asarray(self.device.predict(x[np.arange(whole) % len(x)]))[: len(x)]

    def step(self, x: F32, *targets: Any) -> float:
        """One update on the mean loss of x[N,...] and its targets; returns the loss before it."""
        losses = []
        name = "accumulate" if self._sums else "train"
        for at in range(0, len(x), self._rows):
            part = slice(at, at + self._rows)
            data = (x[part], *(target[part] for target in targets))
            losses.append(self.device.run_entry(name, *data, lr=self.schedule.lr)[0])
        self.calls[name] += len(losses)
        if self._sums:
            self.device.apply(self.schedule.lr)
            self.calls["apply"] += 1
        return float(np.mean(losses))

    def kept_bytes(self) -> int:
        """RAM of what it keeps beside the program."""
        return 0

    def price(self) -> Price:
        """RAM of the program and of what is kept; energy of all calls, by estimated cycles."""
        firmware = self.firmware
        cycles = 0
        for name, count in self.calls.items():
            entry = firmware.program.entries[name]
            each = entry_cycles(firmware.program, entry, firmware.plan, firmware.target)
            cycles += count * each
        energy_uj = firmware.target.energy_uj(cycles)
        ram = firmware.plan.ram_bytes + self.kept_bytes()
        return Price(ram, None if energy_uj is None else energy_uj / 1e3, dict(self.calls))

    def _batches(self, count: int) -> Iterator[I64]:
        """Numbers of the samples of each update: whole batches, the last is filled up from the
        first of its epoch."""
        size = self.schedule.batch
        for _ in range(self.schedule.epochs):
            order = self._rng.permutation(count)
            for at in range(0, count, size):
                yield order[np.arange(at, at + size) % count]


class Memory(Protocol):
    """Keeps some samples of a stream; see `acclimate.device` for those that a device has."""

    def insert(self, x: F32, y: int) -> None:
        """Offers a sample of the stream."""
        ...

    def draw(self, count: int) -> Labelled:
        """At most `count` different samples of it, at random."""
        ...

    def __len__(self) -> int: ...

    def size_bytes(self) -> int:
        """RAM or flash that it takes."""
        ...


class Replay(FineTune):
    """Experience replay: each update is on `batch` new samples and as many of a memory.

    The samples of an experience are offered to the memory, once and in their order, when it is
    over. The first experience has nothing to replay.

    Source: Chaudhry et al., "On tiny episodic memories in continual learning", arXiv:1902.10486.

    Args:
        firmware: as for `FineTune`.
        schedule: of the new samples.
        memory: empty.
        replayed: samples of the memory per update; as many as new ones by default.
        device: as for `FineTune`.
    """

    def __init__(
        self,
        firmware: Firmware,
        schedule: Schedule,
        memory: Memory,
        replayed: int | None = None,
        device: Device | None = None,
    ) -> None:
        super().__init__(firmware, schedule, device)
        self.memory = memory
        self.replayed = schedule.batch if replayed is None else replayed
        if not self._sums:
            raise BadOption(
                "replay mixes samples in one update",
                found=", ".join(firmware.program.entries),
                hint="entries=('predict', 'accumulate', 'apply')",
            )

    def learn(self, experience: Experience) -> None:
        """Learns from an experience and from what is kept of earlier ones."""
        for chosen in self._batches(len(experience.train)):
            part = experience.train.take(chosen)
            old = self.memory.draw(self.replayed) if len(self.memory) else None
            if old is None:
                self.step(part.x, part.y)
            else:
                self.step(np.concatenate([part.x, old.x]), np.concatenate([part.y, old.y]))
        self.keep(experience)

    def keep(self, experience: Experience) -> None:
        """Offers the samples of an experience to the memory."""
        for x, y in zip(experience.train.x, experience.train.y, strict=True):
            self.memory.insert(x, int(y))

    def kept_bytes(self) -> int:
        """Of the memory."""
        return self.memory.size_bytes()


class Regularized(FineTune):
    """A program with a regularizer (`ac.EWC`, `ac.SI`): ends each experience as that wants it.

    Args:
        firmware: compiled with `regularizer=`.
        schedule: how each experience is learned.
        samples: of an experience, at most, that importance is measured on.
        device: as for `FineTune`.
        as_learned: measures it on the minibatches of the updates instead, in their order, as
            Avalanche does; an experience that was not learned still gives samples.
    """

    def __init__(
        self,
        firmware: Firmware,
        schedule: Schedule,
        samples: int = 1000,
        device: Device | None = None,
        *,
        as_learned: bool = False,
    ) -> None:
        super().__init__(firmware, schedule, device)
        self.samples, self.as_learned = samples, as_learned
        self._learned: list[I64] = []
        if not {"importance", "consolidate"} & set(firmware.program.entries):
            raise BadOption(
                f"{firmware.program.name} has no regularizer",
                hint="ac.compile(..., regularizer=ac.EWC(strength=100))",
            )

    def keep(self, experience: Experience) -> None:
        """Remembers what an experience needed."""
        entries = self.firmware.program.entries
        if "consolidate" in entries:
            self.device.consolidate()
            self.calls["consolidate"] += 1
        if "importance" in entries:
            self._measure(experience.train)

    def _batches(self, count: int) -> Iterator[I64]:
        for chosen in super()._batches(count):
            if self.as_learned:
                self._learned.append(chosen)
            yield chosen

    def _measure(self, train: Labelled) -> None:
        if self._learned:
            chosen, self._learned = np.concatenate(self._learned), []
        else:
            chosen = self._rng.permutation(len(train))[: self.samples]
            chosen = chosen[: max(self._rows, len(chosen) // self._rows * self._rows)]
        parts = np.resize(chosen, (-(-len(chosen) // self._rows), self._rows))
        for part in parts:
            share = 1 / len(parts)
            self.device.importance(train.x[part], train.y[part], share=share)
        self.calls["importance"] += len(parts)


class Distilled(FineTune):
    """Learning without forgetting: a program with the loss `ac.LwF`.

    Before an experience it asks itself about the new samples and keeps these answers beside them.

    Args:
        firmware: compiled with `loss=ac.LwF(...)`.
        schedule: how each experience is learned.
        device: as for `FineTune`.
    """

    def __init__(
        self, firmware: Firmware, schedule: Schedule, device: Device | None = None
    ) -> None:
        super().__init__(firmware, schedule, device)
        self._old: tuple[int, ...] = ()
        self._answers_bytes = 0

    def learn(self, experience: Experience) -> None:
        """Learns from an experience while it keeps what it said of its samples before."""
        train = experience.train
        answers = LwF.targets(self.scores(train.x), self._old)
        if self._old:
            self.calls["predict"] += -(-len(train) // self._rows)
            self._answers_bytes = max(self._answers_bytes, 4 * len(train) * len(self._old))
        for chosen in self._batches(len(train)):
            self.step(train.x[chosen], train.y[chosen], answers[chosen])
        self.keep(experience)

    def keep(self, experience: Experience) -> None:
        """Notes the classes of an experience."""
        self._old = _joined(self._old, experience.classes)

    def kept_bytes(self) -> int:
        """The answers, of old classes only."""
        return self._answers_bytes


class Joint(FineTune):
    """Learns each experience together with all samples of the earlier ones: an upper bound."""

    def __init__(
        self, firmware: Firmware, schedule: Schedule, device: Device | None = None
    ) -> None:
        super().__init__(firmware, schedule, device)
        self._all: list[Labelled] = []

    def learn(self, experience: Experience) -> None:
        """Learns from everything so far."""
        self.keep(experience)
        x = np.concatenate([part.x for part in self._all])
        y = np.concatenate([part.y for part in self._all])
        for chosen in self._batches(len(y)):
            self.step(x[chosen], y[chosen])

    def keep(self, experience: Experience) -> None:
        """Keeps all samples."""
        self._all.append(experience.train)

    def kept_bytes(self) -> int:
        """All samples."""
        return sum(part.x.nbytes + part.y.nbytes for part in self._all)


def _joined(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*old, *new)))
