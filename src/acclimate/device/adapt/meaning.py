# SPDX-License-Identifier: Apache-2.0
"""What adapt.c does, step by step, in Python: the same pieces in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from acclimate.device.adapt.plan import F32, S16, Did, Model, Outcome, Phase, Plan, Slots
from acclimate.device.batch.meaning import Batch, Draw
from acclimate.device.guard.meaning import NEW, OLD, Guard, Verdict
from acclimate.device.mix.meaning import mixed_s16
from acclimate.device.noise.meaning import Recorder
from acclimate.device.noise.meaning import Status as NoiseStatus
from acclimate.device.random.meaning import Random
from acclimate.device.scores.meaning import cross_entropy


@dataclass
class Session:
    """One session of adaptation.

    Attributes:
        model: changes while it learns.
        store: holds the model before the session, or nothing.
        stored: label and samples of every utterance; None for one that cannot be read.
        microphone: the next frame, or None if there is none yet.
        plan: how it goes.
        ring_frames: of noise.
        samples: of an utterance.
        classes: of the model.
        balanced: classes take turns.
    """

    model: Model
    store: Slots
    stored: Sequence[tuple[int, S16] | None]
    microphone: Callable[[], S16 | None]
    plan: Plan
    ring_frames: int
    samples: int
    classes: int
    balanced: bool = False
    now: int = 0
    phase: Phase = Phase.RECORDING
    outcome: Outcome = Outcome.UNDER_WAY
    noise_status: NoiseStatus = NoiseStatus.OK
    next: Did = Did.NOTHING
    heard: int = 0
    drawn: int = 0
    trained: int = 0
    skipped: int = 0
    disturbed: int = 0
    ticks: int = 0
    energy_nj: int = 0

    def __post_init__(self) -> None:
        plan = self.plan
        self.guard = Guard(plan.limits, self.now)
        self.recorder = Recorder(plan.noise, self.ring_frames)
        self.noise: S16 = np.zeros(0, np.int16)
        self.draws = len(self.stored) - plan.held_out
        self.ending = Outcome.UNDER_WAY
        self.draw, self.shift, self.crop, self.snr_db = Draw(0, False), 0, 0, 0.0
        self.label, self.saved, self.erased, self.pending_nj = 0, 0, 0, 0
        self.pcm: S16 = np.zeros(0, np.int16)
        self.x: F32 = np.zeros(0, np.float32)

    # ---- phases

    def step(self, now: int = 0, energy_nj: int = 0) -> Did:
        """The next piece of work."""
        if self.phase == Phase.IDLE:
            return Did.NOTHING
        self.ticks += (now - self.now) % 2**32
        self.now = now
        self.energy_nj += energy_nj
        self.pending_nj = min(self.pending_nj + energy_nj, 2**32 - 1)
        if self._spend():
            return Did.SPENT
        if self.phase == Phase.RECORDING:
            return self._record()
        if self.phase in (Phase.KEEPING, Phase.SAVING):
            return self._write()
        if self.phase == Phase.ROLLING_BACK:
            self.model.load(self.store.content or b"")
            return self._end(self.ending, Did.LOADED)
        return self._work()

    def disturb(self) -> None:
        """The samples were overwritten."""
        if self.phase != Phase.IDLE and self.next in (Did.MIXED, Did.FEATURED):
            self.next = Did.READ
            self.disturbed += 1

    def stop(self) -> None:
        """Ends the session early."""
        if self.phase in (Phase.IDLE, Phase.ROLLING_BACK):
            return
        if self.trained:
            self._roll_back(Outcome.STOPPED)
        else:
            self._end(Outcome.STOPPED, Did.NOTHING)

    def _spent(self, times: int) -> bool:
        limits = self.plan.limits
        pairs = ((self.ticks, limits.ticks), (self.energy_nj, limits.energy_nj))
        return any(limit and used // times >= limit for used, limit in pairs)

    def _spend(self) -> bool:
        if self.phase < Phase.LEARNING and self._spent(1):
            self._end(Outcome.OUT_OF_BUDGET, Did.SPENT)
        elif self.phase == Phase.LEARNING and self._spent(1):
            self._learned()
        elif self.phase == Phase.SCORING_NEW and self._spent(2):
            self._roll_back(Outcome.OUT_OF_BUDGET)
        else:
            return False
        return True

    def _end(self, outcome: Outcome, did: Did) -> Did:
        self.phase, self.outcome, self.next = Phase.IDLE, outcome, Did.NOTHING
        return did

    def _roll_back(self, outcome: Outcome) -> None:
        self.phase, self.next, self.ending = Phase.ROLLING_BACK, Did.LOADED, outcome

    def _enter(self, phase: Phase) -> None:
        self.phase, self.drawn, self.saved, self.erased = phase, 0, 0, 0
        self.next = Did.NOTHING
        if phase in (Phase.SCORING_OLD, Phase.LEARNING, Phase.SCORING_NEW):
            self._choose()

    def _record(self) -> Did:
        if self.heard < self.plan.heard_frames and len(self.recorder.frames) < self.ring_frames:
            frame = self.microphone()
            if frame is None:
                return Did.WAITED
            self.heard += 1
            self.recorder.push(frame)
            return Did.HEARD
        self.noise_status = self.recorder.finish()
        self.noise = np.concatenate([self.noise, *self.recorder.frames])
        short = len(self.noise) < self.plan.held_out_noise + self.samples
        if self.noise_status == NoiseStatus.OK and short:
            self.noise_status = NoiseStatus.TOO_SHORT
        if self.noise_status != NoiseStatus.OK:
            return self._end(Outcome.NOISE_REFUSED, Did.JUDGED)
        self._enter(Phase.KEEPING if self.store.content is None else Phase.SCORING_OLD)
        return Did.JUDGED

    # ---- which utterance, in which noise

    def _wanted(self) -> int:
        plan = self.plan
        if self.phase == Phase.LEARNING:
            return self.draws * plan.epochs
        return plan.held_out * (2 if plan.score_clean else 1)

    def _choose(self) -> None:
        plan, self.next = self.plan, Did.READ
        end = len(self.noise) - self.samples + 1
        if self.phase == Phase.LEARNING:
            draw, random, first = self.batch.next(), self.random, 0
            end -= plan.held_out_noise
            self.draw = Draw(draw.utterance + plan.held_out, draw.clean)
            self.shift = random.between(-plan.shift, plan.shift)
        else:
            clean = self.drawn >= plan.held_out
            self.draw = Draw(self.drawn % plan.held_out, clean)
            random, self.shift = Random(plan.seed, 1 + self.draw.utterance), 0
            first = len(self.noise) - plan.held_out_noise if plan.held_out_noise else 0
        self.crop = first + random.below(end - first)
        low, high = np.float32(plan.snr_low_db), np.float32(plan.snr_high_db)
        self.snr_db = float(low + (high - low) * np.float32(random.unit()))

    def _begin_learning(self) -> None:
        plan = self.plan
        labels = [pair[0] if pair else 0 for pair in self.stored[plan.held_out :]]
        balanced = labels if self.balanced else None
        self.batch = Batch(self.draws, plan.clean_share, plan.seed, balanced)
        self.random = Random(plan.seed, 0)
        self._enter(Phase.LEARNING)

    def _learned(self) -> None:
        if not self.trained:
            self._end(Outcome.OUT_OF_BUDGET, Did.NOTHING)
        elif self.guard.weights(np.frombuffer(self.model.save(), np.float32)) == Verdict.ROLL_BACK:
            self._roll_back(Outcome.ROLLED_BACK)
        else:
            self._enter(Phase.SCORING_NEW)

    def _advance(self) -> None:
        self.drawn += 1
        if self.drawn < self._wanted():
            self._choose()
        elif self.phase == Phase.SCORING_OLD:
            self._begin_learning()
        elif self.phase == Phase.LEARNING:
            self._learned()
        else:
            self.next = Did.DECIDED

    # ---- one utterance, piece by piece

    def _skip(self) -> Did:
        self.skipped += 1
        self._advance()
        return Did.SKIPPED

    def _work(self) -> Did:
        pieces: dict[Did, Callable[[], Did]] = {
            Did.READ: self._read,
            Did.MIXED: self._mix,
            Did.FEATURED: self._featurize,
            Did.TRAINED: self._train,
            Did.SCORED: self._score,
            Did.DECIDED: self._decide,
        }
        return pieces[self.next]()

    def _read(self) -> Did:
        found = self.stored[self.draw.utterance]
        if found is None or len(found[1]) > self.samples or found[0] >= self.classes:
            return self._skip()
        self.label, sound = found
        self.pcm = np.pad(sound, (0, self.samples - len(sound)))
        self.next = Did.FEATURED if self.draw.clean else Did.MIXED
        return Did.READ

    def _mix(self) -> Did:
        speech = self.pcm * 0 if self.label == self.plan.silence else self.pcm
        self.pcm, _ = mixed_s16(speech, self.noise, self.shift, self.crop, self.snr_db)
        self.next = Did.FEATURED
        return Did.MIXED

    def _featurize(self) -> Did:
        x = self.model.features(self.pcm)
        if x is None:
            return self._skip()
        self.x = x
        self.next = Did.TRAINED if self.phase == Phase.LEARNING else Did.SCORED
        return Did.FEATURED

    def _train(self) -> Did:
        left = np.float32(1) - np.float32(self.drawn) / np.float32(self._wanted())
        loss = self.model.train(self.x, self.label, float(np.float32(self.plan.lr) * left))
        verdict = self.guard.step(loss, self.now, self.pending_nj)
        self.pending_nj = 0
        self.trained += 1
        if verdict == Verdict.ROLL_BACK:
            self._roll_back(Outcome.ROLLED_BACK)
        elif verdict == Verdict.STOP:
            self._learned()
        else:
            self._advance()
        return Did.TRAINED

    def _score(self) -> Did:
        scores = self.model.predict(self.x)
        if scores is None:
            return self._skip()
        loss = cross_entropy(scores, self.label) if np.isfinite(scores).all() else 0.0
        whose = OLD if self.phase == Phase.SCORING_OLD else NEW
        self.guard.answer(whose, scores, self.label, loss)
        self._advance()
        return Did.SCORED

    def _decide(self) -> Did:
        if self.guard.decide() == Verdict.KEEP:
            self._enter(Phase.SAVING)
        else:
            self._roll_back(Outcome.ROLLED_BACK)
        return Did.DECIDED

    # ---- the store, in pieces

    def _write(self) -> Did:
        content = self.model.save()
        if self.next in (Did.NOTHING, Did.ERASED):
            self.erased += 1
            self.next = Did.ERASED if self.erased < self.store.sectors else Did.WROTE
            return Did.ERASED
        if self.next == Did.WROTE:
            self.saved += self.plan.piece_bytes or len(content)
            self.next = Did.WROTE if self.saved < len(content) else Did.COMMITTED
            return Did.WROTE
        self.store.save(content)
        if self.phase == Phase.KEEPING:
            self._enter(Phase.SCORING_OLD)
            return Did.COMMITTED
        return self._end(Outcome.ADAPTED, Did.COMMITTED)
