# SPDX-License-Identifier: Apache-2.0
"""The exported firmware: it hears, stores, adapts, saves and boots, and misses no window."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import acclimate as ac
from acclimate.cli.app import app
from acclimate.data import Mfcc, MfccSpec
from acclimate.device.adapt.plan import Did, Outcome, Phase
from acclimate.emit import KITS
from acclimate.errors import BadOption
from acclimate.learn.session import CLASSIFIED, FirmwareDevice
from acclimate.learn.timeline import Costs, SimulatedTime, Timeline
from acclimate.simulate.compiler import WARNINGS, zig_cc

# 32 ms of sound in frames of 4 ms every 2 ms.
SPEC = MfccSpec(
    clip_samples=512, window_ms=4, hop_ms=2, fft_size=64, mel_bins=8, mel_low_hz=200.0,
    coefficients=4,
)  # fmt: skip
HOP = 128
# The most cycles of every turn on gap9 at 240 MHz: `python benchmarks/adaptation.py`.
COSTS = Costs(
    {
        CLASSIFIED: 1_030_040, Did.HEARD: 28_663, Did.JUDGED: 809_881, Did.READ: 122_834,
        Did.MIXED: 205_920, Did.FEATURED: 340_582, Did.TRAINED: 220_518, Did.SCORED: 212_827,
        Did.DECIDED: 729, Did.ERASED: 15_419, Did.WROTE: 181_647, Did.COMMITTED: 148_421,
    },
    240e6, 40.6, 45.0,
)  # fmt: skip


@cache
def firmware(target: str = "host") -> ac.Firmware:
    """A linear classifier of MFCC."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SPEC.frames * 4, 4))
    example = (torch.zeros(1, 1, SPEC.frames, 4), torch.zeros(1, dtype=torch.long))
    cores = 1 if target != "gap9" else None
    return ac.compile(
        model, example=example, name="kws", features=Mfcc(SPEC), target=target, cores=cores,
        entries=("predict", "train"),
    )  # fmt: skip


def tones(count: int) -> list[tuple[int, np.ndarray]]:
    """Labelled tones of four heights."""
    rng = np.random.default_rng(1)
    time = np.arange(SPEC.clip_samples) / 16000
    found = []
    for i in range(count):
        height = 500.0 * 2 ** (i % 4)
        tone = 6000 * np.sin(2 * np.pi * height * time + rng.uniform(0, 6))
        found.append((i % 4, (tone + 300 * rng.standard_normal(len(time))).astype(np.int16)))
    return found


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (400 * np.random.default_rng(seed).standard_normal(int(16000 * seconds))).astype(
        np.int16
    )


def filled(device: str | None = None, target: str = "host", words: int = 16) -> FirmwareDevice:
    made = FirmwareDevice(firmware(target), device, words)
    assert made.boot_status == 1
    for label, pcm in tones(words):
        assert made.store(label, pcm) == 0
    return made


def settings_for(made: FirmwareDevice, **changes: float) -> object:
    settings = made.defaults()
    settings.noise.crossings_low, settings.noise.shortest = 0, 20
    settings.lr, settings.epochs = 0.002, 3
    for name, value in changes.items():
        setattr(settings, name, value)
    return settings


def run(made: FirmwareDevice, costs: Costs, **changes: float) -> Timeline:
    return SimulatedTime(made, noise(5.0), costs, HOP, 16).session(settings_for(made, **changes))


def test_a_session_adapts_in_simulated_time_and_misses_no_window() -> None:
    made = filled()
    before = made.learned
    # Windows of 32 ms every 8 ms: 31 times as often as of a keyword spotter, so time goes slower.
    costs = replace(COSTS, clock_hz=240e6 * 31, erase_ms=COSTS.erase_ms / 31)
    found = run(made, costs)
    report = found.report
    assert report is not None and report.outcome == Outcome.ADAPTED
    assert report.trained == 3 * 12 and report.right_new >= report.right_old
    assert (report.missed, found.late) == (0, 0)
    assert report.windows == found.turns[CLASSIFIED] > 10
    # All windows but those that are not over yet, or wait.
    assert report.windows >= (16000 * found.seconds - 512) // HOP - 1
    order = [phase for phase, _ in found.phases]
    assert order == [
        Phase.RECORDING, Phase.KEEPING, Phase.SCORING_OLD, Phase.LEARNING, Phase.SCORING_NEW,
        Phase.SAVING, Phase.IDLE,
    ]  # fmt: skip
    assert found.longest_ms == pytest.approx(1000 * costs.of(Did.ERASED) / costs.clock_hz)
    assert made.learned != before
    made.device.reset()
    assert made.learned == before and made.boot() == 0
    assert made.learned != before


