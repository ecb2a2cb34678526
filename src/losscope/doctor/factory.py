"""A training set-up by name: `package.module:factory` or `path/to/script.py:factory`.

factory() returns (model, criterion, loader, optimizer), or a mapping with these names and any option of `check`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from losscope.doctor.checking import check
from losscope.errors import InvalidInput, MissingData, UnknownName

OBJECTS = ("model", "criterion", "loader", "optimizer")
OPTIONS = tuple(name for name in inspect.signature(check).parameters if name not in OBJECTS)


def set_up(target: str) -> dict[str, Any]:
    """The arguments of `check` that the factory named by `target` makes.

    Raises InvalidInput for a target in another form, for what it names or returns, and for what goes wrong in it;
    MissingData for a script that is not there, UnknownName for a function or an argument that does not exist.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise InvalidInput(f"'{target}' names no factory; expected module:factory or path/to/script.py:factory")
    with _importable(place):
        module = _script(Path(place)) if place.endswith(".py") else _module(place)
        factory = getattr(module, name, None)
        if factory is None:
            functions = [
                key
                for key, value in vars(module).items()
                if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
            ]
            raise UnknownName.of(f"factory in {place}", name, functions)
        if not callable(factory):
            raise InvalidInput(f"{target} is a {type(factory).__name__}; expected a function without arguments")
        with _told(f"{target}()"):
            made = factory()
    return _arguments(target, made)


def _arguments(target: str, made: Any) -> dict[str, Any]:
    if isinstance(made, tuple) and len(made) == len(OBJECTS):
        return dict(zip(OBJECTS, made, strict=True))
    if not isinstance(made, Mapping):
        what = f"{type(made).__name__} of {len(made)}" if isinstance(made, tuple | list) else type(made).__name__
        raise InvalidInput(
            f"{target}() returned a {what}; expected ({', '.join(OBJECTS)}), or a mapping with these names and any of "
            f"{', '.join(OPTIONS)}"
        )
    for name in made:
        if name not in (*OBJECTS, *OPTIONS):
            raise UnknownName.of(f"argument from {target}()", str(name), (*OBJECTS, *OPTIONS))
    missing = [name for name in OBJECTS if name not in made]
    if missing:
        raise InvalidInput(f"{target}() returned no {', '.join(missing)}; expected {', '.join(OBJECTS)}")
    return dict(made)


@contextmanager
def _importable(place: str) -> Iterator[None]:
    """With the present folder, or that of the script, first where modules are looked for."""
    folder = str(Path(place).resolve().parent if place.endswith(".py") else Path.cwd())
    before = [*sys.path]
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = before


def _module(place: str) -> ModuleType:
    with _told(f"import {place}"):
        return import_module(place)


def _script(path: Path) -> ModuleType:
    if not path.is_file():
        raise MissingData(f"no file {path} in {Path.cwd()}; expected path/to/script.py:factory")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # workers of a loader look there for a data set's class
    with _told(f"running {path}"):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What goes wrong in a user's own code is told as such."""
    try:
        yield
    except SystemExit as error:
        raise InvalidInput(
            f'{what} ended the program ({error}); keep what runs under if __name__ == "__main__"'
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"{what} raised {type(error).__name__}: {error}; mend it, or check the name and the folder"
        ) from error
