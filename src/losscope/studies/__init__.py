"""The studies that ship with the package, and the way from a name or a file to a checked `Study`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from losscope.errors import InvalidStudy, MissingData, UnknownName
from losscope.study import Study, parse


def shipped() -> dict[str, str]:
    """Name -> first line of the comment of each shipped study."""
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")),
        key=lambda file: file.name,
    )
    return {
        file.name.removesuffix(".toml"): file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for file in files
    }


def load(name: str | Path, settings: Iterable[str] = ()) -> Study:
    """A shipped study by name, or a study file, with `KEY=VALUE` settings applied.

    Raises UnknownName, InvalidStudy, or MissingData for a file that is not there.
    """
    document, where = _document(name)
    for setting in settings:
        apply(document, setting)
    return parse(document, where)


def _document(name: str | Path) -> tuple[dict[str, Any], str]:
    text = str(name)
    if not (text.endswith(".toml") or "/" in text or Path(text).is_file()):
        if text not in shipped():
            raise UnknownName.of("study", text, shipped())
        content, where = (resources.files(__name__) / f"{text}.toml").read_text(encoding="utf-8"), text
    else:
        path = Path(text)
        if not path.is_file():
            raise MissingData(
                f"no study file at {path}; expected a TOML file, or the name of a shipped study: {', '.join(shipped())}"
            )
        try:
            content, where = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidStudy(f"{path} can't be read as text ({error}); expected a TOML file") from error
    try:
        return tomllib.loads(content), where
    except tomllib.TOMLDecodeError as error:
        raise InvalidStudy(f"{where} is not valid TOML: {error}; mend that line") from None


def apply(document: dict[str, Any], setting: str) -> None:
    """Apply one `KEY=VALUE` to a study document: a dotted path, where tables that come in lists (data, protocol, loss)
    are all meant unless the next part of the path is the name or label of some of them.

    >>> study = {"protocol": [{"name": "a"}, {"name": "b"}]}
    >>> apply(study, "protocol.epochs=2"); apply(study, "protocol.b.batch.terms=8"); study["protocol"]
    [{'name': 'a', 'epochs': 2}, {'name': 'b', 'epochs': 2, 'batch': {'terms': 8}}]
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise InvalidStudy(f"--set {setting!r}: expected KEY=VALUE, for example --set protocol.epochs=10")
    _put(document, key.strip().split("."), _value(value.strip()), setting)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _put(part: Any, path: list[str], value: Any, setting: str) -> None:
    if isinstance(part, list):
        named = [
            entry for entry in part if isinstance(entry, dict) and path[0] in (entry.get("label"), entry.get("name"))
        ]
        for entry in named or part:
            _put(entry, path[1:] if named else path, value, setting)
    elif not isinstance(part, dict) or not path:
        raise InvalidStudy(
            f"--set {setting!r}: there is nothing to set at this path; give the path of a key, for "
            "example protocol.batch.terms"
        )
    elif len(path) == 1:
        part[path[0]] = value
    else:
        _put(part.setdefault(path[0], {}), path[1:], value, setting)
