# SPDX-License-Identifier: Apache-2.0
"""What the demo found: numbers with units in their names, as dataclasses and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class Accuracies:
    """Shares of test utterances named right: without noise, in the place, in every other noise."""

    clean: float
    place: float
    others: Mapping[str, float]

    @property
    def elsewhere(self) -> float:
        """Mean over the other noises."""
        return fmean(self.others.values())


@dataclass(frozen=True)
class MemoryPart:
    """One buffer of the training memory and why it is there."""

    name: str
    kind: str
    size_bytes: int
    why: str


@dataclass(frozen=True)
class PolicyResult:
    """One choice of what learns.

    Args:
        name: of the policy.
        description: in a few words.
        trained_parameters: how many numbers learn.
        training_memory_bytes: what learning takes on top of inference.
        published_memory_bytes: the published figure for the same update, where there is one.
        memory: every byte of it.
        ram_bytes: all RAM of the program with portable kernels: arena, parameters, states.
        macs_per_step: multiply-accumulates of one utterance: forward, backward, update.
        milliseconds_per_step: median on this machine, generated C, one thread.
        utterances: stored on the device.
        steps: updates of one adaptation.
        seconds: training steps of one adaptation on this machine.
        after: accuracies after adaptation, one per seed.
    """

    name: str
    description: str
    trained_parameters: int
    training_memory_bytes: int
    published_memory_bytes: int | None
    memory: tuple[MemoryPart, ...]
    ram_bytes: int
    macs_per_step: int
    milliseconds_per_step: float
    utterances: int
    steps: int
    seconds: float
    after: tuple[Accuracies, ...]


@dataclass(frozen=True)
class DemoResult:
    """Everything that the demo measured.

    Args:
        data: which recordings, whose, under which licence; or that the speech is synthetic.
        place: the noise that was adapted to.
        snr_db: speech against noise.
        seeds: of utterances, order and pieces of noise.
        test_utterances: of speakers that neither pretraining nor adaptation heard.
        before: accuracies before adaptation.
        policies: one result each.
    """

    data: str
    place: str
    snr_db: float
    seeds: tuple[int, ...]
    test_utterances: int
    before: Accuracies
    policies: tuple[PolicyResult, ...]

    def json(self) -> dict[str, Any]:
        """The results with one table per quantity, by policy."""
        by = {policy.name: policy for policy in self.policies}

        def accuracy(pick: str) -> dict[str, Any]:
            after = {name: _spread([getattr(a, pick) for a in p.after]) for name, p in by.items()}
            return {"before": getattr(self.before, pick), "after": after}

        return {
            "data": self.data,
            "place": self.place,
            "snr_db": self.snr_db,
            "seeds": list(self.seeds),
            "test_utterances": self.test_utterances,
            "accuracy_in_the_place": accuracy("place"),
            "accuracy_clean": accuracy("clean"),
            "accuracy_in_other_noises": accuracy("elsewhere"),
            "accuracy_by_noise": {
                "before": dict(self.before.others),
                "after": {name: _by_noise(p.after) for name, p in by.items()},
            },
            "training_memory_bytes": {name: p.training_memory_bytes for name, p in by.items()},
            "training_memory_published_bytes": {
                name: p.published_memory_bytes for name, p in by.items()
            },
            "training_memory_parts": {
                name: [asdict(part) for part in p.memory] for name, p in by.items()
            },
            "ram_bytes": {name: p.ram_bytes for name, p in by.items()},
            "trained_parameters": {name: p.trained_parameters for name, p in by.items()},
            "macs_per_step": {name: p.macs_per_step for name, p in by.items()},
            "milliseconds_per_step": {name: p.milliseconds_per_step for name, p in by.items()},
            "stored_utterances": {name: p.utterances for name, p in by.items()},
            "steps": {name: p.steps for name, p in by.items()},
            "seconds_of_training": {name: p.seconds for name, p in by.items()},
        }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": fmean(values), "min": min(values), "max": max(values)}


def _by_noise(after: Sequence[Accuracies]) -> dict[str, float]:
    return {noise: fmean(a.others[noise] for a in after) for noise in after[0].others}


def text(result: DemoResult) -> str:
    """The results for a terminal."""
    names = [policy.name for policy in result.policies]
    width = max(30, *map(len, names))  # a cell: 68.1% (+9.7 [+9.2..+10.3])
    head = f"{'':34}{'before':>9}" + "".join(f"{name:>{width}}" for name in names)
    lines = [result.data, "", head]
    rows = (
        (f"accuracy in the {result.place}", "place"),
        ("accuracy without noise", "clean"),
        ("accuracy in other noises", "elsewhere"),
    )
    for label, pick in rows:
        before = getattr(result.before, pick)
        cells = [_change(before, [getattr(a, pick) for a in p.after]) for p in result.policies]
        lines.append(f"{label:34}{before:9.1%}" + "".join(f"{cell:>{width}}" for cell in cells))
    for label, values in _costs(result):
        lines.append(f"{label:34}{'':9}" + "".join(f"{value:>{width}}" for value in values))
    return "\n".join(lines) + "\n"


def _change(before: float, after: Sequence[float]) -> str:
    gains = [100 * (value - before) for value in after]
    return f"{fmean(after):.1%} ({fmean(gains):+.1f} [{min(gains):+.1f}..{max(gains):+.1f}])"


def _costs(result: DemoResult) -> list[tuple[str, list[str]]]:
    """Rows of the table of costs."""
    ps = result.policies
    published = [f"{p.published_memory_bytes:,} B" if p.published_memory_bytes else "-" for p in ps]
    return [
        ("training memory", [f"{p.training_memory_bytes:,} B" for p in ps]),
        ("  published for this update", published),
        ("numbers that learn", [f"{p.trained_parameters:,}" for p in ps]),
        ("MACs per utterance", [f"{p.macs_per_step:,}" for p in ps]),
        ("ms per utterance, this machine", [f"{p.milliseconds_per_step:.3f}" for p in ps]),
        ("stored utterances", [f"{p.utterances:,}" for p in ps]),
        ("training steps", [f"{p.steps:,}" for p in ps]),
    ]
