"""The manifest of a study's folder: the study itself, what is known of its data, and one entry for each invocation."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.files import read_json, write_json
from losscope.table import SCHEMA_VERSION


def add_invocation(
    folder: Path,
    *,
    seeds: Sequence[int],
    data: Mapping[str, Mapping[str, Any]],
    device: str,
    planned: int,
    finished_before: int,
) -> None:
    """Add this invocation to `folder`'s manifest: the runs it is to train, what it found there, what it runs on.

    The resolved study stands there too, as in study.json.
    """
    from losscope.training.environment import environment  # brings torch, which joining manifests has no need of

    path = folder / "manifest.json"
    manifest: dict[str, Any] = read_json(path) if path.is_file() else {"invocations": []}
    manifest["schema"] = SCHEMA_VERSION
    manifest["study"] = {key: value for key, value in read_json(folder / "study.json").items() if key != "schema"}
    before = manifest.get("data", {})
    manifest["data"] = before | {name: joined_data(before.get(name, {}), about) for name, about in data.items()}
    manifest["invocations"].append(
        {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            **environment(device),
            "seeds": list(seeds),
            "runs_planned": planned,
            "runs_finished_before": finished_before,
        }
    )
    write_json(path, manifest)


def joined(manifests: Sequence[Mapping[str, Any]], study: Mapping[str, Any]) -> dict[str, Any]:
    """One manifest of several of the same `study`: every invocation once, every data set with all of its fingerprints."""
    data: dict[str, Any] = {}
    invocations: list[Any] = []
    merged: list[Any] = []
    for manifest in manifests:
        data |= {name: joined_data(data.get(name, {}), about) for name, about in manifest.get("data", {}).items()}
        invocations += [one for one in manifest.get("invocations", []) if one not in invocations]
        merged += [one for one in manifest.get("merged", []) if one not in merged]
    return {
        "schema": SCHEMA_VERSION,
        "study": dict(study),
        "invocations": invocations,
        "data": data,
        "merged": merged,
    }


def joined_data(before: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a data set, the fingerprints of seeds that only the knowledge `before` had kept."""
    return {**before, **about, "fingerprints": {**before.get("fingerprints", {}), **about.get("fingerprints", {})}}
