"""What a reader of any table must know about data: the sentences of `Dataset.note`, and `Dataset.name`."""

from __future__ import annotations


def joined_notes(*notes: str) -> str:
    """The notes that say something, as one.

    >>> joined_notes("", "8 of the 9 images", "")
    '8 of the 9 images'
    """
    return "; ".join(filter(None, notes))


def counted(found: int, whole: int) -> str:
    """Says how many of the images are there, unless all are."""
    return "" if found == whole else f"{found:,} of the {whole:,} images"


def limited(limit: int | None) -> str:
    """Says that only the first samples of each class were taken."""
    return "" if limit is None else f"at most {limit} samples of each class in each split"


def imagenet_overlap(backbone: str) -> str:
    """Says that a backbone trained on ImageNet has seen some of the images."""
    return "" if backbone == "pixels" else "ImageNet, which the backbone was trained on, has some of these images"


def named(
    name: str, split: str, backbone: str = "", default: str = "", coarse: str | None = None, *, class_split: int = 0
) -> str:
    """The name in tables: the split protocol, a drawn class split, coarse labels, and the view if it is not the data
    set's default.

    >>> named("cub200", "class_disjoint", "pixels", default="efficientnet_lite0")
    'cub200/class_disjoint+pixels'
    >>> named("cars196", "train_half_closed", "pixels", default="pixels", coarse="make")
    'cars196/train_half_closed/make'
    >>> named("digits", "class_disjoint", class_split=3)
    'digits/class_disjoint/3'
    """
    return "/".join(filter(None, [name, split, str(class_split or ""), coarse])) + (
        "" if backbone == default else f"+{backbone}"
    )
