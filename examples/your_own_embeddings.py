"""Embeddings of your own, from any model: how good, where they fail, whether they collapse, and what a change did.

Run it:  python examples/your_own_embeddings.py [FOLDER]

The same from a shell, on files:

    losscope diagnose embeddings.npy --labels labels.txt --out diagnosis
    losscope diagnose new.npy --labels labels.txt --against old.npy --fail-if "map_at_r.low < -0.01"
"""

from __future__ import annotations

import sys

import numpy as np

import losscope
from losscope import data


def main(folder: str | None = None) -> float:
    """Diagnose the pixels of the embedded digits, and a smaller version of them against these; the change in MAP@R."""
    digits = data.load("digits").splits["test"]
    pixels = digits.inputs.reshape(len(digits), -1)
    names = [f"a digit {label}" for label in digits.labels]  # any labels: integers, strings, sets

    found = losscope.diagnose(pixels, names, out=folder)
    print(found)
    worst = found.per_class.sort_by("map_at_r").slice(0, 1).to_pylist()[0]
    print(f"lowest MAP@R: {worst['label']}, {worst['map_at_r']:.3f}; nearest class: {worst['nearest_class']}")
    unsure = found.frame().filter(np.nan_to_num(found.frame()["suspect"].to_numpy(), nan=-1) > 0.5)
    print(f"rows to look at: {unsure['row'].to_pylist()[:5]}")

    smaller = pixels.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(len(pixels), -1)  # 64 dimensions become 16
    compared = losscope.diagnose(smaller, names, against=pixels)
    change = compared.comparison["differences"]["map_at_r"]
    print(f"a quarter of the dimensions: MAP@R {change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]")
    return change["mean"]


if __name__ == "__main__":
    main(*sys.argv[1:])
