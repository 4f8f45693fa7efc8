# SPDX-License-Identifier: Apache-2.0
"""Checks the model and its example before anything is traced."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from acclimate.capture.export import plain_kernels
from acclimate.capture.losses import Loss
from acclimate.errors import (
    AcclimateError,
    BadExample,
    BadOption,
    NothingToTrain,
    UnsupportedModel,
)


def split_example(example: Any) -> tuple[tuple[Tensor, ...], Any]:
    """(x, y) or ((x0, x1), y) -> inputs as a tuple, target.

    Raises:
        BadExample: not a pair of tensors, or tensors with NaN or infinity.
    """
    if not isinstance(example, (tuple, list)) or len(example) != 2:
        raise BadExample(
            "the example is not a pair (x, y)",
            found=type(example).__name__,
            hint="example=(torch.zeros(1, 1, 49, 10), torch.zeros(1, dtype=torch.long))",
        )
    given, target = example
    inputs = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    target = tuple(target) if isinstance(target, list) else target
    targets = target if isinstance(target, tuple) else (target,)
    for name, tensor in [
        *((f"input {i}", t) for i, t in enumerate(inputs)),
        *(("target", t) for t in targets),
    ]:
        _check_tensor(name, tensor)
    # Copies: torch.export takes one tensor that is given twice, as in (x, x), for one input. In the
    # order that C has: strides of channels_last would go into the graph.
    copies = tuple(_copy(tensor.detach()) for tensor in inputs)
    return copies, tuple(map(_copy, target)) if isinstance(target, tuple) else _copy(target)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format)


def in_c_order(model: nn.Module) -> nn.Module:
    """The model, or a copy of it if some of its tensors have the strides of channels_last.

    C has one order, and activations inherit that of the weights: it would go into the graph.
    """
    if all(t.is_contiguous() for t in (*model.parameters(), *model.buffers())):
        return model
    model = copy.deepcopy(model)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()
    return model


def _check_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise BadExample(
            f"the {name} is not a tensor",
            found=type(tensor).__name__,
            hint="torch.as_tensor(array)",
        )
    if tensor.dtype in (torch.float64, torch.float16, torch.bfloat16) or tensor.is_complex():
        raise BadExample(
            f"the {name} is {tensor.dtype}", hint="use .float(): the C code computes in float32"
        )
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        count = int((~torch.isfinite(tensor)).sum())
        raise BadExample(
            f"the {name} holds {count} values that are NaN or infinite",
            found=f"shape {list(tensor.shape)}",
            hint="torch.nan_to_num(x), or mend the features",
        )


def check_model(
    model: nn.Module, loss: Loss, inputs: tuple[Tensor, ...], target: Any, learns: bool = True
) -> None:
    """Runs the model once in PyTorch; `learns` is False where it shall only predict.

    Raises:
        BadExample: the model or the loss does not accept the example.
        BadOption: the loss is not a scalar.
        UnsupportedModel: parameters are not float32.
        NothingToTrain: no parameter requires grad.
    """
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise UnsupportedModel(f"{name} is {parameter.dtype}", hint="model.float()")
    _check_norms(model)
    if learns and not any(parameter.requires_grad for parameter in model.parameters()):
        raise NothingToTrain(
            "no parameter requires grad, so there is nothing to train",
            found=f"{sum(1 for _ in model.parameters())} frozen parameters",
            hint="model.fc.requires_grad_(True), or entries=('predict',) for inference only",
        )
    shapes = ", ".join(str(list(tensor.shape)) for tensor in inputs)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        with torch.no_grad(), plain_kernels(), torch.random.fork_rng():
            outputs = model(*inputs)
    except Exception as error:
        raise BadExample(
            f"the model does not accept the example: x {shapes}", found=_first_line(error),
            hint="the example needs the model's input shape, the batch in front",
        ) from error  # fmt: skip
    finally:
        model.load_state_dict(state)
    try:
        with torch.no_grad():
            value = loss(outputs, target)
    except AcclimateError:  # a loss of ours says more
        raise
    except Exception as error:
        raise BadExample(
            "the loss does not accept the model's outputs and the target",
            found=f"outputs {_shapes(outputs)}, target {_shapes(target)}: {_first_line(error)}",
            hint="cross_entropy takes class numbers torch.long [N]; "
            "mse takes a tensor like the outputs",
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise BadOption("the loss is not a scalar", found=_shapes(value), hint="return loss.mean()")


def _check_norms(model: nn.Module) -> None:
    """Norms whose statistics change in a way that no graph has."""
    for name, module in model.named_modules():
        if not (isinstance(module, _NormBase) and module.training and module.track_running_stats):
            continue
        kind = type(module).__name__
        if module.momentum is None:
            raise UnsupportedModel(
                "a norm in training averages its statistics over all batches",
                found=f"{kind}(momentum=None)", where=name, hint=f"{kind}(..., momentum=0.1)",
            )  # fmt: skip
        if isinstance(module, _InstanceNorm):
            raise UnsupportedModel(
                "a norm in training follows statistics that it uses in eval mode only",
                found=f"{kind}(track_running_stats=True)", where=name,
                hint=f"{kind}(..., track_running_stats=False), or model.{name}.eval()",
            )  # fmt: skip


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _shapes(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype}{list(value.shape)}".removeprefix("torch.")
    if isinstance(value, (tuple, list)):
        return ", ".join(_shapes(item) for item in value)
    return type(value).__name__
