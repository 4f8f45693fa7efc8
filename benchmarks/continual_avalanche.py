# SPDX-License-Identifier: Apache-2.0
"""The Avalanche side of `benchmarks/continual.py`, run by a Python that has avalanche-lib 0.6.

    python continual_avalanche.py digits FILE.npz             # the data, of scikit-learn
    python continual_avalanche.py run TASK.npz RESULT.npz     # every way on one task

A task holds the samples of every experience in the order of learning, test samples, the initial
weights, and the settings; a result, accuracies [T,T] and final weights of every way.
"""

from __future__ import annotations

import sys

import numpy as np


def digits(path: str) -> None:
    """The 8x8 digits of scikit-learn, pixels within 0 .. 1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    np.savez(path, x=(found.data / 16).astype(np.float32), y=found.target.astype(np.int64))


def run(task_path: str, result_path: str) -> None:
    """Trains with every way and tests on all experiences after each."""
    import torch
    from avalanche.benchmarks import tensors_benchmark
    from avalanche.training.plugins import EWCPlugin, LwFPlugin, ReplayPlugin
    from avalanche.training.storage_policy import ClassBalancedBuffer
    from avalanche.training.supervised import Cumulative, Naive

    torch.set_num_threads(1)
    task = dict(np.load(task_path))
    T, batch, slots = (int(task[name]) for name in ("experiences", "batch", "slots"))

    def tensors(part: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [
            (torch.from_numpy(task[f"{part}_x_{k}"]), torch.from_numpy(task[f"{part}_y_{k}"]))
            for k in range(T)
        ]

    learned, tested = tensors("train"), tensors("test")
    sizes = {"batch_size": batch, "batch_size_mem": batch}
    ways = {
        "naive": list,
        "joint": list,
        "replay": lambda: [ReplayPlugin(slots, **sizes)],
        "replay by class": lambda: [
            ReplayPlugin(slots, storage_policy=ClassBalancedBuffer(slots), **sizes)
        ],
        "EWC": lambda: [EWCPlugin(float(task["strength"]))],
        "LwF": lambda: [LwFPlugin(float(task["alpha"]), float(task["temperature"]))],
    }
    out = {}
    for name, plugins in ways.items():
        torch.manual_seed(int(task["seed"]))
        shapes = [task[f"weight_{k}"].shape for k in range(2)]
        model = torch.nn.Sequential(
            torch.nn.Linear(shapes[0][1], shapes[0][0]), torch.nn.ReLU(),
            torch.nn.Linear(shapes[1][1], shapes[1][0]),
        )  # fmt: skip
        with torch.no_grad():
            for k, layer in enumerate((model[0], model[2])):
                layer.weight.copy_(torch.from_numpy(task[f"weight_{k}"]))
                layer.bias.copy_(torch.from_numpy(task[f"bias_{k}"]))
        strategy = (Cumulative if name == "joint" else Naive)(
            model=model, optimizer=torch.optim.SGD(model.parameters(), lr=float(task["lr"])),
            criterion=torch.nn.CrossEntropyLoss(), train_mb_size=batch, train_epochs=1,
            eval_mb_size=1000, plugins=plugins(), evaluator=None,
        )  # fmt: skip
        benchmark = tensors_benchmark(
            train_tensors=learned, test_tensors=tested, task_labels=[0] * T
        )
        rows = []
        for experience in benchmark.train_stream:
            strategy.train(experience, shuffle=name.startswith(("replay", "joint")))
            model.eval()
            with torch.no_grad():
                rows.append([float((model(x).argmax(1) == y).float().mean()) for x, y in tested])
        out[f"{name} accuracy"] = np.array(rows, np.float32)
        for k, layer in enumerate((model[0], model[2])):
            out[f"{name} weight_{k}"] = layer.weight.detach().numpy()
            out[f"{name} bias_{k}"] = layer.bias.detach().numpy()
    np.savez(result_path, **out)


if __name__ == "__main__":
    {"digits": digits, "run": run}[sys.argv[1]](*sys.argv[2:])
