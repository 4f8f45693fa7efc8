# SPDX-License-Identifier: Apache-2.0
"""What learns without backpropagation through a network: the C of the device modules."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from acclimate.device import Library, find_modules, load
from acclimate.device.elm.meaning import Settings as ElmSettings
from acclimate.device.rce.meaning import Settings, Status
from acclimate.errors import BadOption
from acclimate.learn.repeated import Recorded, repeat
from acclimate.targets import Target

F32 = NDArray[np.float32]
Labels = NDArray[np.int64]
NEURON_BYTES = 12  # besides its centre


MODULES = ("elm", "rce", "centroids", "slda", "tinyol")
_RECORDED: ContextVar[Recorded | None] = ContextVar("recorded", default=None)


@cache
def _loaded() -> Library:
    return load(*find_modules(MODULES))


def _library() -> Library | Recorded:
    return _RECORDED.get() or _loaded()


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Keeps the calls of heads that are made meanwhile."""
    found = Recorded(_loaded())
    token = _RECORDED.set(found)
    try:
        yield found
    finally:
        _RECORDED.reset(token)


@dataclass(frozen=True)
class HeadCost:
    """What a head takes on one core of a cluster, all its data in the outer memory.

    Args:
        learn: cycles of a sample that is learned.
        solve: cycles once for all samples of a call of `learn`; 0 for most heads.
        classify: cycles of an answer.
    """

    learn: float
    solve: float
    classify: float


