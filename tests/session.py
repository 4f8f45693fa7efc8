# SPDX-License-Identifier: Apache-2.0
"""A small device for whole sessions of adaptation: a classifier of eight energies, two flashes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.device.adapt.meaning import Session
from acclimate.device.adapt.plan import Did, Outcome, Phase, Plan
from acclimate.device.flash.meaning import Flash
from acclimate.device.guard.meaning import Limits
from acclimate.device.noise.meaning import Settings
from acclimate.device.store.meaning import Store
from device_sandbox import Sandbox, fast_library, flash_struct

T, INPUTS, CLASSES, FRAME = 256, 8, 4, 64
MODEL_HASH = 0xADA97
MODEL_FLASH, SOUND_FLASH = (1024, 256, 8), (16384, 4096, 8)
S16 = NDArray[np.int16]
NOISE = Settings(frame=FRAME, crossings_low=1, crossings_high=24, warm_up=2, shortest=6)
LIMITS = Limits(margin=0.0, explosion=50.0, warm_up=4)


class Linear:
    """scores = w e + b, where e are the energies of eight parts of a sound."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        w = 0.05 * rng.standard_normal((CLASSES, INPUTS + 1))
        self.w = w.astype(np.float32)

    def features(self, pcm: S16) -> NDArray[np.float32] | None:
        """Whole numbers, so that a sample that differs by one step seldom changes them."""
        parts = np.abs(pcm.astype(np.float64)).reshape(INPUTS, -1).mean(axis=1)
        return np.round(parts / 64).astype(np.float32) / np.float32(16)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32] | None:
        return np.asarray(self.w[:, :-1] @ x + self.w[:, -1], np.float32)

    def train(self, x: NDArray[np.float32], label: int, lr: float) -> float:
        scores = self.predict(x)
        assert scores is not None
        p = np.exp(scores - scores.max())
        p /= p.sum()
        loss = -np.log(max(float(p[label]), 1e-30)) if np.isfinite(p).all() else float("nan")
        p[label] -= 1
        self.w -= np.float32(lr) * np.outer(p, np.append(x, np.float32(1))).astype(np.float32)
        return loss

    def save(self) -> bytes:
        return self.w.tobytes()

    def load(self, content: bytes) -> None:
        self.w = np.frombuffer(content, np.float32).reshape(self.w.shape).copy()


