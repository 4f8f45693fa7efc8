# SPDX-License-Identifier: Apache-2.0
"""What holds for every device module: its C, its header as Python reads it, and its export."""

from __future__ import annotations

import ctypes
import importlib
import re
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.device import MODULES, Module, load, module_files
from acclimate.device.flash.meaning import Flash
from acclimate.device.header import Header, parse_header
from acclimate.device.library import Library
from acclimate.emit import KITS
from acclimate.errors import BadOption
from acclimate.simulate.compiler import WARNINGS, compile_shared, write_files, zig_cc
from device_sandbox import Sandbox, fast_library, flash_struct, names_of

EVERY_MODULE = pytest.mark.parametrize("module", MODULES, ids=names_of(MODULES))
BARE = {
    "rv32": ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+f", "-mabi=ilp32"),
    "thumb": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    "thumb-m0": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0"),
}
INCLUDE = Path(ac.__file__).parent / "simulate" / "bare" / "include"


@EVERY_MODULE
def test_every_module_builds_alone(module: Module) -> None:
    library = load(module)
    for name in module.header.functions:
        assert getattr(library.built, name)


@EVERY_MODULE
@pytest.mark.parametrize("processor", BARE)
def test_every_module_builds_for_bare_processors(
    module: Module, processor: str, tmp_path: Path
) -> None:
    """Without warnings, and without a C library besides memcpy, memset and memmove."""
    write_files(module.files(), tmp_path)
    write_files(module_files(module.needs), tmp_path)
    flags = (*BARE[processor], "-fhosted", "-isystem", str(INCLUDE), *WARNINGS, "-O2", "-c")
    zig_cc((*flags, f"device/{module.name}/{module.name}.c", "-o", "out.o"), tmp_path)
    allowed = {"stddef.h", "stdint.h", "string.h", "float.h"}
    source = b"".join(module.files().values()).decode()
    assert set(re.findall(r"#include <(.+)>", source)) <= allowed
    assert not re.search(r"\b(malloc|free|while \(1\)|for \(;;\))", source)


@EVERY_MODULE
def test_no_module_has_variables_of_its_own(module: Module) -> None:
    """All state lies in structs of the caller; tables are const."""
    source = (module.folder / f"{module.name}.c").read_text()
    assert not re.search(r"^\s*static (?!const )\w[\w ]*\b\w+(\[\w*\])? *[=;]", source, re.M)


@EVERY_MODULE
def test_structs_have_the_layout_of_c(module: Module) -> None:
    """C itself compares sizes and offsets: a wrong one is an array of negative size."""
    lines = [f'#include "device/{module.name}/{module.name}.h"', "#include <stddef.h>"]
    structs = {
        name: t
        for name, t in module.header.types.items()
        if isinstance(t, type) and issubclass(t, ctypes.Structure)
    }
    for name, struct in structs.items():
        checks = [f"sizeof({name}) == {ctypes.sizeof(struct)}"]
        for field, *_ in struct._fields_:
            checks.append(f"offsetof({name}, {field}) == {getattr(struct, field).offset}")
            checks.append(f"sizeof((({name} *)0)->{field}) == {getattr(struct, field).size}")
        lines += [f"typedef char {name}_{i}[({c}) ? 1 : -1];" for i, c in enumerate(checks)]
    lines.append("int nothing(void);\nint nothing(void) { return 0; }\n")
    compile_shared(module_files([module]) | {"layout.c": "\n".join(lines).encode()})


@EVERY_MODULE
def test_codes_of_the_meaning_are_those_of_the_header(module: Module) -> None:
    meaning = importlib.import_module(f"acclimate.device.{module.name}.meaning")
    for name, enum in vars(meaning).items():
        if isinstance(enum, type) and issubclass(enum, IntEnum) and enum is not IntEnum:
            for member in enum:
                symbol = f"AC_{module.name.upper()}_{member.name}"
                assert module.header.constants[symbol] == member, f"{name}: {symbol}"


@EVERY_MODULE
def test_header_is_usable_from_cpp(module: Module, tmp_path: Path) -> None:
    write_files(module_files([module]), tmp_path)
    (tmp_path / "use.cpp").write_text(f'#include "device/{module.name}/{module.name}.h"\n')
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
