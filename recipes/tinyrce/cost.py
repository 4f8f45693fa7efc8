# SPDX-License-Identifier: Apache-2.0
"""What learning costs: counted by the head that ran, by the compiled step, and on the cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node, symbolic_trace
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.functional import relu

import acclimate as ac
from acclimate.device import find_modules
from acclimate.device.sizes import struct_bytes
from acclimate.models.har_cnn import HarCNN

NEURONS, FEATURES, CLASSES = 64, 24, 5
WINDOW = (1, 6, 100)
CHIP = "stm32h743"  # one memory, as the source has it: nothing is copied to a faster one
F32_BYTES, LABEL_BYTES = 4, 2
WINDOW_BYTES = F32_BYTES * math.prod(WINDOW)


def firmware_of(target: str, *entries: str) -> ac.Firmware:
    """The network with batch 1; all of its layers learn if an entry is `train`."""
    torch.manual_seed(0)
    example = (torch.randn(WINDOW), torch.tensor([0]))
    return ac.compile(HarCNN(), example=example, name="har", target=target, entries=entries)


def plain_bytes(model: nn.Module, x: Tensor) -> dict[str, int]:
    """RAM [B] of a plain step of backpropagation on x, counted from the network.

    Every gradient of a weight has a place of its own, every activation waits for the backward
    pass, and the largest layer has the gradients of its output and of its inputs at once. ReLU
    overwrites its input.
    """
    graph = symbolic_trace(model)
    ShapeProp(graph).propagate(x)

    def size(node: Node) -> int:
        return F32_BYTES * int(node.meta["tensor_meta"].shape.numel())

    nodes = [node for node in graph.graph.nodes if node.op != "output"]
    layers = dict(model.named_modules())
    in_place = [node for node in nodes if node.target is relu
                or isinstance(layers.get(str(node.target)), nn.ReLU)]  # fmt: skip
    waiting = [node for node in nodes if node not in in_place]
    weights = F32_BYTES * sum(p.numel() for p in model.parameters())
    return {
        "weights": weights, "gradients": weights, "activations": sum(map(size, waiting)),
        "pair": max(size(node) + sum(map(size, node.all_input_nodes)) for node in waiting
                    if not _of_data(node)),
    }  # fmt: skip


def _of_data(node: Node) -> bool:
    """Whether a node is the input of the network, or a layer on it: no gradient flows there."""
    return node.op == "placeholder" or any(n.op == "placeholder" for n in node.all_input_nodes)


def compiled_costs() -> dict[str, Any]:
    """MACs of prediction and training step as compiled; bytes of RAM of both and of the head."""
    step, extractor = firmware_of(CHIP, "predict", "train"), firmware_of(CHIP, "predict")
    entries = {entry.name: entry for entry in step.report().entries}
    macs = {name: sum(call.macs for call in entry.calls) for name, entry in entries.items()}
    return {
        "predict_macs": int(macs["predict"]), "train_macs": int(macs["train"]),
        "extractor_bytes": extractor.plan.ram_bytes, "step_bytes": step.plan.ram_bytes,
        "plain_bytes": plain_bytes(HarCNN(), torch.randn(WINDOW)),
        "head_bytes": struct_bytes(find_modules(["rce"]), ("ac_rce", "ac_rce_neuron")),
    }  # fmt: skip


def head_cycles() -> dict[str, int]:
    """Cycles of one sample on one core of the simulated cluster, all data in L2."""
    device: Any = firmware_of("gap9", "predict", "train").run("cluster", modules=("rce",))
    structs = {"settings": "ac_rce_settings", "state": "ac_rce", "result": "ac_rce_result",
               "neurons": "ac_rce_neuron"}  # fmt: skip
    found = struct_bytes(find_modules(["rce"]), structs.values())
    sizes = {name: found[struct] for name, struct in structs.items()}
    sizes["neurons"] *= NEURONS
    sizes |= {"x": F32_BYTES * FEATURES, "centres": F32_BYTES * NEURONS * FEATURES}
    sizes = {name: -(-size // 8) * 8 for name, size in sizes.items()}  # state has 64-bit fields
    base, memory = device.reserve(sum(sizes.values()))
    at = dict(zip(sizes, accumulate(sizes.values(), initial=base), strict=False))
    first = at["x"] - base
    x = memory[first : first + sizes["x"]].view(np.float32)
    device.call("ac_rce_defaults", at["settings"])
    tables = at["centres"], at["neurons"]
    device.call("ac_rce_start", at["state"], at["settings"], FEATURES, *tables, NEURONS)
    for number in range(NEURONS):
        x[0] = 100.0 * number
        device.call("ac_rce_learn", at["state"], at["x"], number % CLASSES)
    cycles = {}
    label = (NEURONS - 1) % CLASSES
    for name, last in (("learn", label), ("classify", at["result"])):
        device.call(f"ac_rce_{name}", at["state"], at["x"], last)
        cycles[name] = int(device.cycles)
    return cycles


def rce_bytes(costs: Mapping[str, Any], neurons: int, features: int, vectors: int) -> int:
    """RAM [B] of learning: the head, the extractor, and `vectors` that wait.

    Args:
        costs: of `compiled_costs`.
        neurons: in the table.
        features: of a vector.
        vectors: that are stored with their labels while the extractor makes the next one.
    """
    state, neuron = (costs["head_bytes"][name] for name in ("ac_rce", "ac_rce_neuron"))
    table = state + neurons * (F32_BYTES * features + neuron)
    stored = vectors * (F32_BYTES * features + LABEL_BYTES)
    return int(table + costs["extractor_bytes"] + stored)


def source_macs(distances: float, features: float) -> float:
    """MACs as the source counts them: 5 n + 10 for each distance."""
    return float(distances * (5 * features + 10))


def plain_macs(distances: float, features: float) -> float:
    """Products that the C makes: n for each distance."""
    return float(distances * features)
