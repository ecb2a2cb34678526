"""The ViT path from weights in a folder to a trained head, through the command line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cli.conftest import Cli

STUDY = """
name = "vit"
seeds = 2
[[data]]
name = "cifar10"
backbone = "vit_b32"
backbone_weights = "{weights}"
[[protocol]]
name = "head"
model = {{ name = "linear", widths = [512] }}
epochs = 2
batch = {{ terms = 16 }}
[[loss]]
name = "contrastive"
[[loss]]
name = "triplet"
"""


def images(path: Path, count: int, random: np.random.Generator) -> None:
    """A parquet file in the Hugging Face schema: ten classes, each with a color of its own."""

    def png(label: int) -> bytes:
        pixels = random.integers(0, 120, (32, 32, 3)) + 13 * label
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        return file.getvalue()

    labels = [row % 10 for row in range(count)]
    pictures = [{"bytes": png(label), "path": None} for label in labels]
    pq.write_table(pa.table({"img": pictures, "label": labels}), path)


def test_head_on_vit_features(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        images(tmp_path / "data" / "cifar10" / f"{split}.parquet", count, random)
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        patch_size=32, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96
    )
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "weights")
    study = tmp_path / "vit.toml"
    study.write_text(STUDY.format(weights=tmp_path / "weights"))

    called = cli("study", study, "--out", tmp_path / "o", "--data", tmp_path / "data", "--jobs", 1, "--json")
    assert called.code == 0, called.err
    assert called.json()["runs"] == 6  # 2 losses x 2 seeds, and the features themselves, as they are and whitened
    rows = cli("table", tmp_path / "o", "--format", "json").json()
    assert {row["dataset"] for row in rows} == {"cifar10+vit_b32"}
    value = {
        (row["loss"], row["seed"], row["epoch"], row["diagnostic"]): row["value"]
        for row in rows
        if row["split"] in (None, "train")
    }
    for loss in ("contrastive", "triplet"):
        for seed in (0, 1):
            assert value[loss, seed, 2, "gradient_norm"] > 0
            assert value[loss, seed, 2, "inter_class_distance_mean"] > value[loss, seed, 0, "inter_class_distance_mean"]
