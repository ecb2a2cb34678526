"""Image files of every form: parquet, folders, CIFAR's batches, CUB's lists; what is read, what refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from losscope.data.decoding import Fit, decode, jpeg_quality, open_rgb, short_side
from losscope.data.pictures import Pictures, joined
from losscope.data.pixels import CIFAR10, scaled
from losscope.data.readers.cifar_binary import read_cifar_binary
from losscope.data.readers.cub_original import read_cub_original
from losscope.data.readers.image_folder import read_image_folder
from losscope.data.readers.image_parquet import parquet_size, read_image_parquet
from losscope.errors import InvalidInput

Writer = Callable[..., Path]
Encoder = Callable[..., bytes]


def named_table(picture: Encoder) -> pa.Table:
    """Four images of two named classes; metadata point to unusual columns."""
    cells = [{"bytes": picture(row), "path": None} for row in range(4)]
    features = {"photo": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table({"photo": cells, "kind": [0, 1, 1, 0]}).replace_schema_metadata(metadata)


def test_parquet_by_the_usual_column_names(tmp_path: Path, write_parquet: Writer, picture: Encoder) -> None:
    for column in ("image", "img"):
        pictures = read_image_parquet([write_parquet(tmp_path / "a.parquet", [2, 0, 1], column=column)])
        assert pictures.labels.tolist() == [2, 0, 1]
        assert pictures.class_names == ("0", "1", "2")
        assert pictures.images[1] == picture(1)
        assert pictures.origins[2] == f"row 2 of {tmp_path / 'a.parquet'}"


def test_parquet_by_its_metadata(tmp_path: Path, picture: Encoder) -> None:
    pq.write_table(named_table(picture), tmp_path / "a.parquet")
    pictures = read_image_parquet([tmp_path / "a.parquet"])
    assert (pictures.class_names, pictures.labels.tolist()) == (("cat", "dog"), [0, 1, 1, 0])
    assert parquet_size(tmp_path / "a.parquet") == (4, 2)


def test_parquet_may_hold_paths(tmp_path: Path, picture: Encoder) -> None:
    (tmp_path / "a.png").write_bytes(picture(7))
    table = pa.table({"image": [{"bytes": None, "path": "a.png"}], "label": [0]})
    pq.write_table(table, tmp_path / "a.parquet")
    pictures = read_image_parquet([tmp_path / "a.parquet"])
    assert decode(pictures).shape == (1, 30, 40, 3)


def test_shards_are_joined_in_order(tmp_path: Path, write_parquet: Writer) -> None:
    paths = [write_parquet(tmp_path / f"{part}.parquet", [part, 1]) for part in range(2)]
    assert read_image_parquet(paths).labels.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [{"bytes": b"x", "path": ""}], "kind": [0]}, "columns image, kind; expected one of label"),
        ({"label": [0]}, "columns label; expected one of image, img"),
        (
            {"image": [{"bytes": b"x", "path": ""}], "label": [0.5]},
            "labels of type double, 0 of them missing",
        ),
        ({"image": [{"bytes": b"x", "path": ""}] * 2, "label": [0, None]}, "1 of them missing"),
        ({"image": [None], "label": pa.array([0])}, "row 0 of .* holds no image but NoneType"),
        ({"image": ["a.png"], "label": [0]}, "holds no image but str"),
        ({"image": [{"bytes": b"x", "path": ""}], "label": [-1]}, "has the label -1; expected 0 to"),
    ],
)
def test_parquet_of_another_kind(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match=message) as raised:
        read_image_parquet([tmp_path / "a.parquet"])
    assert str(tmp_path / "a.parquet") in str(raised.value)


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, write_parquet: Writer, share: float) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0, 1])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for read in (parquet_size, lambda path: read_image_parquet([path])):
        with pytest.raises(InvalidInput, match=rf"{path} can't be read .*expected a whole parquet file"):
            read(path)


def test_image_folders_are_sorted_by_class_and_name(tmp_path: Path, picture: Encoder) -> None:
    for name in ("dog/2.png", "dog/1.JPG", "cat/deep/9.jpeg", "dog/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(1))
    pictures = read_image_folder(tmp_path)
    assert pictures.class_names == ("cat", "dog")
    assert pictures.labels.tolist() == [0, 1, 1]
    assert [Path(origin).name for origin in pictures.origins] == ["9.jpeg", "1.JPG", "2.png"]


def test_an_image_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(InvalidInput, match="holds 1 folders and no image"):
        read_image_folder(tmp_path)


def test_cifar_batches(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    records = [bytes([label]) + pixels[at].transpose(2, 0, 1).tobytes() for at, label in enumerate((9, 0, 4))]
    (tmp_path / "data_batch_1.bin").write_bytes(b"".join(records))
    pictures = read_cifar_binary([tmp_path / "data_batch_1.bin"], tuple("abcdefghij"))
    assert pictures.labels.tolist() == [9, 0, 4]
    np.testing.assert_array_equal(decode(pictures), pixels)
    (tmp_path / "data_batch_1.bin").write_bytes(b"".join(records)[:-1])
    with pytest.raises(InvalidInput, match=r"holds 9,218 bytes; expected a multiple of 3,073"):
        read_cifar_binary([tmp_path / "data_batch_1.bin"], tuple("abcdefghij"))


def write_cub(folder: Path, picture: Encoder) -> None:
    """Two classes of three images, listed out of order."""
    folder.mkdir(parents=True)
    lists = {
        "images.txt": "3 001.A/c.jpg\n1 001.A/a.jpg\n2 001.A/b.jpg\n4 002.B/d.jpg\n5 002.B/e.jpg\n6 002.B/f.jpg\n",
        "image_class_labels.txt": "1 1\n2 1\n3 1\n4 2\n5 2\n6 2\n",
        "train_test_split.txt": "1 1\n2 1\n3 0\n4 1\n5 0\n6 1\n",
        "classes.txt": "1 001.A\n2 002.B\n",
    }
    for name, content in lists.items():
        (folder / name).write_text(content)
    for line in lists["images.txt"].splitlines():
        path = folder / "images" / line.split()[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(1))


def test_the_lists_of_cub(tmp_path: Path, picture: Encoder) -> None:
    write_cub(tmp_path / "c", picture)
    pictures, is_train = read_cub_original(tmp_path / "c")
    assert pictures.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert is_train.tolist() == [False, True, True, True, False, True]
    assert pictures.class_names == ("001.A", "002.B")
    assert decode(pictures).shape == (6, 30, 40, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("image_class_labels.txt", "1 1\n", "list 6, 1 and 6 images"),
        ("train_test_split.txt", "1\n", "train_test_split.txt can't be read"),
        ("classes.txt", "1 A\n", "has the label -1; expected 0 to 0"),
        ("images.txt", None, "images.txt can't be read"),
    ],
)
def test_damaged_lists_of_cub(tmp_path: Path, picture: Encoder, name: str, content: str | None, message: str) -> None:
    write_cub(tmp_path / "c", picture)
    (tmp_path / "c" / name).unlink()
    if content is not None:
        (tmp_path / "c" / name).write_text(content)
    with pytest.raises(InvalidInput, match=message):
        read_cub_original(tmp_path / "c")


def pictures_of(*images: bytes) -> Pictures:
    return Pictures(images, np.zeros(len(images), np.int64), ("a",), [f"image {at}" for at in range(len(images))])


def test_joined_parts_must_agree_on_the_classes(picture: Encoder) -> None:
    part = pictures_of(picture(0))
    other = Pictures(part.images, part.labels, ("b",), part.origins)
    assert len(joined([part, part])) == 2
    with pytest.raises(InvalidInput, match="name different classes"):
        joined([part, other])


def test_the_digest_follows_content_and_order(picture: Encoder) -> None:
    one, other = picture(1), picture(2)
    digest = pictures_of(one, other).digest()
    assert digest == pictures_of(one, other).digest()
    assert digest not in (
        pictures_of(other, one).digest(),
        pictures_of(one).digest(),
        pictures_of(one + other).digest(),
    )


def test_gray_and_transparent_images_become_rgb() -> None:
    for mode in ("L", "RGBA", "P", "1", "CMYK"):
        Image.new(mode, (5, 4)).save(buffer := io.BytesIO(), "TIFF")
        assert open_rgb(buffer.getvalue(), "x").mode == "RGB"


def test_images_of_different_sizes_need_a_size(picture: Encoder) -> None:
    pictures = pictures_of(picture(0), picture(1, size=(8, 9)))
    with pytest.raises(InvalidInput, match=r"image 1 has 8 x 9 pixels, image 0 has 40 x 30.*set the option 'size'"):
        decode(pictures)
    assert decode(pictures, Fit(16)).shape == (2, 16, 16, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_damaged_image_is_named(picture: Encoder, form: str) -> None:
    whole = picture(0, form=form)
    for damaged in (b"", b"no image", whole[: len(whole) // 2], whole[:40]):
        with pytest.raises(InvalidInput, match="image 1 can't be decoded"):
            decode(pictures_of(whole, damaged))


def test_an_absent_image_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"x can't be decoded .*FileNotFoundError"):
        open_rgb(tmp_path / "absent.png", "x")


def test_fits_take_the_part_of_the_image_they_say() -> None:
    """A wide image, left half black, right half white."""
    half = np.zeros((20, 40, 3), np.uint8)
    half[:, 20:] = 255
    image = Image.fromarray(half)
    squashed, centered = np.asarray(Fit(16)(image)), np.asarray(Fit(16, keep_shape=True)(image))
    for pixels in (squashed, centered):
        assert pixels.shape == (16, 16, 3)
        assert (pixels[:, :4] == 0).all()
        assert (pixels[:, -4:] == 255).all()


def test_a_centered_part_is_what_resizing_and_cropping_gives() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 36, 3)).astype(np.uint8))
    cropped = image.resize((72, 32), Image.Resampling.BICUBIC).crop((22, 2, 50, 30))
    ours = np.asarray(Fit(28, fraction=0.875, keep_shape=True)(image), dtype=int)
    np.testing.assert_allclose(ours, np.asarray(cropped, dtype=int), atol=1)


def test_progress_reaches_the_total(picture: Encoder) -> None:
    seen: list[tuple[str, int, int]] = []
    decode(pictures_of(*[picture(0)] * 300), None, lambda *said: seen.append(said))
    assert seen == [("decoding images", 256, 300), ("decoding images", 300, 300)]


def test_scaling_is_the_formula_channels_first() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    expected = (images / 255 - np.array(CIFAR10.mean)) / np.array(CIFAR10.std)
    assert scaled(images, CIFAR10).dtype == np.float32
    np.testing.assert_allclose(scaled(images, CIFAR10), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_quality_and_short_side_are_found(picture: Encoder) -> None:
    Image.new("RGB", (8, 8)).save(buffer := io.BytesIO(), "JPEG", quality=75)
    assert jpeg_quality(buffer.getvalue()) == 75
    assert jpeg_quality(picture(0)) is None
    assert short_side(pictures_of(picture(0), picture(1, size=(10, 90)), picture(2))) == 30
