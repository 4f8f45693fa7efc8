# SPDX-License-Identifier: Apache-2.0
"""`FILE.py:function` -> a model with its example; errors show the line of the user's file."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from acclimate.errors import AcclimateError, BadOption, nearest

if TYPE_CHECKING:
    from torch import nn

_FORM = "return model, (x, y)   # or (model, (x, y), {'loss': 'mse'}), or a dict"


@dataclass(frozen=True)
class Task:
    """What a user's function describes.

    Args:
        file: it stands in.
        model: to compile.
        example: (x, y).
        options: keyword arguments of `acclimate.compile`.
        plans: update policies by name, for `acclimate plan` and `--point`.
    """

    file: Path
    model: nn.Module
    example: tuple[Any, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    plans: Mapping[str, Any] = field(default_factory=dict)


def load_task(spec: str) -> Task:
    """Imports the file, calls the function and checks what it returns.

    Args:
        spec: `FILE.py:function`.

    Raises:
        BadOption: no such file or function, or the function returns something else.
        AcclimateError: the file or the function raises; `where` is the user's line.
    """
    path, name = _split(spec)
    module = _import(path)
    function = _find(module, path, name)
    result = _guarded(function, path, f"{path.name}:{name} raised")
    return _task(result, path, name)


def _split(spec: str) -> tuple[Path, str]:
    text, colon, name = spec.rpartition(":")
    path = Path(text if colon and name.isidentifier() else spec)
    if not path.is_file():
        files = sorted(p.name for p in Path().glob("*.py"))
        raise BadOption(
            f"there is no file {path}",
            found=f"in this folder: {', '.join(files[:8])}" if files else None,
            hint="acclimate compile kws.py:make --out build/kws",
        )
    if not colon or not name.isidentifier():
        raise BadOption(
            f"{path.name} is a file; which of its functions makes the model?",
            hint=f"acclimate compile {path}:make --out build/{path.stem}",
        )
    return path.resolve(), name


def _import(path: Path) -> ModuleType:
    # NOTE: a name of its own, so that a file `random.py` does not replace a module of that name.
    name = f"acclimate_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadOption(f"{path.name} is not a Python file", hint="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    loader = spec.loader
    _guarded(lambda: loader.exec_module(module), path, f"{path.name} cannot be imported")
    return module


def _find(module: ModuleType, path: Path, name: str) -> Callable[[], Any]:
    functions = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    if not hasattr(module, name):
        raise BadOption(
            f"{path.name} has no function {name!r}",
            where=path.name,
            hint=nearest(name, functions) if functions else f"def {name}(): {_FORM}",
        )
    function = getattr(module, name)
    if not callable(function):
        raise BadOption(
            f"{path.name}:{name} is not a function",
            found=type(function).__name__,
            hint=nearest(name, functions) if functions else f"def {name}(): {_FORM}",
        )
    found: Callable[[], Any] = function
    return found


def _guarded(function: Callable[[], Any], path: Path, what: str) -> Any:
    """The result of a user's function; an exception becomes a message with the user's line."""
    try:
        return function()
    except AcclimateError:
        raise
    except (Exception, SystemExit) as error:
        raise BadOption(
            what,
            found=f"{type(error).__name__}: {error}",
            where=_user_line(error, path),
            hint=f"mend {path.name}; ACCLIMATE_DEBUG=1 shows the traceback",
        ) from error


def _user_line(error: BaseException, path: Path) -> str:
    """The innermost line of the user's own files."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}  {(error.text or '').strip()}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).parent == path.parent or f.filename == str(path)]
    if not own:
        return path.name
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}  {own[-1].line or ''}".rstrip()


def _task(result: Any, path: Path, name: str) -> Task:
    """(model, example), (model, example, options) or a dict -> task."""
    from torch import nn

    options: Any = {}
    if isinstance(result, Mapping):
        options = dict(result)
        model, example = options.pop("model", None), options.pop("example", None)
    elif isinstance(result, (tuple, list)) and len(result) in (2, 3):
        model, example, *more = result
        options = more[0] if more else {}
    else:
        model = example = None
    if not isinstance(model, nn.Module) or example is None or not isinstance(options, Mapping):
        raise BadOption(
            f"{path.name}:{name} does not return a model and an example",
            found=_shape(result),
            where=path.name,
            hint=_FORM,
        )
    rest = dict(options)
    plans = _plans(rest.pop("plans", {}), path, name)
    _check_options(rest, path, name)
    return Task(path, model, example, rest, plans)


def _plans(plans: Any, path: Path, name: str) -> Mapping[str, Any]:
    """Policies by name."""
    from acclimate.report.choices import check_plans

    if not isinstance(plans, Mapping):
        raise BadOption(
            f"{path.name}:{name} returns plans that are no dict",
            found=type(plans).__name__,
            where=path.name,
            hint="'plans': {'first': ac.Layers('conv1')}",
        )
    check_plans(plans)
    return dict(plans)


def _check_options(options: Mapping[Any, Any], path: Path, name: str) -> None:
    import acclimate

    parameters = set(inspect.signature(acclimate.compile).parameters)
    parameters = (parameters | {"plans"}) - {"model", "example"}
    for key in options:
        if key not in parameters:
            raise BadOption(
                f"{path.name}:{name} returns the unknown option {key!r}",
                where=path.name,
                hint=nearest(str(key), parameters),
            )


def _shape(result: Any) -> str:
    if isinstance(result, Mapping):
        inside = ", ".join(f"{key!r}: {type(value).__name__}" for key, value in result.items())
        return f"a dict {{{inside}}}"
    if isinstance(result, (tuple, list)):
        return f"({', '.join(type(item).__name__ for item in result)})"
    return type(result).__name__
