"""A user's own features: every file format, keys, labels as numbers or names, splits, and damage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from losscope.data import load
from losscope.data.readers.arrays import read_arrays
from losscope.errors import InvalidInput, InvalidStudy, MissingData

FEATURES = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
LABELS = np.arange(12) % 4
IS_TRAIN = np.arange(12) < 8


def write(path: Path, **arrays: np.ndarray) -> None:
    """Writes the arrays in the format of the path's ending."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    else:
        pq.write_table(pa.table({name: list(array) for name, array in arrays.items()}), path)


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".safetensors"])
def test_every_format_gives_the_same_data(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"mine{ending}", features=FEATURES, label=LABELS, is_train=IS_TRAIN)
    data = load("features", path=f"mine{ending}", split="given", folder=tmp_path)
    assert (data.name, data.split_protocol) == ("features:mine/given", "given")
    np.testing.assert_array_equal(data.splits["train"].inputs, FEATURES[:8])
    np.testing.assert_array_equal(data.splits["test"].inputs, FEATURES[8:])
    np.testing.assert_array_equal(data.splits["test"].labels, LABELS[8:])


def test_features_and_labels_of_two_npy_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", FEATURES)
    np.save(tmp_path / "y.npy", LABELS)
    monkeypatch.chdir(tmp_path)
    data = load("features", path="x.npy", labels_path="y.npy", split="class_disjoint")
    assert set(data.splits["train"].labels) == {0, 1}
    assert not data.shares_classes
    np.save(tmp_path / "y.npy", np.arange(12) % 6)
    data = load("features", path="x.npy", labels_path="y.npy", split="class_disjoint_validation")
    assert {name: set(split.labels) for name, split in data.splits.items()} == {
        "train": {0, 1}, "validation": {2}, "test": {3, 4, 5},
    }  # fmt: skip
    assert data.name == "features:x/class_disjoint_validation"
    with pytest.raises(InvalidInput, match=r"x.npy holds array; expected label or labels or targets or y"):
        load("features", path="x.npy")


def test_keys_name_the_arrays(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", layer3=FEATURES, features=np.zeros((12, 1)), species=LABELS, label=LABELS * 0)
    data = load("features", path="a.npz", features_key="layer3", labels_key="species", folder=tmp_path)
    assert data.input_shape == (3,)
    assert set(data.splits["train"].labels) == {0, 1, 2, 3}
    with pytest.raises(InvalidInput, match=r"holds features, label, layer3, species; expected layer4; name the"):
        load("features", path="a.npz", features_key="layer4", folder=tmp_path)


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_names_become_numbers(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"a{ending}", x=FEATURES, y=np.array(["wren", "owl"] * 6))
    data = load("features", path=f"a{ending}", folder=tmp_path)
    assert data.class_names == ("owl", "wren")
    assert (data.name, data.split_protocol) == ("features:a", "stratified_half")
    owls = [row.tobytes() for row in FEATURES[1::2]]
    for inputs, label in zip(data.splits["train"].inputs, data.splits["train"].labels, strict=True):
        assert (inputs.tobytes() in owls) == (label == 0)


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(FEATURES).bfloat16()
    save_torch_file({"features": tensor, "label": torch.from_numpy(LABELS)}, tmp_path / "a.safetensors")
    arrays = read_arrays(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(arrays["features"], tensor.float().numpy())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": FEATURES[:11], "y": LABELS}, r"features \(11, 3\) and .* labels \(12,\)"),
        ({"x": FEATURES, "y": LABELS[:, None]}, r"labels \(12, 1\)"),
        ({"x": FEATURES, "y": LABELS + 0.5}, "labels have the type float64"),
        ({"x": FEATURES, "y": np.where(LABELS, np.nan, 1)}, "labels have the type float64"),
        ({"x": FEATURES, "y": LABELS * 0}, "single class 0"),
        ({"x": FEATURES, "y": LABELS * 0 - 1}, "all 6 labels of 'train' are -1"),
        ({"x": FEATURES, "y": LABELS - 9}, "labels hold -9"),
        (
            {"x": FEATURES * np.nan, "y": LABELS},
            r"a.npz: inputs are NaN or infinite in 12 of 12 samples, first in row 0",
        ),
        ({"x": FEATURES.astype(str), "y": LABELS}, "expected real numbers"),
        ({"x": FEATURES[:0], "y": LABELS[:0]}, "at least one sample"),
        ({"x": FEATURES[:, 0], "y": LABELS}, r"inputs have the shape \(8,\)"),
    ],
)
def test_what_can_not_be_trained_on(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    write(tmp_path / "a.npz", **arrays)
    with pytest.raises(InvalidInput, match=message):
        load("features", path="a.npz", folder=tmp_path)


@pytest.mark.parametrize("given", [None, IS_TRAIN[:5], np.arange(12), np.array(["yes"] * 12)])
def test_a_given_split_must_be_given(tmp_path: Path, given: np.ndarray | None) -> None:
    arrays = {"x": FEATURES, "y": LABELS} | ({} if given is None else {"is_train": given})
    write(tmp_path / "a.npz", **arrays)
    with pytest.raises(InvalidInput, match="expected 'is_train' among them, true or false for each row"):
        load("features", path="a.npz", split="given", folder=tmp_path)


def test_missing_files_and_options(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=rf"Looked for: absent.npz, {tmp_path}/absent.npz"):
        load("features", path="absent.npz", folder=tmp_path)
    with pytest.raises(InvalidStudy, match="needs the option 'path'"):
        load("features")
    with pytest.raises(InvalidStudy, match="path = 3 is not valid"):
        load("features", path=3)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, []], dtype=object), y=LABELS)
    with pytest.raises(InvalidInput, match="without pickled objects"):
        load("features", path="a.npz", folder=tmp_path)
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"ends in '.pkl'; expected one of .npz, .npy, .parquet, .safetensors"):
        load("features", path="a.pkl", folder=tmp_path)