def head_cost(
    make: Callable[[], Head], x: F32, labels: Labels, target: str | Target = "gap9"
) -> HeadCost:
    """Counts cycles of a head on a simulated cluster: it learns, and answers, there as here.

    Args:
        make: makes the head.
        x: x[N,n] that it learns, in two calls of `learn`; the last quarter is counted.
        labels: of them.
        target: a cluster.

    Raises:
        BadOption: the target is no cluster, or there are no samples.
    """
    if not len(x):
        raise BadOption("a head that learns nothing costs nothing", hint="x[N,n] with N >= 1")
    last = -(-len(x) // 4)
    with recorded() as seen:
        head = make()
        if len(x) > last:
            head.learn(x[:-last], labels[:-last])
        started = len(seen.calls)
        head.learn(x[-last:], labels[-last:])
        learned = len(seen.calls)
        head.answers(x[-1:])
    found = repeat(seen.calls, MODULES, target)
    counted = Counter[str]()
    for name, cycles in zip(found.names[started:learned], found.cycles[started:], strict=False):
        counted[name] += cycles
    learn, *solve = counted.values()
    return HeadCost(learn / last, sum(solve), found.cycles[-1])


def _checked(status: int, what: str) -> int:
    if status < 0:
        raise BadOption(f"{what} refuses its arguments", found=f"code {status}")
    return status


def _bytes(*parts: Any) -> int:
    """RAM of structs and arrays."""
    return sum(x.nbytes if isinstance(x, np.ndarray) else ctypes.sizeof(x) for x in parts)


class RandomFeatures:
    """Random features of windows, which nobody trains: the device module `elm`.

    Args:
        settings: of the layer; `elm.meaning.Settings.usual` for inputs of about 1.

    Raises:
        BadOption: a setting that cannot be, windows of another shape, samples that are no numbers.
    """

    def __init__(self, settings: ElmSettings) -> None:
        c, s = _library(), settings
        self._settings, self._state = s, c.new("ac_elm")
        sizes = (s.channels * s.width, s.features, s.features) if s.possible() else (1, 1, 1)
        self._memory = tuple(np.zeros(size, np.float32) for size in sizes)
        passed = c.new("ac_elm_settings", **asdict(s))
        _checked(c.ac_elm_start(self._state, passed, *self._memory), "elm")

    def features(self, x: F32) -> F32:
        """y[N,features] of windows x[N,channels,length]."""
        shape = self._settings.channels, self._settings.length
        if x.shape[1:] != shape:
            text = "elm: windows of {} channels and {} samples are needed".format(*shape)
            raise BadOption(text, found=f"x{list(x.shape)}")
        y = np.zeros((len(x), self._settings.features), np.float32)
        for vector, window in zip(y, np.ascontiguousarray(x, np.float32), strict=True):
            _checked(_library().ac_elm_features(self._state, vector, window), "elm")
        return y

    def fit(self, x: F32) -> F32:
        """y[N,features] of windows [N,channels,length], which give mean and unit; once."""
        y = self.features(x)
        _checked(_library().ac_elm_fit(self._state, y, len(y)), "elm")
        return y

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""
        return _bytes(self._state, *self._memory)


class Head(Protocol):
    """A classifier of feature vectors that learns one sample after the other."""

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""

    def learn(self, x: F32, labels: Labels) -> None:
        """Learns x[N,n] in this order, each once."""

    def answers(self, x: F32) -> Labels:
        """Classes [N] of x[N,n]."""


class RceHead:
    """RCE within a cap on neurons.

    Args:
        settings: of the laws.
        n: features.
        capacity: neurons.

    Raises:
        BadOption: a setting that cannot be, or features that are no numbers.
    """

    def __init__(self, settings: Settings, n: int, capacity: int) -> None:
        c = _library()
        self.n, self.state, self._result = n, c.new("ac_rce"), c.new("ac_rce_result")
        self._centres = np.zeros(capacity * n, np.float32)
        self._neurons = np.zeros(capacity * NEURON_BYTES, np.uint8)
        passed = c.new("ac_rce_settings", **asdict(settings))
        arguments = (self.state, passed, n, self._centres, self._neurons, capacity)
        _checked(c.ac_rce_start(*arguments), "rce")

    def learn(self, x: F32, labels: Labels) -> None:
        """Learns x[N,n] in this order, each once."""
        self.fit(x, labels, 1)

    def fit(self, x: F32, labels: Labels, epochs: int) -> bool:
        """Learns x[N,n] until an epoch changes nothing, at most `epochs` times; whether one did."""
        x = np.ascontiguousarray(x, np.float32)
        arguments = (self.state, x, labels.astype(np.uint16), len(x), epochs)
        return _checked(_library().ac_rce_fit(*arguments), "rce") == Status.CONVERGED

    def judged(self, x: F32) -> tuple[Labels, Labels]:
        """Classes [N] of x[N,n], the nearest centre where nothing fires, and codes [N]."""
        labels, codes = [], []
        for vector in np.ascontiguousarray(x, np.float32):
            status = _library().ac_rce_classify(self.state, vector, self._result)
            codes.append(_checked(status, "rce"))
            labels.append(self._result.label)
        return np.array(labels, np.int64), np.array(codes, np.int64)

    def answers(self, x: F32) -> Labels:
        """Classes [N] of x[N,n]."""
        return self.judged(x)[0]

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""
        return _bytes(self.state, self._centres, self._neurons)

    @property
    def neurons(self) -> int:
        """Neurons now."""
        return int(self.state.count)

    @property
    def distances(self) -> int:
        """Distances computed so far."""
        return int(self.state.distances)


class CentroidHead:
    """Nearest class mean of n features."""

    def __init__(self, n: int, classes: int) -> None:
        c = _library()
        self._state, self._result = c.new("ac_centroids"), c.new("ac_centroids_result")
        self._memory = np.zeros(classes * n, np.float32), np.zeros(classes, np.uint32)
        arguments = (self._state, n, *self._memory, classes, 0.0)
        _checked(c.ac_centroids_start(*arguments), "centroids")

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""
        return _bytes(self._state, *self._memory)

    def learn(self, x: F32, labels: Labels) -> None:
        """Learns x[N,n] in this order, each once."""
        for vector, label in zip(np.ascontiguousarray(x, np.float32), labels, strict=True):
            status = _library().ac_centroids_learn(self._state, vector, int(label))
            _checked(status, "centroids")

    def answers(self, x: F32) -> Labels:
        """Classes [N] of x[N,n]."""
        found = []
        for vector in np.ascontiguousarray(x, np.float32):
            status = _library().ac_centroids_classify(self._state, vector, self._result)
            _checked(status, "centroids")
            found.append(self._result.label)
        return np.array(found, np.int64)


class _Answering:
    """Heads in one block of memory, whose classify writes a label."""

    def __init__(self, name: str, n: int, classes: int) -> None:
        self._name, c = name, _library()
        self._state = c.new(f"ac_{name}")
        count = getattr(c, f"ac_{name}_floats")(n, classes)
        self._memory, self._label = np.zeros(count, np.float32), np.zeros(1, np.int32)

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""
        return _bytes(self._state, self._memory)

    def answers(self, x: F32) -> Labels:
        """Classes [N] of x[N,n]."""
        classify: Any = getattr(_library(), f"ac_{self._name}_classify")
        found = []
        for vector in np.ascontiguousarray(x, np.float32):
            _checked(classify(self._state, vector, None, self._label), self._name)
            found.append(int(self._label[0]))
        return np.array(found, np.int64)


class SldaHead(_Answering):
    """Streaming linear discriminant analysis of n features."""

    def __init__(self, n: int, classes: int, shrink: float = 0.05) -> None:
        super().__init__("slda", n, classes)
        arguments = (self._state, n, classes, shrink, self._memory)
        _checked(_library().ac_slda_start(*arguments), "slda")

    def learn(self, x: F32, labels: Labels) -> None:
        """Learns x[N,n] in this order, each once."""
        for vector, label in zip(np.ascontiguousarray(x, np.float32), labels, strict=True):
            _checked(_library().ac_slda_learn(self._state, vector, int(label)), "slda")
        _checked(_library().ac_slda_solve(self._state), "slda")


class TinyOlHead(_Answering):
    """A softmax layer on n features that are standardised already."""

    def __init__(self, n: int, classes: int, lr: float = 0.05) -> None:
        super().__init__("tinyol", n, classes)
        self._lr, self._labels = lr, np.zeros(classes, np.uint16)
        arguments = (self._state, n, classes, 0.0, self._memory, self._labels)
        _checked(_library().ac_tinyol_start(*arguments), "tinyol")
        same = np.zeros(n, np.float32), np.ones(n, np.float32)
        _checked(_library().ac_tinyol_standardise(self._state, *same), "tinyol")

    @property
    def size_bytes(self) -> int:
        """RAM of its state and its memory."""
        return super().size_bytes + self._labels.nbytes

    def learn(self, x: F32, labels: Labels) -> None:
        """Learns x[N,n] in this order, each once."""
        for vector, label in zip(np.ascontiguousarray(x, np.float32), labels, strict=True):
            status = _library().ac_tinyol_learn(self._state, vector, int(label), self._lr)
            _checked(status, "tinyol")
