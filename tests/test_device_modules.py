# SPDX-License-Identifier: Apache-2.0
"""What holds for every device module: its C, its header as Python reads it, and its export."""

from __future__ import annotations

import ctypes
import importlib
import re
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.device import MODULES, Module, module_files
from acclimate.device.flash.meaning import Flash
from acclimate.device.header import Header, parse_header
from acclimate.device.library import Library
from acclimate.emit import KITS
from acclimate.errors import BadOption
from acclimate.simulate.compiler import WARNINGS, compile_shared, write_files, zig_cc
from device_sandbox import UNDEFINED, Sandbox, fast_library, flash_struct, names_of

EVERY_MODULE = pytest.mark.parametrize("module", MODULES, ids=names_of(MODULES))
BARE = {
    "rv32": ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+f", "-mabi=ilp32"),
    "thumb": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    "thumb-m0": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0"),
}
INCLUDE = Path(ac.__file__).parent / "simulate" / "bare" / "include"


@pytest.mark.parametrize("processor", BARE)
def test_modules_build_for_bare_processors(processor: str, tmp_path: Path) -> None:
    """Each C file by itself and without warnings."""
    files = module_files(MODULES)
    write_files(files, tmp_path)
    flags = (*BARE[processor], "-fhosted", "-isystem", str(INCLUDE), *WARNINGS, "-O2", "-c")
    zig_cc((*flags, *(name for name in files if name.endswith(".c"))), tmp_path)


@EVERY_MODULE
def test_modules_need_no_library_no_heap_and_no_endless_loop(module: Module) -> None:
    """Headers of C that they may include have no function but memcpy, memset and their like."""
    text = b"".join(module.files().values()).decode()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    allowed = {"stddef.h", "stdint.h", "string.h", "float.h"}
    assert set(re.findall(r"#include <(.+)>", text)) <= allowed
    assert not re.search(r"\b(malloc|free|while \(1\)|for \(;;\))", text)
    needed = {need.name for need in module.needs}
    assert set(re.findall(r'#include "\.\./(\w+)/', text)) == needed


@EVERY_MODULE
def test_no_module_has_variables_of_its_own(module: Module) -> None:
    """All state lies in structs of the caller; tables are const."""
    source = (module.folder / f"{module.name}.c").read_text()
    assert not re.search(r"^\s*static (?!const )\w[\w ]*\b\w+(\[\w*\])? *[=;]", source, re.M)


def test_structs_have_the_layout_of_c() -> None:
    """C itself compares sizes and offsets: a wrong one is an array of negative size."""
    lines = ["#include <stddef.h>"]
    lines += [f'#include "device/{m.name}/{m.name}.h"' for m in MODULES]
    for name, struct in structs().items():
        checks = [f"sizeof({name}) == {ctypes.sizeof(struct)}"]
        for field, *_ in struct._fields_:
            checks.append(f"offsetof({name}, {field}) == {getattr(struct, field).offset}")
            checks.append(f"sizeof((({name} *)0)->{field}) == {getattr(struct, field).size}")
        lines += [f"typedef char {name}_{i}[({c}) ? 1 : -1];" for i, c in enumerate(checks)]
    lines.append("int nothing(void);\nint nothing(void) { return 0; }\n")
    compile_shared(module_files(MODULES) | {"layout.c": "\n".join(lines).encode()})


def structs() -> dict[str, Any]:
    return {
        name: kind
        for name, kind in fast_library().header.types.items()
        if issubclass(kind, ctypes.Structure)
    }


@EVERY_MODULE
def test_codes_of_the_meaning_are_those_of_the_header(module: Module) -> None:
    meaning = importlib.import_module(f"acclimate.device.{module.name}.meaning")
    for name, enum in vars(meaning).items():
        of_module = getattr(enum, "__module__", "").startswith(f"acclimate.device.{module.name}.")
        if of_module and isinstance(enum, type) and issubclass(enum, IntEnum):
            for member in enum:
                symbol = f"AC_{module.name.upper()}_{member.name}"
                assert module.header.constants[symbol] == member, f"{name}: {symbol}"


@EVERY_MODULE
def test_missing_pointers_are_a_bad_call(module: Module) -> None:
    """Of functions with a status; `flash` serves modules that have checked."""
    sandbox = Sandbox()
    for name, function in module.header.functions.items():
        if function.result is not ctypes.c_int or name.startswith(("ac_flash", "ac_random")):
            continue
        nothing = [None if a.target else a.type() for a in function.arguments]
        assert getattr(sandbox.c, name)(*nothing) < 0, name


def test_headers_are_usable_from_cpp(tmp_path: Path) -> None:
    write_files(module_files(MODULES), tmp_path)
    lines = [f'#include "device/{m.name}/{m.name}.h"\n' for m in MODULES]
    (tmp_path / "use.cpp").write_text("".join(lines))
    zig_cc(("-x", "c++", "-c", "-Wall", "-Werror", "use.cpp", "-o", "use.o"), tmp_path)


@pytest.mark.parametrize(
    "text",
    ["long ac_f(void);", "int ac_f(struct other *x);", "union { int a; } b;", "int ac_f(void)"],
)
def test_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse_header(text, Header())


def test_reader_knows_the_declarations_of_a_header() -> None:
    text = """
    #define AC_X_SIZE 3
    enum { AC_X_OK = 0, AC_X_BAD = -2 };
    typedef int (*ac_ask)(void *user, uint16_t n);
    typedef struct { /* why */ ac_ask ask; const float *w; int8_t q[AC_X_SIZE]; } ac_x;
    int ac_run(ac_x *x, const int16_t *data, float a);
    """
    header = parse_header(text, Header())
    assert header.constants == {"AC_X_SIZE": 3, "AC_X_OK": 0, "AC_X_BAD": -2}
    x = header.types["ac_x"]
    assert [name for name, _ in x._fields_] == ["ask", "w", "q"] and ctypes.sizeof(x) == 24
    assert [a.target for a in header.functions["ac_run"].arguments] == ["ac_x", "int16_t", None]


