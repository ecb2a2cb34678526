"""ViT-B/32 (Dosovitskiy et al., ICLR 2021) through transformers: 768 features, the normed class token.

Weights are a folder in the model hub's format (config.json, *.safetensors) or the name of a model on the hub.
The default was trained on ImageNet-21k; arXiv 2510.02161 took torchvision's ImageNet-1k weights, so its
numbers need not agree. Images are prepared as the folder's preprocessor_config.json says, else squashed to
224 px, bilinear, with ImageNet's mean and deviation, as torchvision users do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.data.backbones.backbone import Backbone, sha256_of
from losscope.data.decoding import Fit
from losscope.data.pixels import IMAGENET, PixelScale
from losscope.errors import InvalidInput, MissingData, MissingDependency

if TYPE_CHECKING:
    from torch import nn

DEFAULT_WEIGHTS = "google/vit-base-patch32-224-in21k"
SIZE = 224
RESAMPLING = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, as the hub stores them


def vit_b32(weights: str | None, size: int | None) -> Backbone:
    """The backbone with the weights of a local folder or of the hub.

    Raises MissingData if there are no such weights or the hub can't be reached, InvalidInput if they are not
    of a ViT, MissingDependency without transformers.
    """
    folder = _folder(weights or DEFAULT_WEIGHTS)
    config = _json(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    if config is None or not files:
        raise MissingData(
            f"the weights of vit_b32 were looked for in {folder}; expected config.json and model.safetensors "
            "(save_pretrained writes them; pickled .bin files are never read)"
        )
    if config.get("model_type") != "vit":
        raise InvalidInput(f"{folder / 'config.json'} describes a '{config.get('model_type')}'; expected a 'vit'")
    fit, scale = preparation(_json(folder / "preprocessor_config.json") or {}, size)
    return Backbone(
        name="vit_b32",
        weights=weights or DEFAULT_WEIGHTS,
        weights_sha256=sha256_of([folder / "config.json", *files]),
        fit=fit,
        scale=scale,
        load=lambda: _load(folder, fit.size),
    )


def preparation(config: Mapping[str, Any], size: int | None = None) -> tuple[Fit, PixelScale]:
    """How images are fitted and scaled according to a preprocessor_config.json; `size` replaces its size.

    >>> preparation({})[0]
    Fit(size=224, fraction=1.0, keep_shape=False, resampling='bilinear')
    """
    resize = config.get("size", SIZE)
    resize = {"height": resize} if isinstance(resize, int) else resize
    resampling: Any = RESAMPLING[config.get("resample", 2)]
    if "shortest_edge" in resize:
        crop = config.get("crop_size", resize["shortest_edge"])
        crop = crop if isinstance(crop, int) else crop["height"]
        fit = Fit(size or crop, crop / resize["shortest_edge"], keep_shape=True, resampling=resampling)
    else:
        fit = Fit(size or resize["height"], resampling=resampling)
    mean, std = config.get("image_mean", IMAGENET.mean), config.get("image_std", IMAGENET.std)
    return fit, PixelScale(tuple(mean), tuple(std))


def _folder(weights: str) -> Path:
    if Path(weights).is_dir():
        return Path(weights)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingDependency.of("transformers", "transformers", "the backbone vit_b32") from None
    try:
        return Path(snapshot_download(weights, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub's client raises its own, HTTP and OS errors
        raise MissingData(
            f"the weights of vit_b32 were looked for in the folder '{weights}' and on the model hub "
            f"({type(error).__name__}: {str(error).splitlines()[0]}). Set backbone_weights to a folder with "
            f"config.json and model.safetensors, or where there is a network: hf download {weights}"
        ) from None


def _json(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON ({error}); fetch it again") from None
    if not isinstance(read, dict):
        raise InvalidInput(f"{path} holds a {type(read).__name__}; expected a JSON object; fetch it again")
    return read


def _load(folder: Path, size: int) -> nn.Module:
    from torch import Tensor, nn

    try:
        from transformers import ViTModel
    except ImportError:
        raise MissingDependency.of("transformers", "transformers", "the backbone vit_b32") from None

    class ClassToken(nn.Module):
        def __init__(self, network: nn.Module, resized: bool) -> None:
            super().__init__()
            self.network, self.resized = network, resized

        def forward(self, images: Tensor) -> Tensor:
            tokens: Tensor = self.network(images, interpolate_pos_encoding=self.resized).last_hidden_state
            return tokens[:, 0]

    load: Any = ViTModel.from_pretrained  # typed as if it never returned the report
    try:
        network, report = load(
            str(folder), add_pooling_layer=False, local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # whatever safetensors or transformers meet in a damaged file
        raise InvalidInput(f"{folder} can't be loaded ({type(error).__name__}: {error}); fetch it again") from None
    if report["missing_keys"]:
        raise InvalidInput(f"{folder} lacks {len(report['missing_keys'])} weights of a ViT; fetch it again")
    return ClassToken(network, resized=size != network.config.image_size)
