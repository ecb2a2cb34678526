"""Image folders: one subfolder per class, the images in it; classes in the order of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures
from losscope.errors import InvalidInput

ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


def read_image_folder(folder: Path) -> Pictures:
    """The images `folder/class/name.jpg`, sorted by class and name. Raises InvalidInput if there are none."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in ENDINGS
    ]
    if not files:
        raise InvalidInput(
            f"{folder} holds {len(classes)} folders and no image in them; expected "
            f"{folder / 'class' / 'name.jpg'} (endings {', '.join(sorted(ENDINGS))})"
        )
    labels, paths = zip(*files, strict=True)
    return Pictures(paths, np.array(labels, np.int64), tuple(classes), [str(path) for path in paths])
