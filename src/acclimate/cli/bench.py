# SPDX-License-Identifier: Apache-2.0
"""acclimate bench: the C against PyTorch on this machine, and its cycles on the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acclimate.cli.console import say, working
from acclimate.cli.verb import Verb
from acclimate.errors import BadOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from acclimate.report.bench import BenchRow
    from acclimate.report.bench_cluster import ClusterRow
    from acclimate.report.bench_streamed import StreamedRow

app = typer.Typer(name="bench", help="Measures the generated C.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measures the generated C."""


@app.command("host", cls=Verb)
def host_verb(
    only: Annotated[str | None, typer.Option(help="One network of the list.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows to a file; - prints them.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=3, help="Blocks of each side.")] = 60,
) -> None:
    """Times a training step of the C and of PyTorch eager on this machine, one thread, batch 1."""
    from acclimate.report.bench import bench_host, bench_names

    names = bench_names(only)
    with working("measuring") as advance:
        rows = bench_host(names, repetitions=repetitions, progress=advance)
    _deliver(rows, json_file, _print_table)


@app.command("cluster", cls=Verb)
def cluster_verb(
    only: Annotated[str | None, typer.Option(help="One row, or a layer: all its passes.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows to a file; - prints them.")
    ] = None,
    target: Annotated[str, typer.Option(help="A cluster of `acclimate targets`.")] = "pulp-cluster",
    cores: Annotated[int | None, typer.Option(help="Cores that run; all by default.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per processor by default.")
    ] = None,
    streamed: Annotated[
        bool, typer.Option("--streamed", help="Networks from L2, in tiles with copies by DMA.")
    ] = False,
) -> None:
    """Cycles of kernels and training steps on the simulated cluster, exact and repeatable."""
    from acclimate.report.bench_cluster import bench_cluster
    from acclimate.report.bench_streamed import bench_streamed

    bench, table = (bench_streamed, _print_streamed) if streamed else (bench_cluster, _print_cycles)
    with working("measuring") as advance:
        rows = bench(only, target=target, cores=cores, jobs=jobs, progress=advance)
    _deliver(rows, json_file, table)


def _deliver(rows: list[Any], json_file: Path | None, table: Callable[[list[Any]], None]) -> None:
    """Prints the table, and writes or prints the rows as JSON."""
    document = json.dumps({"rows": [row.document() for row in rows]}, indent=1) + "\n"
    if json_file is not None and str(json_file) == "-":
        typer.echo(document, nl=False)
        return
    table(rows)
    if json_file is not None:
        _write(json_file, document)


def _print_cycles(rows: list[ClusterRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="cycles of one call, batch 1, float32, data in L1, fork and join included")
    table.add_column("row", no_wrap=True)
    for head in ("cycles", "MACs", "MAC/cycle", "cores"):
        table.add_column(head, justify="right")
    for head in ("machine", "measured"):
        table.add_column(head, no_wrap=True)
    for row in rows:
        numbers = (f"{row.cycles:,}", f"{row.macs:,}", f"{row.mac_per_cycle:.3f}", str(row.cores))
        table.add_row(row.name, *numbers, row.machine, row.measured)
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)
    say("step: input gradient, weight gradient and SGD; networks: forward, loss, backward and SGD")
    if any(row.measured == "summed" for row in rows):
        say("summed: the calls of the step ran one by one, each with a fork and a join of its own")


def _print_streamed(rows: list[StreamedRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="cycles of one training step from L2, batch 1, float32, copies included")
    table.add_column("network", no_wrap=True)
    for head in ("cycles", "MACs", "MAC/cycle", "bytes in", "bytes out", "of resident", "cores"):
        table.add_column(head, justify="right")
    table.add_column("machine", no_wrap=True)
    for row in rows:
        counts = (f"{row.cycles:,}", f"{row.macs:,}", f"{row.mac_per_cycle:.3f}")
        moved = (f"{row.bytes_in:,}", f"{row.bytes_out:,}")
        ratio = "" if row.of_resident is None else f"{row.of_resident:.2f}"
        table.add_row(row.name, *counts, *moved, ratio, str(row.cores), row.machine)
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)
    say("bytes: that the DMA copies into L1 and out of it in a step")
    say("of resident: cycles by those of the step with everything in an L1 as large as it needs")


def _print_table(rows: list[BenchRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title="milliseconds of one training step, batch 1, one thread; ratio = torch / acclimate"
    )
    table.add_column("network", no_wrap=True)
    for head in ("acclimate", "least", "torch", "least", "ratio", "of least"):
        table.add_column(head, justify="right")
    for row in rows:
        cells: list[Any] = [row.acclimate.median_ms, row.acclimate.min_ms]
        cells += [row.torch.median_ms, row.torch.min_ms]
        ratios = (f"{row.ratio:.2f}", f"{row.min_ratio:.2f}")
        table.add_row(row.name, *(f"{cell:.3f}" for cell in cells), *ratios)
    console = Console()
    console.print(table)
    say("median and least of interleaved repetitions; PyTorch eager with BatchNorm folded")
    for row in rows:
        variant, blocks = row.conditions["torch_variant"], row.conditions["repetitions"]
        say(f"  {row.name}: {variant}; {blocks} blocks")


def _write(path: Path, text: str) -> None:
    from acclimate.cache import write_atomic

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise BadOutput(
            f"cannot write {path}", found=str(error), hint="--json build/bench.json"
        ) from error
    say(f"wrote {path}")
