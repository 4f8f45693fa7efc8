# SPDX-License-Identifier: Apache-2.0
"""Images for bare processors: building, symbols, and the C line of every instruction."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from acclimate.cache import cache_folder
from acclimate.errors import MissingTool
from acclimate.simulate.bare import Image, Toolchain, build_image

SCRIPT = """ENTRY(ac_step)
SECTIONS {
    . = 0x08000000;
    .text : { *(.text .text.*) }
    .rodata : { *(.rodata .rodata.*) }
    . = 0x20000000;
    .data : { *(.data .data.*) }
    .bss (NOLOAD) : { *(.bss .bss.*) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .eh_frame*) }
}
"""
TOOLCHAINS = {
    "arm": Toolchain(
        "arm",
        ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp"),
        SCRIPT,
    ),
    "riscv": Toolchain(
        "riscv",
        ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+f+c", "-mabi=ilp32f"),
        SCRIPT,
    ),
}
HEADER = b"""#include <stdint.h>
static inline float twice(float x) {
    return x + x;
}
static inline float far(float x) {
    return twice(x) * twice(x + 1.0f);
}
float ac_dot(const float *a, const float *b, int32_t n);
void ac_step(float *y, const float *a, const float *b, int32_t n);
"""
STEP = b"""#include "ops.h"
#include <math.h>
extern float ac_table[4];
float ac_table[4] = {1.0f, 2.0f, 3.0f, 4.0f};
float ac_sums[100];
extern float ac_sums[100];

void ac_step(float *y, const float *a, const float *b, int32_t n) {
    y[0] = ac_dot(a, b, n);
    y[1] = far(a[0]) + expf(b[0]);
    for (int32_t i = 0; i < n; i++) {
        ac_sums[i] += far(b[i]);
    }
    y[2] = ac_dot(b, b, n) + ac_table[n & 3];
}
"""
DOT = b"""#include "ops.h"
float ac_dot(const float *a, const float *b, int32_t n) {
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}
"""
FILES = {"step.c": STEP, "dot.c": DOT, "ops.h": HEADER, "main.c": b"#error not built"}


@pytest.fixture(scope="module", params=TOOLCHAINS)
def image(request: pytest.FixtureRequest) -> Image:
    return Image(build_image(FILES, TOOLCHAINS[request.param]))


def span(image: Image, function: str) -> tuple[int, int]:
    start = image.symbol(function) & ~1
    return start, start + image.size(function)


def test_symbols_have_addresses_and_sizes(image: Image) -> None:
    assert image.symbol("ac_table") == 0x2000_0000
    assert image.size("ac_table") == 16
    assert image.size("ac_sums") == 400
    assert "ac_dot" in image
    assert "twice" not in image


def test_missing_symbol_suggests_a_name(image: Image) -> None:
    with pytest.raises(MissingTool, match=r"no symbol 'ac_stop'\n\nhint: .*'ac_step'"):
        image.symbol("ac_stop")


def test_segments_hold_code_data_and_zeros(image: Image) -> None:
    ends = {s.address: s for s in image.segments}
    data = ends[0x2000_0000]
    assert data.data[:16].hex() == "0000803f000000400000404000008040"
    assert data.size_bytes >= 416 > len(data.data)


def test_functions_and_lines_of_addresses(image: Image) -> None:
    start, end = span(image, "ac_dot")
    lines = set()
    for pc in range(start, end, 2):
        assert image.function(pc) == "ac_dot"
        line = image.line(pc)
        assert line is not None and re.fullmatch(r"dot\.c:[2-7]", line), line
        lines.add(line)
    assert "dot.c:5" in lines
    assert re.fullmatch(r"dot\.c:\d in ac_dot", image.where(start))
    assert image.line(0x1000) is None
    assert image.where(0x1000) == "0x00001000"


def test_call_table_covers_the_function(image: Image) -> None:
    table = image.call_table("ac_step")
    start, end = span(image, "ac_step")
    assert table[0][0] == start
    assert table[-1][1] == end
    assert all(one[1] == two[0] and one[2] != two[2] for one, two in pairwise(table))


def test_inlined_code_counts_for_the_line_of_its_call(image: Image) -> None:
    """`far` and `twice` stand in ops.h; no line of theirs appears."""
    lines = {line for _, _, line in image.call_table("ac_step")}
    assert {9, 10, 12, 14} <= lines
    assert lines <= set(range(8, 16))
    inner = [line for pc in range(*span(image, "ac_step"), 2) if (line := image.line(pc))]
    assert any(line.startswith("ops.h:") for line in inner)


def test_calls_end_in_their_own_line(image: Image) -> None:
    """The two calls of ac_dot: code before each belongs to lines 9 and 14."""
    lines = [line for _, _, line in image.call_table("ac_step")]
    assert lines.index(9) < lines.index(10) < lines.index(12) < lines.index(14)


def test_image_holds_no_path_of_this_machine(image: Image) -> None:
    content = image.path.read_bytes()
    for name in (b"step.c", b"dot.c", b"ops.h"):
        assert not re.search(rb"/[\w./-]+/" + re.escape(name), content)


def test_programs_share_objects() -> None:
    build_image(FILES, TOOLCHAINS["arm"])
    before = set(cache_folder("objects").iterdir())
    changed = STEP.replace(b"y[2] =", b"y[2] = 2.0f *")
    build_image({**FILES, "step.c": changed}, TOOLCHAINS["arm"])
    assert len(set(cache_folder("objects").iterdir()) - before) <= 1
    build_image({**FILES, "ops.h": HEADER + b"/* other */\n"}, TOOLCHAINS["arm"])
    assert len(set(cache_folder("objects").iterdir()) - before) <= 3


def test_flags_make_another_image() -> None:
    fast, small = (build_image(FILES, TOOLCHAINS["arm"], extra) for extra in ((), ("-Os",)))
    assert fast != small


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"void f(void) { g(); }\n", "step.c:1"),
        (b"void f(int a);\nvoid f(int a) { float b = a; (void)b; }\n", "conversion"),
        (b"void g(void);\nvoid f(void);\nvoid f(void) { g(); }\n", "undefined symbol: g"),
    ],
)
def test_errors_of_the_compiler_are_shown(source: bytes, words: str) -> None:
    with pytest.raises(MissingTool, match=re.escape(words)):
        build_image({"step.c": source}, TOOLCHAINS["arm"])


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import test_bare_image as t
files = dict(t.FILES, **{{"extra.c": b"int ac_extra; extern int ac_extra;\\n"}})
print(t.build_image(files, t.TOOLCHAINS["arm"]))
"""


def test_processes_build_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler's own cache is shared: what it makes for a processor takes seconds.
    (tmp_path / "zig").symlink_to(cache_folder("zig"))
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    command = [sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len(set(outputs)) == 1
    assert len(list((tmp_path / "bare").iterdir())) == 1
    assert not list(tmp_path.glob("*/.*"))
