"""Coarse labels: the rules by name, what becomes of labels and splits, and the table of hypernyms against WordNet."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.hypernyms import NOUNS, document, grouped, synsets

from losscope.data import Dataset, Split, load
from losscope.data.coarse import by_name, hypernym, last_word, make, parity, several_only
from losscope.data.notes import named
from losscope.errors import InvalidInput, InvalidStudy
from losscope.study import Protocol
from losscope.training.prepare import prepare

TABLE = files("losscope.data.coarse") / "hypernyms.toml"


def test_digits_become_even_and_odd() -> None:
    fine, coarse = load("digits"), load("digits", coarse="parity")
    assert (coarse.name, coarse.class_names, coarse.shares_classes) == ("digits/parity", ("even", "odd"), True)
    for name, split in fine.splits.items():
        np.testing.assert_array_equal(coarse.splits[name].inputs, split.inputs)
        np.testing.assert_array_equal(coarse.splits[name].labels, split.labels % 2)
        np.testing.assert_array_equal(coarse.splits[name].fine, split.labels)
        assert split.fine is None
    assert coarse.fingerprint != fine.fingerprint


def test_records_of_data_without_coarse_labels_keep_their_fingerprint() -> None:
    assert load("digits").fingerprint == "091d1c70e7de057672a44e4d4d5dc7fe50f5db227c0e816ba3eec00463049fd4"


def test_a_limit_counts_fine_classes() -> None:
    split = load("digits", coarse="parity", limit=3).splits["train"]
    assert split.fine is not None
    assert np.bincount(split.fine).tolist() == [3] * 10


def test_an_unknown_coarse_label_is_refused() -> None:
    with pytest.raises(InvalidStudy, match="coarse = 'odd' is not valid"):
        load("digits", coarse="odd")


@pytest.mark.parametrize(
    ("rule", "name", "group"),
    [
        (parity, "7", "odd"),
        (last_word, "Le_Conte_Sparrow", "Sparrow"),
        (last_word, "009.Brewer_Blackbird", "Blackbird"),
        (last_word, "Geococcyx", "Geococcyx"),
        (make, "Mercedes-Benz E-Class Sedan 2012", "Mercedes-Benz"),
        (make, "Land Rover LR2 SUV 2012", "Land Rover"),
        (make, "AM General Hummer SUV 2000", "AM General"),
        (make, "smart fortwo Convertible 2012", "smart"),
        (hypernym, "n02099601", "dog"),
    ],
)
def test_rules(rule: Callable[[str], str], name: str, group: str) -> None:
    assert rule(name) == group


def test_a_class_alone_in_its_coarse_class_has_no_fine_label() -> None:
    found = by_name(np.array([0, 1, 2, 2, -1]), ("Sooty_Albatross", "Laysan_Albatross", "Mallard"), last_word)
    assert found.names == ("Albatross", "Mallard")
    assert found.coarse.tolist() == [0, 0, 1, 1, -1]
    assert found.fine.tolist() == [0, 1, -1, -1, -1]


def test_a_class_counts_only_where_there_are_samples_of_it() -> None:
    assert several_only(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 2, 2, -1])).tolist() == [0, 1, -1, -1, -1]


def test_classes_without_names_or_without_siblings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="labels reach 3 and 2 classes have names"):
        by_name(np.array([0, 3]), ("a", "b"), last_word)
    with pytest.raises(InvalidInput, match="each of the 2 coarse classes holds a single class"):
        by_name(np.array([0, 1]), ("House_Wren", "Mallard"), last_word)
    with pytest.raises(InvalidInput, match="class 'wolf' is none of the 200"):
        hypernym("wolf")


# data sets --------------------------------------------------------------------------------------------------


def dataset(fine: list[int] | None, labels: list[int], train: bool = True) -> Dataset:
    split = Split(np.zeros((len(labels), 2)), np.array(labels), None if fine is None else np.array(fine))
    return Dataset("own", {"train": split, **({} if train else {"test": Split(split.inputs, split.labels)})}, "given")


def test_fine_labels_are_checked() -> None:
    assert dataset([0, 1, 2, -1], [0, 0, 1, 1]).splits["train"].fine is not None
    with pytest.raises(InvalidInput, match="fine labels have the shape"):
        dataset([0, 1, 2], [0, 0, 1, 1])
    with pytest.raises(InvalidInput, match="fine class 1 lies in 2 classes; expected each within one"):
        dataset([0, 1, 1, 2], [0, 0, 1, 1])
    with pytest.raises(InvalidInput, match="has fine labels in \\['train'\\] of the splits"):
        dataset([0, 1, 2, 2], [0, 0, 1, 1], train=False)


@pytest.mark.parametrize("outliers", ["negatives", "class", "drop"])
@pytest.mark.parametrize("inputs", ["raw", "unit_length", "standardized"])
def test_a_protocol_keeps_each_sample_its_fine_label(outliers: str, inputs: str) -> None:
    labels, fine = np.array([0, 0, -1, 1, 1, 1]), np.array([3, 4, -1, 5, 6, 6])
    split = Split(np.arange(12.0).reshape(6, 2), labels, fine)
    given = Dataset("own", {"train": split, "test": split}, "given")
    protocol = Protocol.model_validate({"name": "p", "inputs": inputs, "batch": {"outliers": outliers}})
    for name, part in prepare(given, protocol).splits.items():
        kept = labels != -1 if outliers == "drop" and name == "train" else np.ones(6, dtype=bool)
        assert part.fine is not None
        np.testing.assert_array_equal(part.fine, fine[kept])


def write(folder: Path, picture: Callable[..., bytes], name: str, class_names: list[str]) -> None:
    """Four images of each class in every part, the classes named as in the schema of Hugging Face datasets."""
    features = {"label": {"_type": "ClassLabel", "names": class_names}, "image": {"_type": "Image"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    labels = list(range(len(class_names))) * 4
    (folder / name).mkdir()
    for part, first in (("train", 0), ("test", 50), ("valid", 0)):
        images = [{"bytes": picture(first + row), "path": f"{row}.png"} for row in range(len(labels))]
        table = pa.table({"image": images, "label": labels}).replace_schema_metadata(about)
        pq.write_table(table, folder / name / f"{part}.parquet")


@pytest.mark.parametrize(
    ("name", "coarse", "class_names", "groups"),
    [
        ("cub200", "last_word", ["House_Wren", "Rock_Wren", "Common_Tern", "Black_Tern"], ("Tern", "Wren")),
        ("cars196", "make", ["Audi R8 Coupe 2012", "Audi TT 2011", "BMW M3 2012", "BMW M5 2010"], ("Audi", "BMW")),
        ("tiny_imagenet", "hypernym", ["n02085620", "n02094433", "n02123045", "n02123394"], ("dog", "feline")),
    ],
)
def test_image_sets_have_coarse_labels(
    tmp_path: Path,
    picture: Callable[..., bytes],
    name: str,
    coarse: str,
    class_names: list[str],
    groups: tuple[str, ...],
) -> None:
    write(tmp_path, picture, name, class_names)
    options: dict[str, Any] = {"backbone": "pixels", "folder": tmp_path}
    fine, found = load(name, **options), load(name, coarse=coarse, **options)
    assert found.class_names == groups
    assert found.name.split("+")[0] == f"{fine.name.split('+')[0]}/{coarse}"
    for part, split in fine.splits.items():
        np.testing.assert_array_equal(found.splits[part].inputs, split.inputs)
        np.testing.assert_array_equal(found.splits[part].fine, split.labels)
        parents = [groups[label] for label in found.splits[part].labels]
        rule = {"last_word": last_word, "make": make, "hypernym": hypernym}[coarse]
        assert parents == [rule(class_names[label]) for label in split.labels]


def test_the_name_says_it() -> None:
    assert named("cub200", "official_closed", "pixels", default="pixels", coarse="last_word").endswith("/last_word")


@pytest.mark.parametrize(
    ("name", "options", "classes", "several", "samples"),
    [
        ("cub200", {"coarse": "last_word"}, 70, 167, 400),
        ("cars196", {"coarse": "make"}, 49, 177, 392),
        ("tiny_imagenet", {"coarse": "hypernym"}, 25, 200, 400),
    ],
)
def test_the_real_sets(
    real_data: Callable[[str], Path], name: str, options: dict[str, Any], classes: int, several: int, samples: int
) -> None:
    part = "valid" if name == "tiny_imagenet" else "train"
    folder = real_data(f"{name}/{part}.parquet")
    data = load(name, folder=folder, backbone="pixels", size=32, limit=2, **options)
    train = data.splits["train"]
    assert train.fine is not None
    assert (len(data.class_names), len(set(train.fine) - {-1}), len(train)) == (classes, several, samples)
    assert set(train.labels) == set(range(classes))


# hypernyms --------------------------------------------------------------------------------------------------


def hypernyms() -> dict[str, dict[str, Any]]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def test_the_table_holds_every_class_once() -> None:
    listed = [wnid for group in hypernyms().values() for wnid in group["classes"]]
    assert len(listed) == len(set(listed)) == 200
    assert min(len(group["classes"]) for group in hypernyms().values()) >= 5


@pytest.mark.skipif(not NOUNS.is_file(), reason=f"needs WordNet 3.0 at {NOUNS} (Debian: wordnet-base)")
def test_the_table_is_derived_from_wordnet() -> None:
    listed = [wnid for group in hypernyms().values() for wnid in group["classes"]]
    assert document(sorted(listed), synsets()) == TABLE.read_text(encoding="utf-8")


def test_the_deepest_synset_with_enough_classes_takes_them(tmp_path: Path) -> None:
    lines = [
        "  1 a line of the license  ",
        "00000001 03 n 01 entity 0 000 | the root  ",
        "00000002 05 n 02 dog 0 hound 0 001 @ 00000001 n 0000 | a dog  ",
        *(f"0000001{at} 05 n 01 breed_{at} 0 002 @ 00000002 n 0000 ~ 00000001 n 0000 | a breed  " for at in range(3)),
        *(f"0000002{at} 05 n 01 thing_{at} 0 001 @i 00000001 n 0000 | a thing  " for at in range(2)),
    ]
    path = tmp_path / "data.noun"
    path.write_text("\n".join(lines), encoding="ascii")
    nouns = synsets(path)
    assert (nouns["00000002"].word, nouns["00000010"].hypernyms) == ("dog", ("00000002",))
    things = ["00000020", "00000021"]
    breeds = ["00000010", "00000011", "00000012"]
    assert grouped([*things, *breeds], nouns, fewest=2) == {"00000002": breeds, "00000001": things}
    with pytest.raises(SystemExit, match="no group for 00000020"):
        grouped([things[0], *breeds], nouns, fewest=2)