def words(count: int, seed: int = 0, loudness: float = 2000.0) -> list[tuple[int, S16]]:
    """Labelled sounds: each class is loud in its own quarter."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        label = i % CLASSES
        shape = np.full(T, 0.15)
        shape[label * T // CLASSES : (label + 1) * T // CLASSES] = 1.0
        found.append((label, (loudness * shape * rng.standard_normal(T)).astype(np.int16)))
    return found


def hiss(frames: int, seed: int = 9, loudness: float = 300.0) -> list[S16]:
    """Frames of noise that is no voice."""
    rng = np.random.default_rng(seed)
    drawn = loudness * rng.standard_normal((frames, FRAME))
    return list(np.clip(drawn, -32768, 32767).astype(np.int16))


class Slots:
    """The store as `Session` sees it."""

    def __init__(self, flash: Flash) -> None:
        self._store = Store(flash, MODEL_HASH)
        self.content = self._store.content if self._store.current is not None else None
        self.sectors = self._store.slot_bytes // flash.sector

    def save(self, content: bytes) -> None:
        self._store.save(content)
        self.content = content


@dataclass
class Device:
    """Everything of a firmware but its main loop; the C works on it, through callbacks.

    Attributes:
        model: in RAM.
        model_flash: of the store.
        sound_flash: of the utterances.
        frames: what the microphone hears from now on.
        sandbox: memory and functions with checks, or None for the fast ones.
        ring_frames: of noise.
        balanced: classes take turns.
        format: of the utterances.
    """

    model: Any = field(default_factory=Linear)
    model_flash: Flash = field(default_factory=lambda: Flash(*MODEL_FLASH))
    sound_flash: Flash = field(default_factory=lambda: Flash(*SOUND_FLASH))
    frames: list[S16] = field(default_factory=lambda: hiss(24))
    sandbox: Sandbox | None = None
    ring_frames: int = 16
    balanced: bool = False
    format: int = 0

    def __post_init__(self) -> None:
        self.c: Any = self.sandbox.c if self.sandbox else fast_library()
        self.new = self.sandbox.new if self.sandbox else self.c.new
        self.state, self.store, self.log = (
            self.new(f"ac_{name}") for name in ("adapt", "store", "utterances")
        )
        self.flashes = [self._flash(self.model_flash), self._flash(self.sound_flash)]
        self.index = self._array(64 * ctypes.sizeof(self.new("ac_utterances_entry")), np.uint8)
        self.pcm, self.ring = self._array(T, np.int16), self._array(FRAME * 16, np.int16)
        self.x, self.scores = self._array(INPUTS, np.float32), self._array(CLASSES, np.float32)
        self.labels = self._array(64, np.uint8)
        self.parts = self._parts()

    def _array(self, count: int, dtype: Any) -> NDArray[Any]:
        return self.sandbox.array(count, dtype) if self.sandbox else np.zeros(count, dtype)

    def _flash(self, flash: Flash) -> Any:
        if self.sandbox:
            return self.sandbox.flash(flash)
        return flash_struct(self.c, flash)

    # ---- callbacks

    def _parts(self) -> Any:
        library = self.c.library if self.sandbox else self.c
        functions = {
            "features": self._features,
            "predict": self._predict,
            "train": lambda _, x, label, lr: self.model.train(_read(x, INPUTS), label, lr),
            "save": self._save,
            "load": self._load,
            "check": self._check,
        }
        calls = {
            name: library.callback(f"ac_adapt_{name}", function)
            for name, function in functions.items()
        }
        self.functions = self.new(
            "ac_adapt_model", **calls, samples=T, inputs=INPUTS, classes=CLASSES,
            checkpoint_bytes=len(self.model.save()),
        )  # fmt: skip
        self.microphone = library.callback("ac_adapt_microphone", self._hear)
        at = {
            name: _at(value)
            for name, value in {
                "model": self.functions, "store": self.store, "log": self.log, "ring": self.ring,
                "pcm": self.pcm, "x": self.x, "scores": self.scores,
            }.items()
        }  # fmt: skip
        labels = _at(self.labels) if self.balanced else None
        return self.new(
            "ac_adapt_parts", **at, labels=labels, microphone=self.microphone,
            frames=self.ring_frames,
        )  # fmt: skip

    def _features(self, _: Any, x: int, pcm: int) -> int:
        found = self.model.features(np.frombuffer(ctypes.string_at(pcm, 2 * T), np.int16))
        return 1 if found is None else _write(x, found)

    def _predict(self, _: Any, scores: int, x: int) -> int:
        found = self.model.predict(_read(x, INPUTS))
        return 1 if found is None else _write(scores, found)

    def _save(self, _: Any, write: Callable[..., int], to: int) -> int:
        saved = np.frombuffer(self.model.save(), np.uint8)
        content = self._array(len(saved), np.uint8)
        content[:] = saved
        for at in range(0, len(content), 20):
            piece = content[at : at + 20]
            if status := write(to, at, piece.ctypes.data, len(piece)):
                return status
        return 0

    def _load(self, _: Any, read: Callable[..., int], store: int) -> int:
        content = np.zeros(len(self.model.save()), np.uint8)
        status = read(store, 0, content.ctypes.data, len(content))
        if status == 0:
            self.model.load(content.tobytes())
        return status

    def _check(self, _: Any, guard: int) -> int:
        w = np.frombuffer(self.model.save(), np.float32).copy()
        return int(fast_library().ac_guard_weights(guard, w, len(w)))

    def _hear(self, _: Any, frame: int) -> int:
        if not self.frames:
            return 0
        _write(frame, self.frames.pop(0))
        return 1

    # ---- life of a device

    def boot(self) -> int:
        """Opens both memories and loads the model that is there; the status of the store."""
        status = int(self.c.ac_store_open(self.store, self.flashes[0], MODEL_HASH))
        if status == 0:
            content = self._array(self.store.length, np.uint8)
            assert self.c.ac_store_read(self.store, 0, content, len(content)) == 0
            self.model.load(content.tobytes())
        self.c.ac_utterances_open(self.log, self.flashes[1], self.index, 64)
        return status

    def append(self, stored: Iterable[tuple[int, S16]]) -> int:
        """Stores utterances; the first status that is not OK."""
        for label, sound in stored:
            given = sound.copy() if self.sandbox is None else self.sandbox.array(sound, np.int16)
            status = self.c.ac_utterances_append_s16(
                self.log, label, self.format, given, len(given)
            )
            if status:
                return int(status)
        return 0

    def start(self, plan: Plan, now: int = 0) -> int:
        """Begins a session."""
        fields = asdict(plan)
        settings = self.new("ac_adapt_settings")
        for name, value in fields.pop("noise").items():
            setattr(settings.noise, name, value)
        for name, value in fields.pop("limits").items():
            setattr(settings.limits, name, value)
        for name, value in fields.items():
            setattr(settings, name, value)
        self.settings = settings
        return int(self.c.ac_adapt_start(self.state, self.parts, settings, now))

    def step(self, now: int = 0, energy_nj: int = 0) -> Did:
        """The next piece of work."""
        return Did(self.c.ac_adapt_step(self.state, now, energy_nj))

    def run(self, plan: Plan, most: int = 5000) -> list[Did]:
        """A whole session."""
        assert self.start(plan) == 0
        done = []
        while self.state.phase != Phase.IDLE:
            done.append(self.step())
            assert len(done) < most, "the session does not end"
        return done

    @property
    def outcome(self) -> Outcome:
        """How the last session ended."""
        return Outcome(self.state.outcome)

    def meaning(self, plan: Plan, stored: Sequence[tuple[int, S16] | None]) -> Session:
        """The same session in Python, on copies of what this device has."""
        model, frames = type(self.model)(), [frame.copy() for frame in self.frames]
        model.load(self.model.save())
        flash = Flash(*MODEL_FLASH, content=bytearray(self.model_flash.content))
        return Session(
            model, Slots(flash), stored, lambda: frames.pop(0) if frames else None, plan,
            self.ring_frames, T, CLASSES, self.balanced,
        )  # fmt: skip


def _at(memory: Any) -> int:
    return int(memory.ctypes.data) if isinstance(memory, np.ndarray) else ctypes.addressof(memory)


def _read(at: int, count: int) -> NDArray[np.float32]:
    return np.frombuffer(ctypes.string_at(at, 4 * count), np.float32)


def _write(at: int, values: NDArray[Any]) -> int:
    ctypes.memmove(at, values.tobytes(), values.nbytes)
    return 0