def test_arrays_of_the_wrong_type_never_reach_c() -> None:
    c = fast_library()
    flash = c.new("ac_flash")
    with pytest.raises(TypeError, match="array of float64"):
        c.ac_flash_crc32(flash, 0, 1, np.zeros(1))
    with pytest.raises(TypeError, match="not a whole"):
        c.ac_flash_crc32(flash, 0, 1, np.zeros(4, np.uint32)[::2])
    with pytest.raises(TypeError, match="not ac_flash"):
        c.ac_flash_usable(c.new("ac_store"))
    with pytest.raises(TypeError, match="got 1 arguments"):
        c.ac_flash_round(flash)
    with pytest.raises(AttributeError, match="no field"):
        c.new("ac_flash", sise=1)


def test_sandbox_reports_an_access_outside_of_what_was_given() -> None:
    sandbox = Sandbox()
    data = sandbox.array(8, np.uint8)
    assert sandbox.c.ac_crc32(0, data, 8) >= 0
    with pytest.raises(AssertionError, match="load of 1 bytes"):
        sandbox.c.ac_crc32(0, data, 9)


def test_undefined_behaviour_ends_the_process() -> None:
    """A sandbox that let it pass would make every fuzzing test worth nothing."""
    source = b"int f(int a); int f(int a) { return a + 2147483647; }"
    flags = (*UNDEFINED, "-O1")
    library = compile_shared({"overflow.c": source}, flags)
    code = f"import ctypes; ctypes.CDLL({str(library)!r}).f(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode != 0 and b"overflow" in done.stderr


def test_crc_is_that_of_ieee_802_3() -> None:
    data = np.frombuffer(b"123456789", np.uint8)
    assert fast_library().ac_crc32(2**32 - 1, data, 9) ^ 0xFFFFFFFF == 0xCBF43926


def test_flash_in_ram_behaves_like_flash() -> None:
    c, memory = fast_library(), np.zeros(32, np.uint8)
    data = np.arange(8, dtype=np.uint8)
    c.ac_flash_ram_erase(memory, 8, 16)
    c.ac_flash_ram_write(memory, 16, data, 8)
    assert bytes(memory) == bytes(8) + b"\xff" * 8 + bytes(range(8)) + bytes(8)
    back = np.zeros(4, np.uint8)
    c.ac_flash_ram_read(memory, 18, back, 4)
    assert bytes(back) == bytes([2, 3, 4, 5])


# ---- export


def small_firmware(seed: int = 0) -> ac.Firmware:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    model[0].requires_grad_(False)
    example = (torch.randn(1, 6), torch.tensor([0]))
    return ac.compile(model, example=example, name="net", entries=("predict", "train"))


@pytest.mark.parametrize("kit", KITS)
def test_modules_are_exported_and_built_with_the_model(kit: str) -> None:
    target = "pulp-cluster" if kit == "pulp-sdk" else "host"
    torch.manual_seed(0)
    example = (torch.randn(1, 6), torch.tensor([0]))
    firmware = ac.compile(nn.Linear(6, 3), example=example, name="net", target=target)
    files = firmware.sources(kit=kit, modules=["store"])
    folder = "src/" if kit == "arduino" else ""
    for name in ("store/store.c", "store/store.h", "flash/flash.c", "flash/flash.h"):
        assert f"{folder}device/{name}" in files
    listed = {"cmake": "CMakeLists.txt", "pulp-sdk": "Makefile"}
    if kit in listed:
        assert b"device/store/store.c" in files[listed[kit]]
        assert b"device/flash/flash.c" in files[listed[kit]]
    assert not any("device/" in name for name in firmware.sources(kit=kit))


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(BadOption, match="did you mean 'store'"):
        small_firmware().sources(modules=["stor"])


def test_a_generated_model_goes_through_the_store_and_back(tmp_path: Path) -> None:
    """`net_save` and `net_load` with the store's functions as their callbacks, all in C."""
    firmware = small_firmware()
    files = firmware.sources(modules=["store"])
    library = compile_shared(files, ("-O1",))
    built = ctypes.CDLL(str(library))
    c = Library(fast_library().header, built)
    flash = Flash(2048, 512, 8)
    struct = flash_struct(c, flash)
    store = c.new("ac_store")
    header = files["net.h"].decode()
    size = int(re.findall(r"CHECKPOINT_BYTES (\d+)", header)[0])
    model = int(re.findall(r"MODEL_HASH (0x\w+)u", header)[0], 16)
    weights = (ctypes.c_float * 15).in_dll(built, "net_v_2_weight")
    before = list(weights)
    assert c.ac_store_open(store, struct, model) == 1
    assert c.ac_store_begin(store, size) == 0
    assert built.net_save(built.ac_store_write, ctypes.byref(store)) == 0
    assert c.ac_store_commit(store) == 0
    weights[:] = [0.0] * 15
    assert c.ac_store_open(store, struct, model) == 0
    assert built.net_load(built.ac_store_read, ctypes.byref(store)) == 0
    assert list(weights) == before


def test_the_hash_of_a_model_changes_with_its_frozen_weights_only() -> None:
    def model_hash(firmware: ac.Firmware) -> bytes:
        return re.findall(rb"MODEL_HASH (0x\w+)u", firmware.sources()["net.h"])[0]

    assert model_hash(small_firmware(0)) == model_hash(small_firmware(0))
    assert model_hash(small_firmware(0)) != model_hash(small_firmware(1))
