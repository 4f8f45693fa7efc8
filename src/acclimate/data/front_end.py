# SPDX-License-Identifier: Apache-2.0
"""The MFCC of features.py as C: an entry point `features` of a program of its own or of a model's.

    firmware = Mfcc(MfccSpec()).compile(target="gap9")
    x = firmware.run().features(samples)  # s16[1,16000] -> f32[1,1,49,10]

`log_mel_fwd` gives the energies. The DCT is a fully connected layer over the frames, and takes the
normalisation of every coefficient with it: (c - mean) / std = (dct / std) G - mean / std.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from acclimate.data.features import (
    FrontEnd,
    MfccSpec,
    Normalisation,
    dct_matrix,
    hann_window,
    mel_matrix,
)
from acclimate.errors import BadOption, nearest
from acclimate.firmware import Firmware
from acclimate.kernels.linear.op import LINEAR_FWD, Clamp
from acclimate.kernels.log_mel.op import LOG_MEL_FWD, LOG_MEL_FWD_S16, LogMel
from acclimate.kernels.log_mel.tables import make_tables
from acclimate.kernels.op import Array, Shape
from acclimate.pipeline import build_firmware
from acclimate.program import Buffer, Call, Entry, Program, Role, Source, View, verify
from acclimate.targets import Target

ENTRY = "features"
_SAMPLES = ("s16", "f32")
_OUTPUTS = ("mfcc", "log_mel")
_FULL_SCALE = 32768.0  # of 16-bit samples: 1.0 of the definition


@dataclass(frozen=True)
class Mfcc:
    """MFCC on a device: samples[N,clip_samples] -> features[N,1,frames,coefficients].

    Args:
        spec: the definition.
        normalisation: of every coefficient; None for none.
        samples: `s16` for 16-bit PCM, `f32` for numbers within -1 .. 1.
        output: `mfcc`, or `log_mel` for the energies G alone: features[N,1,frames,mel_bins].
        clips: N, clips of one call.

    Raises:
        BadOption: the kernel cannot compute this definition.
    """

    spec: MfccSpec = field(default_factory=MfccSpec)
    normalisation: Normalisation | None = None
    samples: str = "s16"
    output: str = "mfcc"
    clips: int = 1

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("samples", self.samples, _SAMPLES),
            ("output", self.output, _OUTPUTS),
        ):
            if value not in allowed:
                raise BadOption(f"unknown {name} {value!r}", hint=nearest(value, allowed))
        if self.output == "log_mel" and self.normalisation is not None:
            raise BadOption(
                "log-mel energies have no normalisation: it is one of coefficients",
                hint="Mfcc(spec, normalisation) for normalised coefficients",
            )
        _check(self.spec)

    @classmethod
    def of(cls, front_end: FrontEnd, samples: str = "s16") -> Mfcc:
        """What a front end in Python computes: features and their normalisation."""
        return cls(front_end.spec, front_end.normalisation, samples)

    def program(self, name: str = "mfcc") -> Program:
        """A program with the entry point alone."""
        return self.add_to(Program(name, {}, {}, {}))

    def compile(
        self,
        *,
        target: str | Target = "host",
        cores: int | None = None,
        name: str = "mfcc",
        budget: Mapping[str, str | int] | None = None,
    ) -> Firmware:
        """The features alone as firmware; arguments as those of `acclimate.compile`.

        Raises:
            AcclimateError: unknown target, too many cores, or a memory that is too small.
        """
        title = f"{self.spec.frames} frames of {self.output} from {self.samples} samples"
        return build_firmware(
            self.program(name), target=target, cores=cores, budget=budget, title=title
        )

    def add_to(self, program: Program) -> Program:
        """The program with the entry point `features` beside those that it has.

        Raises:
            BadOption: it has one already, or a buffer of that name.
        """
        builder = _Builder(self, program)
        calls = builder.calls()
        taken = sorted({ENTRY, *builder.buffers} & {*program.entries, *program.buffers})
        if taken:
            raise BadOption(
                f"{program.name} cannot get the entry point {ENTRY!r}",
                found=f"it has {', '.join(taken)} already",
                hint="give these tensors of the model other names",
            )
        entry = Entry(ENTRY, calls, (_INPUT,))
        values = {**program.values, **builder.values}
        buffers = {**program.buffers, **builder.buffers}
        return verify(replace(program, values=values).with_entry(entry, buffers))


_INPUT, _OUTPUT, _ENERGIES = "pcm", "features", f"{ENTRY}.log_mel"


class _Builder:
    """Buffers and calls of the entry point."""

    def __init__(self, mfcc: Mfcc, program: Program) -> None:
        self.mfcc, self.spec, self.prefix = mfcc, mfcc.spec, program.name
        self.buffers: dict[str, Buffer] = {}
        self.values: dict[str, Array] = {}

    def calls(self) -> tuple[Call, ...]:
        """The energies, and the DCT where it is wanted."""
        spec, clips = self.spec, self.mfcc.clips
        pcm = self._buffer(_INPUT, (clips, spec.clip_samples), self.mfcc.samples, Role.INPUT)
        energies = (clips, spec.frames, spec.mel_bins)
        if self.mfcc.output == "log_mel":
            shape = (clips, 1, spec.frames, spec.mel_bins)
            out = self._buffer(_OUTPUT, shape, "f32", Role.OUTPUT)
            return (self._log_mel(pcm, _reshaped(out, energies)),)
        log_mel = self._buffer(_ENERGIES, energies, "f32", Role.ACTIVATION)
        shape = (clips, 1, spec.frames, spec.coefficients)
        out = self._buffer(_OUTPUT, shape, "f32", Role.OUTPUT)
        return self._log_mel(pcm, log_mel), self._dct(log_mel, out)

    def _log_mel(self, pcm: View, out: View) -> Call:
        spec = self.spec
        scale = _FULL_SCALE if self.mfcc.samples == "s16" else 1.0
        tables = make_tables(spec.fft_size, mel_matrix(spec))
        constants: dict[str, Array] = {
            # Exact: the scale is a power of two.
            "window": (hann_window(spec) / scale).astype(np.float32),
            "twiddle": tables.twiddle,
            "split": tables.split,
            "order": tables.order,
            "weights": tables.weights,
            "span": tables.span,
        }
        views = [self._constant(name, value) for name, value in constants.items()]
        attrs = LogMel(spec.hop_samples, spec.fft_size, spec.log_floor)
        op = LOG_MEL_FWD_S16 if self.mfcc.samples == "s16" else LOG_MEL_FWD
        return Call(op, (out,), (pcm, *views), attrs, source=Source(ENTRY))

    def _dct(self, log_mel: View, out: View) -> Call:
        spec, normalisation = self.spec, self.mfcc.normalisation
        dct, bias = dct_matrix(spec).T, None
        if normalisation is not None:
            mean, std = np.array(normalisation.mean), np.array(normalisation.std)
            dct = dct / std[:, None]
            bias = self._constant("dct_bias", (-mean / std).astype(np.float32))
        weights = self._constant("dct", dct.astype(np.float32))
        rows = self.mfcc.clips * spec.frames
        x, y = _reshaped(log_mel, (rows, spec.mel_bins)), _reshaped(out, (rows, spec.coefficients))
        return Call(LINEAR_FWD, (y,), (x, weights, bias), Clamp(), source=Source(ENTRY))

    def _constant(self, name: str, value: Array) -> View:
        dtype = "s16" if value.dtype == np.int16 else "f32"
        name = f"{ENTRY}_{name}"
        self.values[name] = np.ascontiguousarray(value)
        return self._buffer(name, value.shape, dtype, Role.FROZEN, path=name)

    def _buffer(self, name: str, shape: Shape, dtype: str, role: Role, path: str = "") -> View:
        self.buffers[name] = Buffer(name, shape, dtype, role, Source(ENTRY), path)
        return View.whole(self.buffers[name])


def _reshaped(view: View, shape: Shape) -> View:
    found = view.reshape(shape)
    assert found is not None, "whole buffers have any shape"
    return found


def _check(spec: MfccSpec) -> None:
    """What the kernel relies on."""
    size, window = spec.fft_size, spec.window_samples
    if size < 32 or size & (size - 1) or not 1 <= window <= size:
        raise BadOption(
            f"an FFT of {size} points for a window of {window} samples",
            found="the kernel computes powers of two from 32 on that hold the window",
            hint=f"MfccSpec(fft_size={max(32, 1 << (window - 1).bit_length())})",
        )
    if window > spec.clip_samples or spec.hop_samples < 1:
        raise BadOption(
            f"windows of {window} samples every {spec.hop_samples} in clips of {spec.clip_samples}",
            hint="a window within a clip, and a hop of at least one sample",
        )
    if spec.mel_high_hz > spec.sample_rate_hz / 2:
        raise BadOption(
            f"mel bands up to {spec.mel_high_hz:g} Hz at {spec.sample_rate_hz} samples/s",
            hint=f"MfccSpec(mel_high_hz={spec.sample_rate_hz / 2:g})",
        )
    if not spec.log_floor >= np.finfo(np.float32).tiny:
        raise BadOption(
            f"log_floor={spec.log_floor:g} is too small", hint="MfccSpec(log_floor=1e-6)"
        )
