"""`losscope.diagnose` and `losscope diagnose`: known answers, samples, resumption, two spaces, sets, galleries, gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import losscope
from losscope import data
from losscope.diagnosis import retrieving
from losscope.diagnosis.retrieving import UNFINISHED
from losscope.diagnostics.separation import inter_class_distance_mean
from losscope.diagnostics.spectrum import effective_rank
from losscope.diagnostics.variance import intra_class_variance_mean
from losscope.errors import DamagedRecord, InvalidInput, MissingData, UnknownName
from losscope.evaluation import retrieval
from losscope.report.space import write_page

PROMISED = {"n", "classes", "recall_at_k", "r_precision", "map_at_r", "intra_class_variance_mean",
            "inter_class_distance_mean", "effective_rank", "per_class"}  # fmt: skip


def blobs(seed: int = 0, per_class: int = 12, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6), per_class)
    return (random.standard_normal((6, 5))[labels] + spread * random.standard_normal((len(labels), 5))).astype(
        "f"
    ), labels


def test_it_says_what_the_functions_say() -> None:
    digits = data.load("digits").splits["test"]
    embeddings, labels = digits.inputs.reshape(len(digits), -1), digits.labels
    found = losscope.diagnose(embeddings, labels)
    points = torch.nn.functional.normalize(torch.from_numpy(embeddings).float(), dim=-1)
    expected = retrieval(torch.from_numpy(embeddings), torch.from_numpy(labels))
    assert dict(found.recall_at_k) == pytest.approx(expected.recall_at_k, abs=1e-12)
    assert found.map_at_r == pytest.approx(expected.map_at_r, abs=1e-12)
    assert found.r_precision == pytest.approx(expected.r_precision, abs=1e-12)
    truth = torch.from_numpy(labels)
    assert found.intra_class_variance_mean == pytest.approx(float(intra_class_variance_mean(points, truth)), rel=1e-6)
    assert found.inter_class_distance_mean == pytest.approx(float(inter_class_distance_mean(points, truth)), rel=1e-6)
    assert found.effective_rank == pytest.approx(float(effective_rank(points)), rel=1e-5)
    assert found.per_class["label"].to_pylist() == list("0123456789")
    assert found.frame().num_rows == len(labels)
    of_zero = found.frame().filter(pa.compute.equal(found.frame()["label"], "0"))
    assert found.per_class["map_at_r"][0].as_py() == pytest.approx(np.mean(of_zero["map_at_r"].to_numpy()), rel=1e-5)


def test_the_document_is_what_was_promised() -> None:
    found = losscope.diagnose(*blobs())
    document = json.loads(found.to_json())
    assert document.keys() >= PROMISED
    assert set(document["recall_at_k"]) == {"1", "5", "10"}
    assert document["n"] == 72
    assert len(document["per_class"]) == document["classes"] == 6
    assert "Recall@1" in repr(found)
    with pytest.raises(AttributeError):
        found.n = 3  # type: ignore[misc]


def test_one_threshold_for_all_pairs() -> None:
    embeddings, labels = blobs()
    found = losscope.diagnose(embeddings, labels).verification
    assert found is not None
    assert found["genuine"] == 6 * 12 * 11 // 2
    assert found["impostors"] == 72 * 71 // 2 - found["genuine"]
    assert 0 < found["eer"] < 0.5
    assert losscope.diagnose(embeddings, labels, similarity="inner_product").verification is None


def test_collapsed_embeddings_sorted_by_class_get_what_chance_gives() -> None:
    """Every item ties with every other: Recall@1 is (R - 1)/(N - 1), not what the order of rows would give."""
    labels = np.repeat(np.arange(10), 100)
    found = losscope.diagnose(np.ones((1000, 8), np.float32), labels)
    assert found.recall_at_k[1] == pytest.approx(99 / 999)
    assert found.geometry["alarm"]["kind"] == "total"


def test_names_in_a_notebook_are_escaped() -> None:
    embeddings, labels = blobs()
    found = losscope.diagnose(embeddings, [f"<img src=x onerror=alert({one})>" for one in labels])
    assert "<img" not in found._repr_html_()


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "inner_product"])
def test_a_sample_of_queries_gets_what_it_gets_among_all(similarity: Any) -> None:
    embeddings, labels = blobs()
    labels[::7] = -1
    whole = losscope.diagnose(embeddings, labels, similarity=similarity).frame()
    some = losscope.diagnose(embeddings, labels, similarity=similarity, sample=20).frame()
    asked = some["asked"].to_numpy()
    assert asked.sum() == 20
    for name in ("recall_at_1", "map_at_r", "mrr", "ndcg_at_10", "retrieved_share_at_5", "knn_accuracy_5"):
        np.testing.assert_allclose(some[name].to_numpy()[asked], whole[name].to_numpy()[asked], rtol=1e-6)
    assert some["neighbors"].filter(asked).to_pylist() == whole["neighbors"].filter(asked).to_pylist()
    assert some["neighbors"].null_count == (~asked).sum()


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = blobs(per_class=200)
    monkeypatch.setattr(retrieving, "PART", 1)  # parts of 256 queries
    whole = losscope.diagnose(embeddings, labels)
    real, done = retrieving.evaluate_pieces, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(retrieving, "evaluate_pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        losscope.diagnose(embeddings, labels, out=tmp_path, exact=True)
    assert len(list(tmp_path.glob(f"{UNFINISHED}/*/*.npz"))) == 2
    calls = []
    monkeypatch.setattr(retrieving, "evaluate_pieces", lambda *a, **o: (calls.append(1), real(*a, **o))[1])
    again = losscope.diagnose(embeddings, labels, out=tmp_path, exact=True)
    assert len(calls) == 3  # of five parts
    assert again.frame().equals(whole.frame())
    assert not (tmp_path / UNFINISHED).exists()


def test_other_data_never_go_on_with_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieving, "PART", 1)
    embeddings, labels = blobs(per_class=100)
    monkeypatch.setattr("losscope.diagnosis.door.forget", lambda _: None)
    losscope.diagnose(embeddings, labels, out=tmp_path, exact=True)
    changed = embeddings[::-1].copy()
    found = losscope.diagnose(changed, labels, out=tmp_path, exact=True)
    assert found.map_at_r == losscope.diagnose(changed, labels).map_at_r


def test_queries_and_gallery_in_both_directions() -> None:
    (queries, labels), (gallery, gallery_labels) = blobs(0), blobs(0, per_class=5)
    gallery_labels[0] = 99
    found = losscope.diagnose(queries, labels, gallery=gallery, gallery_labels=gallery_labels)
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (queries, gallery)]
    nearest = (unit[0] @ unit[1].T).argmax(1)
    assert found.recall_at_k[1] == pytest.approx((gallery_labels[nearest] == labels).mean())
    assert found.reverse is not None
    back = (unit[1] @ unit[0].T).argmax(1)[1:]
    assert found.reverse["intervals"]["recall_at_1"]["mean"] == pytest.approx(
        (labels[back] == gallery_labels[1:]).mean()
    )
    assert found.reverse["excluded"] == 1
    assert found.frame()["neighbors"][3].as_py()["ids"][0] == nearest[3]


def test_sets_are_relevant_where_they_overlap() -> None:
    embeddings, labels = blobs()
    single = losscope.diagnose(embeddings, labels)
    alone = losscope.diagnose(embeddings, [{f"class {one}"} for one in labels])
    assert alone.map_at_r == pytest.approx(single.map_at_r)
    assert alone.intra_class_variance_mean == pytest.approx(single.intra_class_variance_mean)
    assert alone.inter_class_distance_mean == pytest.approx(single.inter_class_distance_mean)
    assert alone.effective_rank == pytest.approx(single.effective_rank)
    merged = losscope.diagnose(embeddings, [{str(one), "odd" if one % 2 else "even"} for one in labels])
    pairs = losscope.diagnose(embeddings, labels % 2)
    assert merged.recall_at_k == pytest.approx(pairs.recall_at_k)
    assert merged.classes == 8


def test_labels_beyond_what_floats_can_tell_apart() -> None:
    embeddings, labels = blobs()
    assert losscope.diagnose(embeddings, labels + 2**53).map_at_r == losscope.diagnose(embeddings, labels).map_at_r


def test_against_itself_nothing_differs() -> None:
    embeddings, labels = blobs()
    found = losscope.diagnose(embeddings, labels, against=embeddings * 3)
    assert found.comparison is not None
    difference = found.comparison["differences"]["map_at_r"]
    assert (difference["mean"], difference["low"], difference["high"]) == (0, 0, 0)
    assert found.comparison["cka"] == pytest.approx(1)
    assert found.comparison["neighborhood_overlap"]["value"] == 1
    assert found.comparison["queries_equal"] == 72


def test_against_a_better_space() -> None:
    (worse, labels), (better, _) = blobs(spread=1.5), blobs(spread=0.3)
    found = losscope.diagnose(worse, labels, against=better)
    assert found.comparison is not None
    difference = found.comparison["differences"]["map_at_r"]
    other = losscope.diagnose(better, labels)
    assert difference["mean"] == pytest.approx(found.map_at_r - other.map_at_r)
    assert difference["high"] < 0
    gains = found.frame()["map_at_r"].to_numpy() - other.frame()["map_at_r"].to_numpy()
    assert found.comparison["worse"][0]["row"] == int(gains.argmin())
    assert found.comparison["queries_worse"] == (gains < 0).sum()
    assert len(found.comparison["per_class"]) == 6


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"similarity": "cosinus"}, UnknownName, "did you mean 'cosine'"),
        ({"sample": 1}, InvalidInput, "at least 2"),
        ({"against": np.ones((3, 5), "f")}, InvalidInput, "72 rows of embeddings against 3"),
        (
            {"gallery": np.ones((3, 4), "f"), "gallery_labels": [0, 1, 2]},
            InvalidInput,
            "5 dimensions and the gallery 4",
        ),
        ({"gallery": np.ones((3, 5), "f"), "gallery_labels": [7, 8, 9]}, InvalidInput, "none of 72 queries"),
        ({"names": ["a"]}, InvalidInput, "1 names for 72 rows"),
        ({"class_names": 3}, InvalidInput, "expected a list by number or a mapping"),
    ],
)
def test_what_cannot_be_done(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        losscope.diagnose(*blobs(), **options)


def test_a_folder_holds_what_the_page_is_made_of(tmp_path: Path) -> None:
    embeddings, labels = blobs()
    found = losscope.diagnose(embeddings, labels, out=tmp_path, names=[f"picture {row}" for row in range(72)])
    assert json.loads((tmp_path / "diagnosis.json").read_text()) == json.loads(found.to_json())
    rows = pq.read_table(tmp_path / "rows.parquet")
    assert rows.column_names[:5] == ["row", "label", "name", "x", "y"]
    neighbors = rows["neighbors"].to_pylist()
    assert all(one["ids"] and row not in one["ids"] for row, one in enumerate(neighbors))
    before = (tmp_path / "report.html").read_text()
    assert write_page(tmp_path).read_text() == before
    (tmp_path / "diagnosis.json").write_text("{")
    with pytest.raises(DamagedRecord):
        write_page(tmp_path)
    with pytest.raises(MissingData, match=r"diagnosis\.json was not found"):
        write_page(tmp_path / "none")
