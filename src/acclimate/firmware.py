# SPDX-License-Identifier: Apache-2.0
"""What `compile` returns: a program with its plan, ready to run, to export and to report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from acclimate.device import Module, find_modules
from acclimate.emit import emit, export_files, find_kit, manifest, port_file, port_sources
from acclimate.fit import ORDERED, Stage, fit
from acclimate.kernels.pulp.isa import Dialect
from acclimate.plan import Plan
from acclimate.program import Program
from acclimate.simulate import FAST, Device, compile_shared, open_device
from acclimate.targets import Target
from acclimate.wanted import Wanted

if TYPE_CHECKING:
    from acclimate.report import Report


class EntryPoint(Protocol):
    """Something that a program can do besides what its model does, such as `data.Mfcc`."""

    def add_to(self, program: Program) -> Program:
        """The program with one entry point more."""
        ...


@dataclass(frozen=True)
class Firmware:
    """A compiled model.

    Args:
        program: calls, buffers and initial weights.
        plan: places of the buffers.
        target: the device.
        lr: default learning rate.
        title: one line that says what the model is.
        command: how it was made, for the headers of the C files.
        stages: every pass that ran, in order.
        wanted: what it was made to fit; None for a program that was put together by hand.
    """

    program: Program
    plan: Plan
    target: Target
    lr: float
    title: str
    command: str
    stages: tuple[Stage, ...]
    wanted: Wanted | None = None

    def sources(
        self, weights: str = "c", kit: str = "cmake", modules: Iterable[str] = ()
    ) -> dict[str, bytes]:
        """The files of a project by relative path, with manifest.json.

        Args:
            weights: `c` for arrays in C, `binary` for a file that the device reads.
            kit: `cmake`, `pulp-sdk` or `arduino`.
            modules: names of modules of the learning loop, such as `store`.
        """
        chosen = find_modules(modules)
        dialect = find_kit(kit).dialect
        shown = self if dialect else self.in_c()
        files = shown._emit(kit, weights, dialect, chosen)
        passes = [(stage.name, stage.changes) for stage in self.stages]
        target = self.target.name
        files["manifest.json"] = manifest(shown.program, shown.plan, target, kit, passes, files)
        return files

    def _emit(
        self, kit: str, weights: str, dialect: Dialect | None, modules: tuple[Module, ...] = ()
    ) -> dict[str, bytes]:
        return emit(
            self.program,
            self.plan,
            self.target,
            kit=kit,
            weights=weights,
            title=self.title,
            command=self.command,
            dialect=dialect,
            modules=modules,
        )

    def export(
        self,
        folder: str | Path,
        *,
        kit: str = "cmake",
        weights: str = "c",
        modules: Iterable[str] = (),
        force: bool = False,
    ) -> Path:
        """Writes a project into a folder: C, weights, build files, an example and manifest.json.

        Args:
            folder: new, empty, or written by acclimate before.
            kit: `cmake`, `pulp-sdk` for a PULP cluster, or `arduino`.
            weights: `c` for arrays in C, `binary` for a file that the device reads.
            modules: names of modules of the learning loop whose C goes with it, such as `store`.
            force: overwrite a folder that holds other files.

        Raises:
            BadOption: there is no such kit or module, or the kit cannot hold this firmware.
            BadOutput: the folder holds other things or cannot be written; nothing is half-written.
        """
        return export_files(self.sources(weights, kit, modules), Path(folder), force=force)

    def report(self) -> Report:
        """What this firmware costs: memory with a reason for every byte, MACs, calls, passes."""
        from acclimate.report import build_report  # upwards, for those who ask for a report

        return build_report(self)

    def run(
        self, device: str | None = None, *, modules: Iterable[str] = (), **options: Any
    ) -> Device:
        """Builds the C and returns a device that trains and predicts.

        Args:
            device: host, numpy (the calls interpreted, no C), cluster, or a processor such as
                cortex-m4; the target's own by default.
            modules: names of modules of the learning loop that go with it, for `Device.call`.
            options: of the device: `conflicts`, `check_races` and `progress` of the cluster.

        Raises:
            BadOption: no such device, or it has fewer cores than this firmware uses.
            MissingTool: a compiler or simulator is missing.
        """
        firmware = self if device in (None, "numpy", self.target.simulator) else self.in_c()
        files = {} if device == "numpy" else firmware._runnable(find_modules(modules))
        return open_device(device, firmware.program, files, firmware.target, self.lr, options)

    def build(self, flags: tuple[str, ...] = FAST) -> Path:
        """Builds the C as a shared library in the user's cache and returns its path."""
        return compile_shared(self.in_c()._runnable(), flags)

    def in_c(self) -> Firmware:
        """The same firmware without kernels in assembly, which only one kind of core can run."""
        if not any(call.work for call in self.program.calls()):
            return self
        target = replace(self.target, features=self.target.features - {"xpulp"})
        names = [stage.name for stage in self.stages]
        base = self.stages[names.index(ORDERED) - 1].program if ORDERED in names else self.program
        stages, placed = fit(base, replace(self.wanted or Wanted(target), target=target))
        return replace(self, program=stages[-1].program, plan=placed, target=target)

    def _runnable(self, modules: tuple[Module, ...] = ()) -> dict[str, bytes]:
        """The C with weights in a file, and with threads where several cores run it on the host."""
        files = self._emit("cmake", "binary", Dialect.COREV, modules)
        files.pop("port_single.c", None)
        if "port.h" in files:
            files |= {name: port_file(name) for name in port_sources(self.program, "threads")}
        return files