@pytest.mark.parametrize(("clock_mhz", "keeps_up"), [(240, True), (40, True), (2, False)])
def test_windows_are_missed_only_where_the_clock_is_too_slow(
    clock_mhz: float, keeps_up: bool
) -> None:
    made = filled()
    # One second windows every 250 ms on this small model: costs fall as the window does.
    scale = SPEC.clip_samples / 16000
    cycles = {did: round(scale * cost) for did, cost in COSTS.cycles.items()}
    costs = replace(COSTS, cycles=cycles, clock_hz=clock_mhz * 1e6, erase_ms=COSTS.erase_ms * scale)
    settings = settings_for(made)
    settings.limits.ticks = 2_000_000  # type: ignore[attr-defined]  # microseconds
    found = SimulatedTime(made, noise(5.0), costs, HOP, 16).session(settings)
    assert found.report is not None
    if keeps_up:
        assert (found.report.missed, found.late) == (0, 0)
        assert found.report.outcome == Outcome.ADAPTED
    else:
        assert found.report.missed > 100
        assert found.report.outcome != Outcome.ADAPTED


def history(made: FirmwareDevice, frames: int) -> tuple[list[int], bytes]:
    """What the turns of a session did, and what came of it."""
    settings = settings_for(made, heard_frames=frames, epochs=1, held_out_noise=0, held_out=4)
    settings.noise.shortest = 4  # type: ignore[attr-defined]
    sound, at, done = noise(1.0), 0, []
    assert made.adapt(settings) == Did.NOTHING
    while made.report().phase != Phase.IDLE:
        if made.report().phase == Phase.RECORDING and at < frames:
            made.hear(sound[at * 16 : at * 16 + 16])
            at += 1
        done.append(made.turn(len(done)))
    return done, made.learned


@pytest.mark.parametrize(
    ("device", "target"),
    [
        ("cortex-m4", "host"),
        ("cortex-m0plus", "host"),
        ("cluster", "gap9"),
    ],
)
def test_a_session_on_a_microcontroller_is_that_on_this_machine(device: str, target: str) -> None:
    """Codec, log, mixing, features, learning, guard and store: the same C everywhere."""
    here, there = filled("host", target, words=6), filled(device, target, words=6)
    done, learned = history(here, 60)
    assert Did.MIXED in done and Did.TRAINED in done and done[-1] in (Did.COMMITTED, Did.LOADED)
    found, result = history(there, 60)
    assert found == done
    # Sums of floats are joined differently, by a rounding each.
    np.testing.assert_allclose(
        np.frombuffer(result, np.float32), np.frombuffer(learned, np.float32), rtol=1e-4, atol=1e-5
    )
    assert replace(there.report()) == here.report()
    at, size = here._at["sound memory"], here.sound_flash.size
    assert bytes(here._memory[at : at + size]) == bytes(there._memory[at : at + size]), "ADPCM"


def test_a_model_without_features_gets_modules_but_no_firmware() -> None:
    example = (torch.zeros(1, 6), torch.zeros(1, dtype=torch.long))
    plain = ac.compile(nn.Linear(6, 3), example=example, name="net")
    files = plain.sources(modules=["adapt", "listen"])
    assert "device/adapt/adapt.c" in files and "net_firmware.c" not in files
    with pytest.raises(BadOption, match="cannot get a firmware"):
        FirmwareDevice(plain)


@pytest.mark.parametrize("kit", KITS)
def test_the_firmware_builds_without_warnings_in_every_kit(kit: str, tmp_path: Path) -> None:
    target = "gap9" if kit == "pulp-sdk" else "host"
    folder = firmware(target).export(tmp_path / "c", kit=kit, modules=["adapt", "listen"])
    root = folder / "src" if kit == "arduino" else folder
    zig_cc((*WARNINGS, "-I.", "-c", "kws_firmware.c", "-o", "f.o"), root)
    if kit == "cmake":
        sources = [str(p.relative_to(root)) for p in root.rglob("*.c") if p != root / "main.c"]
        zig_cc((*WARNINGS, "-I.", *sources, "-lm", "-o", "a.out"), root)


def test_the_command_line_exports_a_firmware(tmp_path: Path) -> None:
    path = tmp_path / "words.py"
    path.write_text(
        "import torch\nfrom torch import nn\nfrom acclimate.data import Mfcc\n"
        "def make():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(490, 12))\n"
        "    example = torch.zeros(1, 1, 49, 10), torch.zeros(1, dtype=torch.long)\n"
        "    return model, example, {'features': Mfcc()}\n"
    )
    out = tmp_path / "c"
    arguments = ["compile", f"{path}:make", "--out", str(out), "--modules", "adapt,listen"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (out / "words_firmware.c").exists() and (out / "firmware" / "main.c").exists()
    wrong = CliRunner().invoke(app, [*arguments[:-1], "adopt"])
    assert wrong.exit_code != 0
