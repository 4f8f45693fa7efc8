# SPDX-License-Identifier: Apache-2.0
"""What the demo found: numbers with units in their names, as dataclasses and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

STEPS_BEFORE_THE_CUT = 10  # of training, until the power of the firmware fails


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
class Piece:
    """A piece of the adaptation step on the simulated chip; energy [uJ] is an estimate."""

    name: str
    cycles: int
    milliseconds: float
    microjoule: float


@dataclass(frozen=True)
class FirmwareResult:
    """An adaptation by the exported firmware, in simulated time.

    Args:
        chip: whose cycles count.
        accuracy: by condition: when it was switched on, and after the session and the next boot.
        words: that were learned.
        held_out: words that the guard judges by.
        steps: of training.
        outcome: of the session.
        right_before: held-out words named right by the old model.
        right_after: by the new one.
        scored: held-out words, clean ones and those in noise.
        seconds: of the session on the chip, recording and flash included.
        energy_mj: of its computations, an estimate.
        phases: name and start [s] of each; the last is the end.
        windows: that were classified meanwhile.
        missed: windows that were overwritten before.
        latest_ms: longest time from the end of a window to its class.
        pieces: of one step.
        ram: of the whole firmware on the chip by part [B].
        survives_power_cut: a device that loses its power while it learns boots as it was.
    """

    chip: str
    accuracy: Mapping[str, tuple[float, float]]
    words: int
    held_out: int
    steps: int
    outcome: str
    right_before: int
    right_after: int
    scored: int
    seconds: float
    energy_mj: float
    phases: tuple[tuple[str, float], ...]
    windows: int
    missed: int
    latest_ms: float
    pieces: tuple[Piece, ...]
    ram: Mapping[str, int]
    survives_power_cut: bool

    def json(self) -> dict[str, Any]:
        """All of it, with names for what stands in pairs."""
        accuracy = {
            name: {"before": before, "after": after}
            for name, (before, after) in self.accuracy.items()
        }
        return {
            **asdict(self),
            "accuracy": accuracy,
            "phases": [{"phase": phase, "start_s": at} for phase, at in self.phases],
            "pieces": [asdict(piece) for piece in self.pieces],
        }


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
        firmware: that adapted by itself.
    """

    data: str
    place: str
    snr_db: float
    seeds: tuple[int, ...]
    test_utterances: int
    before: Accuracies
    policies: tuple[PolicyResult, ...]
    firmware: FirmwareResult

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
            "firmware": self.firmware.json(),
        }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": fmean(values), "min": min(values), "max": max(values)}


def _by_noise(after: Sequence[Accuracies]) -> dict[str, float]:
    return {noise: fmean(a.others[noise] for a in after) for noise in after[0].others}


def text(result: DemoResult) -> str:
    """The results for a terminal."""
    names = [policy.name for policy in result.policies]
    width = max([30, *map(len, names)])  # a cell: 68.1% (+9.7 [+9.2..+10.3])
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
    return "\n".join([*lines, "", *_firmware(result.firmware)]) + "\n"


def _firmware(found: FirmwareResult) -> list[str]:
    """What the firmware did, in a few lines."""
    rows = [
        (f"accuracy, {condition}", f"{100 * before:.1f}% -> {100 * after:.1f}% at the next boot")
        for condition, (before, after) in found.accuracy.items()
    ]
    right = f"{found.right_before} -> {found.right_after} of {found.scored} held-out words right"
    rows.append(("verdict of the guard", f"{found.outcome.lower().replace('_', ' ')}: {right}"))
    if found.pieces:
        cycles, ms, uj = (
            sum(getattr(p, key) for p in found.pieces)
            for key in ("cycles", "milliseconds", "microjoule")
        )
        each = ", ".join(f"{p.name} {p.milliseconds:.2f}" for p in found.pieces)
        rows += [
            ("one step", f"{cycles:,} cycles, {ms:.2f} ms, {uj:.0f} uJ (estimate)"),
            ("  in ms", each),
            ("whole session", f"{found.seconds:.1f} s, {found.energy_mj:.0f} mJ (estimate)"),
        ]
    rows += [
        ("windows classified meanwhile", f"{found.windows}, {found.missed} missed"),
        ("power cut while it learns", "boots as it was" if found.survives_power_cut else "LOST"),
        ("RAM of the firmware", f"{sum(found.ram.values()):,} B"),
    ]
    head = f"firmware for {found.chip}: {found.words} words, fc1 learns behind int8 layers"
    return [head, *(f"{label:34}{value}" for label, value in rows)]


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
