# SPDX-License-Identifier: Apache-2.0
"""Data of the learning loop: keyword speech, noises of places, mixing, features."""

from acclimate.data.clips import CLASSES, Clip, Clips, speaker_fold
from acclimate.data.features import FrontEnd, MfccSpec, Normalisation, mfcc
from acclimate.data.front_end import Mfcc
from acclimate.data.mixing import MixSpec, mix_clips
from acclimate.data.noise import NoiseRecording, Place
from acclimate.data.source import HELD_OUT_PLACES, SpeechSource, keyword_speech

__all__ = [
    "CLASSES",
    "HELD_OUT_PLACES",
    "Clip",
    "Clips",
    "FrontEnd",
    "Mfcc",
    "MfccSpec",
    "MixSpec",
    "NoiseRecording",
    "Normalisation",
    "Place",
    "SpeechSource",
    "keyword_speech",
    "mfcc",
    "mix_clips",
    "speaker_fold",
]
