# SPDX-License-Identifier: Apache-2.0
"""The page on device modules is true: its C is one program that learns, its sizes are measured."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.device import MODULES, find_modules
from acclimate.device.sizes import struct_bytes
from acclimate.errors import MissingTool
from acclimate.simulate.compiler import compile_shared
from test_device_modules import structs
from test_docs import DOCS, code_blocks

PAGE = DOCS / "device.md"
FEATURES = """
static void features(float *x, const int16_t *pcm) {
    for (int i = 0; i < KWS_X_SIZE; i++) {
        int32_t sum = 0;
        for (int t = i; t < 512; t += KWS_X_SIZE)
            sum += pcm[t] < 0 ? -pcm[t] : pcm[t];
        x[i] = (float)sum / 65536.0f;
    }
}
"""
MAIN = """
int run(const int16_t *microphone, const int16_t *words, float *scores);
int run(const int16_t *microphone, const int16_t *words, float *scores) {
    static float x[KWS_X_SIZE], old[3];
    ac_store_open(&store, &model_flash, 1);
    for (uint32_t at = 0; at < 16384; at += 4096)
        ac_flash_ram_erase(memory[0], at, 4096);
    if (boot() != AC_STORE_EMPTY || record(microphone, 80) != AC_NOISE_OK)
        return 1;
    ac_utterances_open(&log_of_words, &sound_flash, index_of_log, STORED);
    ac_utterances_clear(&log_of_words);
    for (int i = 0; i < STORED; i++)
        if (store_word((uint8_t)(i % 3), words + T * i) != AC_UTTERANCES_OK)
            return 2;
    if (keep() != AC_STORE_OK)
        return 3;
    features(x, words);
    kws_predict(old, x);
    if (adapt(7) != AC_GUARD_STOP || guard.reason != AC_GUARD_STEPS_SPENT)
        return 4;
    kws_predict(scores, x);
    if (scores[0] == old[0] || boot() != AC_STORE_OK)
        return 5;
    kws_predict(scores, x);
    return scores[0] == old[0] ? 0 : 6;
}
"""


def test_the_c_of_the_page_is_one_program_that_learns() -> None:
    torch.manual_seed(0)
    example = (torch.randn(1, 16), torch.tensor([0]))
    model = nn.Linear(16, 3)
    firmware = ac.compile(model, example=example, name="kws", entries=("predict", "train"))
    names = [module.name for module in MODULES]
    files = firmware.sources(modules=names)
    includes = ["#include <stddef.h>", '#include "kws.h"']
    includes += [f'#include "device/{name}/{name}.h"' for name in names]
    parts = ["\n".join(includes), FEATURES, *code_blocks(PAGE, "c"), MAIN]
    files["page.c"] = "\n".join(parts).encode()
    built = ctypes.CDLL(str(compile_shared(files, ("-O1",))))
    rng = np.random.default_rng(0)
    microphone = (300 * rng.standard_normal(80 * 64)).astype(np.int16)
    words = (3000 * rng.standard_normal(12 * 512)).astype(np.int16)
    scores = np.zeros(3, np.float32)
    passed = [ctypes.c_void_p(array.ctypes.data) for array in (microphone, words, scores)]
    assert built.run(*passed) == 0


def test_the_python_of_the_page_runs() -> None:
    export, example = code_blocks(PAGE, "python")
    for name in re.findall(r'"(\w+)"[,\]]', export):
        assert name in {module.name for module in MODULES}
    names: dict[str, object] = {}
    exec(example, names)
    assert names["status"] == 0
    np.testing.assert_allclose(names["out"], 1 + 10**-0.3, rtol=1e-5)  # type: ignore[arg-type]


def table() -> dict[str, int]:
    """State of every module [B], as the page says."""
    rows = re.findall(r"^\| \[(\w+)\]\(.*\| (\d+)[^|]*\|$", PAGE.read_text(), re.M)
    return {name: int(state) for name, state in rows}


def test_sizes_of_states_are_those_of_a_processor_with_32_bits() -> None:
    names = {m.name: f"ac_{m.name}" for m in MODULES} | {"codec": "ac_codec_adpcm"}
    found = {module: name for module, name in names.items() if name in structs()}
    sizes, stated = struct_bytes(MODULES, found.values()), table()
    assert stated.keys() == {module.name for module in MODULES}
    assert sizes == {name: stated[module] for module, name in found.items()}


def test_sizes_of_structs_need_their_module() -> None:
    assert struct_bytes(find_modules(["rce"]), ["ac_rce_neuron"]) == {"ac_rce_neuron": 12}
    with pytest.raises(MissingTool, match="ac_slda"):
        struct_bytes(find_modules(["rce"]), ["ac_slda"])