@pytest.mark.parametrize("ending", [".npz", ".npy", ".parquet", ".safetensors"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-9], lambda content: b"no" * 99])
def test_damage_names_the_file(tmp_path: Path, ending: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".npy":
        np.save(path, FEATURES)
    else:
        write(path, x=FEATURES, y=LABELS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidInput, match=rf"{path} can't be read"):
        read_arrays(path)


@settings(max_examples=60)
@given(data=st.data(), ending=st.sampled_from([".npz", ".npy", ".safetensors"]))
def test_any_damage_is_invalid_input_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: Any, ending: str
) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"a{ending}"
    if ending == ".npy":
        np.save(path, FEATURES)
    else:
        write(path, x=FEATURES, y=LABELS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with suppress(InvalidInput):  # whatever else is raised fails the test
        assert read_arrays(path).keys() <= {"x", "y", "array"} or len(content)


# coarse labels ------------------------------------------------------------------------------------------------


def test_own_coarse_labels_are_trained_on(tmp_path: Path) -> None:
    family = np.array(["cat", "dog"])[LABELS // 2]
    np.savez(tmp_path / "mine.npz", features=FEATURES, label=LABELS, family=family)
    data = load("features", path="mine.npz", coarse_key="family", folder=tmp_path)
    assert (data.name, data.class_names) == ("features:mine/family", ("cat", "dog"))
    plain = load("features", path="mine.npz", folder=tmp_path)
    for name, split in data.splits.items():
        np.testing.assert_array_equal(split.inputs, plain.splits[name].inputs)
        np.testing.assert_array_equal(split.fine, plain.splits[name].labels)
        np.testing.assert_array_equal(split.labels, plain.splits[name].labels // 2)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (LABELS, "mine.npz: each of the 4 coarse classes holds a single class"),
        (LABELS / 2, "mine.npz: labels have the type float64"),
        (np.arange(12) % 3, "fine class 0 lies in 3 classes"),
        (np.zeros((12, 2), dtype=np.int64), "expected one of each a sample"),
    ],
)
def test_coarse_labels_that_are_none_are_refused(tmp_path: Path, family: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "mine.npz", features=FEATURES, label=LABELS, family=family)
    with pytest.raises(InvalidInput, match=message):
        load("features", path="mine.npz", coarse_key="family", folder=tmp_path)


def test_a_missing_coarse_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", features=FEATURES, label=LABELS)
    with pytest.raises(InvalidInput, match="holds features, label; expected family"):
        load("features", path="mine.npz", coarse_key="family", folder=tmp_path)
