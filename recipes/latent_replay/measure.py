# SPDX-License-Identifier: Apache-2.0
"""Cells of the latent replay recipe: one scenario, learned in one way, by the C of the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import KINDS, Training, cut, greatest_of, latents, pretrained, start_of

import acclimate as ac
from acclimate.data.images import CLASSES, Images, small_images
from acclimate.errors import DoesNotFit
from acclimate.estimate import entry_cycles
from acclimate.firmware import Firmware
from acclimate.learn.protocol import (
    CwrReplay,
    FineTune,
    Joint,
    Labelled,
    LatentMemory,
    Replay,
    Scenario,
    Schedule,
    class_incremental,
    minibatch,
    run,
)

CHIPS = ("vega", "gap9")
MOMENTUM = 0.9
_HELD_BACK = 100  # training images of each class that rates were chosen with


@dataclass(frozen=True)
class Cell:
    """One scenario, learned once.

    Attributes:
        network: of `network.KINDS`.
        data: description of the images and of what the network knew before.
        split: where what learns begins.
        way: "naive", "replay", "cwr" or "joint".
        bits: of a number of a replayed latent; 0 where nothing is replayed.
        slots: of the memory.
        seed: of the order of classes, the network, and everything drawn.
        base: classes that the network knows before.
        images: of a new class.
        epochs: over them.
        pretraining: epochs of the network.
        lr: of every update.
        batch: new and replayed samples of an update.
        judged: "test", or "validation" for choosing rates.
    """

    network: str
    data: str
    split: str
    way: str
    bits: int = 0
    slots: int = 0
    seed: int = 0
    base: int = 5
    images: int = 300
    epochs: int = 4
    pretraining: int = 20
    lr: float = 0.01
    batch: int = 128
    judged: str = "test"


@lru_cache(maxsize=1)
def images() -> Images:
    """Of this machine."""
    return small_images()


def data_of(network: str) -> str:
    """What a network learns from here, and what it knew before."""
    start, found = start_of(network), images().description
    return f"{found}; network begins with weights of {start}" if start else found


def order_of(seed: int) -> tuple[int, ...]:
    """Classes as they come."""
    return tuple(int(k) for k in np.random.default_rng([seed, 7]).permutation(CLASSES))


@lru_cache(maxsize=2)
def _scenario(
    network: str, split: str, seed: int, base: int, count: int, pretraining: int, judged: str,
    folder: Path,
) -> tuple[Scenario, torch.nn.Module, torch.nn.Module, float]:  # fmt: skip
    """Latents of all experiences, front, tail, and the largest latent."""
    found, order = images(), order_of(seed)
    held_back = min(_HELD_BACK, int((found.y == 0).sum()) // 4)
    known = tuple(sorted(order[:base]))
    training = Training(
        network, start_of(network), found.description, known, pretraining, held_back, seed
    )
    front, tail = cut(pretrained(found, training, folder), network, split)
    learned, held = [], []
    rng = np.random.default_rng([seed, 8])
    for k in range(CLASSES):
        every = np.flatnonzero(found.y == k)
        learned.append(rng.permutation(every[:-held_back])[: None if k in known else count])
        held.append(every[-held_back:])
    at = rng.permutation(np.concatenate(learned))
    train = Labelled(latents(front, found.x[at], network), found.y[at])
    if judged == "test":
        test = Labelled(latents(front, found.test_x, network), found.test_y)
    else:
        at = np.concatenate(held)
        test = Labelled(latents(front, found.x[at], network), found.y[at])
    groups = [list(known), *([k] for k in order[base:])]
    names = dict(enumerate(found.names))
    scenario = class_incremental(train, test, groups, names=names)
    return scenario, front, tail, greatest_of(train.of(known).x)


def compiled(tail: torch.nn.Module, x: np.ndarray, target: str, lr: float = 0.01) -> Firmware:
    """The tail as a program that adds up the gradients of single samples."""
    example = (torch.from_numpy(x[:1]), torch.zeros(1, dtype=torch.long))
    return ac.compile(
        tail, example=example, target=target, name="tail", solver_seconds=2.0,
        optimizer=ac.SGD(lr=lr, momentum=MOMENTUM), entries=("predict", "accumulate", "apply"),
    )  # fmt: skip


def scene(folder: Path, cell: Cell) -> tuple[Scenario, torch.nn.Module, torch.nn.Module, float]:
    """Of a cell: see `_scenario`."""
    return _scenario(
        cell.network, cell.split, cell.seed, cell.base, cell.images, cell.pretraining,
        cell.judged, folder,
    )  # fmt: skip


def measure(folder: Path, cell: Cell) -> dict[str, Any]:
    """Accuracies of a cell, and what it keeps."""
    scenario, _, tail, greatest = scene(folder, cell)
    train = scenario.experiences[0].train
    firmware = compiled(tail, train.x, "host", cell.lr)
    shape = train.x.shape[1:]
    fresh = cell.batch
    make: Callable[[Schedule], FineTune]
    memory = None
    if cell.way in ("replay", "cwr"):
        memory = LatentMemory(cell.slots, CLASSES, shape, greatest, bits=cell.bits, seed=cell.seed)
        fresh, stored = minibatch(cell.images, cell.slots, cell.batch)
        kept = memory
        head = CwrReplay if cell.way == "cwr" else Replay
        make = lambda schedule: head(firmware, schedule, kept, stored)  # noqa: E731
    else:
        kind = {"naive": FineTune, "joint": Joint}[cell.way]
        make = lambda schedule: kind(firmware, schedule)  # noqa: E731
    schedule = Schedule(epochs=cell.epochs, lr=cell.lr, batch=fresh, seed=cell.seed)
    outcome = run(scenario, make(schedule), known=1)
    sizes = np.array([len(e.test) for e in scenario.experiences], float)
    return outcome.as_json() | {
        "accuracy_of_all": float(outcome.accuracy[-1] @ sizes / sizes.sum()),
        "known_before": float(outcome.before[0]),
        "known_after": float(outcome.accuracy[-1, 0]),
        "memory_bytes": 0 if memory is None else memory.size_bytes(),
        "elements": int(np.prod(shape)),
    }


def cost(folder: Path, cell: Cell) -> dict[str, Any]:
    """Estimates on clusters: of an update, which is the tail alone, and of a whole new class.

    The front runs once per image of the class, whose latents wait in RAM for the last epoch.
    """
    scenario, front, tail, _ = scene(folder, cell)
    train = scenario.experiences[0].train
    fresh, stored = minibatch(cell.images, cell.slots, cell.batch)
    elements, side = train.x[0].size, KINDS[cell.network].side
    updates = cell.epochs * -(-cell.images // fresh)  # as `FineTune` fills up the last of an epoch
    found: dict[str, Any] = {
        "fresh": fresh, "stored": stored, "elements": elements, "updates": updates,
        "waiting_bytes": 4 * elements * cell.images,
    }  # fmt: skip
    for chip in CHIPS:
        image = torch.zeros(1, 3, side, side)
        sees = ac.compile(
            front, example=(image, front(image)), loss="mse", target=chip, name="front",
            entries=("predict",),
        )  # fmt: skip
        seen = _cycles(sees, "predict")
        found[chip] = {"front_cycles": seen}
        try:
            learns = compiled(tail, train.x, chip)
        except DoesNotFit:  # without steps there is no price
            found[chip]["ram_bytes"] = compiled(tail, train.x, "host").plan.ram_bytes
            continue
        each = _cycles(learns, "accumulate")
        update = (fresh + stored) * each + _cycles(learns, "apply")
        whole = cell.images * seen + updates * update
        clock = learns.target.clock_hz or 1.0
        energies = [learns.target.energy_uj(cycles) for cycles in (update, whole)]
        update_mj, class_mj = (None if uj is None else uj / 1e3 for uj in energies)
        found[chip] |= {
            "sample_cycles": each,
            "update_cycles": update,
            "update_ms": 1e3 * update / clock,
            "update_mj": update_mj,
            "class_s": whole / clock,
            "class_mj": class_mj,
            "ram_bytes": learns.plan.ram_bytes,
        }
    return found


def _cycles(firmware: Firmware, name: str) -> int:
    entry = firmware.program.entries[name]
    return entry_cycles(firmware.program, entry, firmware.plan, firmware.target)
