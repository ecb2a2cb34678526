"""Study files: the shipped ones, faults named with the nearest name, cells, digests and settings."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import losscope.studies
from losscope.errors import InvalidStudy, MissingData, UnknownName
from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.studies import apply, load, shipped
from losscope.study import LossChoice, LossVariants, Protocol, Study, digest, parse
from losscope.sweep.plan import plan
from losscope.training.run import Place

SMALL: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "data": [{"name": "synthetic", "classes": 3, "samples_per_class": 4, "dim": 4, "outliers": 0}],
    "protocol": [{"name": "a", "model": {"widths": [4]}, "epochs": 1}],
    "loss": [{"name": "contrastive"}],
}


# shipped studies --------------------------------------------------------------------------------------------


def test_the_quick_study_and_those_of_the_paper_are_shipped() -> None:
    assert {"quick", "paper_a_synthetic", "paper_a_mnist", "paper_a_cifar10", "paper_a_cub", "paper_a_cars"} <= set(
        shipped()
    )


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_study_parses_names_itself_and_says_its_command(name: str) -> None:
    study = load(name)
    assert study.name == name
    assert study.cells()
    assert len(shipped()[name]) > 20
    text = (Path(losscope.studies.__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
    assert f"losscope study {name} --out" in text
    for cell in study.cells():
        assert bind(cell.loss.name, LOSSES[cell.loss.name], dict(cell.loss.hyperparameters))


def test_the_presets_of_paper_a_are_what_they_are_called() -> None:
    protocols = {protocol.name: protocol for protocol in load("paper_a_synthetic").protocol}
    printed, run, fit = (protocols[name] for name in ("as_printed", "as_run", "best_fit"))
    assert all(protocol.model.widths == (64, 32) and protocol.batch.terms == 64 for protocol in protocols.values())
    assert all(protocol.optimizer.lr == 1e-3 for protocol in protocols.values())
    assert (printed.epochs, printed.optimizer.weight_decay, printed.inputs) == (50, 1e-5, "raw")
    assert (printed.batch.sampling, printed.batch.outliers) == ("one_tuple", "negatives")
    assert (run.epochs, run.optimizer.weight_decay, run.inputs) == (100, 0, "unit_length")
    assert (run.batch.sampling, run.batch.outliers) == ("one_tuple", "class")
    assert (fit.epochs, fit.optimizer.weight_decay, fit.inputs) == (50, 1e-5, "raw")
    assert (fit.batch.sampling, fit.batch.outliers) == ("one_plus_one", "negatives")


# faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"protocl": []}, UnknownName, "did you mean 'protocol'"),
        ({"protocol": [{"name": "a", "epoch": 3}]}, UnknownName, "did you mean 'epochs'"),
        ({"protocol": [{"name": "a", "batch": {"term": 3}}]}, UnknownName, "did you mean 'terms'"),
        ({"protocol": [{"name": "a", "model": {"width": [3]}}]}, UnknownName, "did you mean 'widths'"),
        ({"protocol": [{"name": "a", "optimizer": {"learning_rate": 1}}]}, UnknownName, "key in study"),
        ({"protocol": [{"name": "a", "epochs": 0}]}, InvalidStudy, r"protocol\.0\.epochs.*found 0"),
        ({"protocol": [{"name": "a", "epochs": "ten"}]}, InvalidStudy, "found 'ten'"),
        ({"protocol": [{"name": "a", "inputs": "scaled"}]}, InvalidStudy, "found 'scaled'"),
        ({"protocol": [{"name": "a"}, {"name": "a"}]}, InvalidStudy, "protocol names must differ"),
        ({"protocol": [{"name": "a", "data": ["digits"]}]}, InvalidStudy, "names the data set 'digits'"),
        ({"protocol": [{"name": "a", "batch": {"mining": "semi_hard"}}]}, InvalidStudy, "needs sampling"),
        (
            {"protocol": [{"name": "a", "batch": {"sampling": "one_plus_one", "partners": "batch"}}]},
            InvalidStudy,
            "partners = 'batch'",
        ),
        (
            {"protocol": [{"name": "a", "batch": {"sampling": "customary"}}]},
            InvalidStudy,
            "'customary' forms terms within a batch; set partners = 'batch'",
        ),
        (
            {"protocol": [{"name": "a", "batch": {"sampling": "all_in_batch", "classes": 4}}]},
            InvalidStudy,
            "classes and per_class go together",
        ),
        (
            {"protocol": [{"name": "a", "batch": {"classes": 4, "per_class": 2}}]},
            InvalidStudy,
            "set sampling = 'all_in_batch', or partners = 'batch'",
        ),
        (
            {"protocol": [{"name": "a", "batch": {"sampling": "all_in_batch", "classes": 4, "per_class": 1}}]},
            InvalidStudy,
            r"batch\.per_class.*found 1",
        ),
        ({"protocol": [{"name": "a", "batch": {"tuples_per_anchor": 0}}]}, InvalidStudy, r"tuples_per_anchor.*found 0"),
        (
            {"protocol": [{"name": "a", "batch": {"sampling": "all_in_batch", "tuples_per_anchor": 2}}]},
            InvalidStudy,
            "partners come from the whole split",
        ),
        (
            {"protocol": [{"name": "a", "batch": {"partners": "batch", "counts": "anchors"}}]},
            InvalidStudy,
            "partners come from the whole split",
        ),
        ({"protocol": [{"name": "a", "loss": ["triplet"]}]}, InvalidStudy, "names the loss 'triplet'"),
        (
            {
                "protocol": [{"name": "a", "loss": ["triplet"]}],
                "loss": [{"name": "contrastive"}, {"name": "triplet"}],
            },
            InvalidStudy,
            "no protocol trains the loss 'contrastive'",
        ),
        ({"protocol": [{"name": "a", "evaluate_every": 0}]}, InvalidStudy, r"evaluate_every.*found 0"),
        ({"protocol": [{"name": "a", "labels": "shufled"}]}, InvalidStudy, "found 'shufled'"),
        ({"protocol": []}, InvalidStudy, "protocol"),
        ({"loss": []}, InvalidStudy, "loss"),
        ({"seeds": 0}, InvalidStudy, "seeds = 0; expected a positive count"),
        ({"seeds": [1, 1]}, InvalidStudy, "different seeds"),
        ({"seeds": [-1]}, InvalidStudy, "not negative"),
    ],
)
def test_a_fault_is_named_with_its_place(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(SMALL | change)


def test_files_that_can_t_be_studies(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'quick'"):
        load("quik")
    with pytest.raises(MissingData, match="no study file at"):
        load(tmp_path / "absent.toml")
    (tmp_path / "torn.toml").write_text('name = "x\n')
    with pytest.raises(InvalidStudy, match=r"torn\.toml is not valid TOML"):
        load(tmp_path / "torn.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidStudy, match="can't be read as text"):
        load(tmp_path / "binary.toml")


def test_a_study_is_frozen() -> None:
    study = parse(SMALL)
    with pytest.raises(ValidationError):
        study.name = "other"  # type: ignore[misc]
    assert isinstance(hash(study.protocol[0]), int)


# cells ------------------------------------------------------------------------------------------------------


def test_cells_are_data_sets_times_protocols_times_variants() -> None:
    study = parse(SMALL | {
        "data": [{"name": "digits"}, {"name": "digits", "limit": 9, "label": "few digits"}],
        "protocol": [{"name": "a"}, {"name": "b", "data": ["few digits"]}],
        "loss": [{"name": "contrastive"}, {"name": "triplet", "margin": [0.2, 1.0], "squared": [False, True]}],
    })  # fmt: skip
    described = [
        (cell.data.label or cell.data.name, cell.protocol.name, cell.loss.name, cell.loss.variant)
        for cell in study.cells()
    ]
    variants = [("contrastive", "")] + [
        ("triplet", f"margin={margin},squared={squared}") for margin in (0.2, 1.0) for squared in ("false", "true")
    ]
    places = [("digits", "a"), ("few digits", "a"), ("few digits", "b")]
    assert described == [(*place, *variant) for place in places for variant in variants]
    assert {cell.seeds for cell in study.cells()} == {(0, 1)}


def test_a_protocol_trains_the_losses_that_it_names() -> None:
    losses = [{"name": "contrastive"}, {"name": "triplet", "squared": [False, True]}]

    def trained(*wanted: str) -> list[str]:
        protocols = [{"name": "a"}, {"name": "b", "loss": wanted}]
        cells = parse(SMALL | {"protocol": protocols, "loss": losses}).cells()
        return [cell.loss.title for cell in cells if cell.protocol.name == "b"]

    assert trained() == ["contrastive", "triplet squared=false", "triplet squared=true"]
    assert trained("triplet") == ["triplet squared=false", "triplet squared=true"]
    assert trained("triplet squared=true", "contrastive") == ["contrastive", "triplet squared=true"]


def test_a_variant_is_named_by_what_varies_alone() -> None:
    choices = LossVariants(name="triplet", margin=0.2, squared=[True, False]).variants()
    assert choices == [
        LossChoice("triplet", "squared=true", (("margin", 0.2), ("squared", True))),
        LossChoice("triplet", "squared=false", (("margin", 0.2), ("squared", False))),
    ]


def test_seeds_are_counted_or_listed() -> None:
    assert parse(SMALL | {"seeds": 3}).seed_list == (0, 1, 2)
    assert parse(SMALL | {"seeds": [7, 3]}).seed_list == (7, 3)


def test_a_row_of_its_own_has_a_name() -> None:
    named = LossVariants(name="n_pair", variant="as printed", unit_length=False, penalty=[0.005, 0.02])
    assert [choice.variant for choice in named.variants()] == ["as printed,penalty=0.005", "as printed,penalty=0.02"]
    assert LossVariants(name="n_pair", variant="as printed", scale=1.0).variants() == [
        LossChoice("n_pair", "as printed", (("scale", 1.0),))
    ]


def test_when_a_protocol_measures() -> None:
    plain = Protocol(name="p", epochs=7, evaluate_at=(2,))
    assert [epoch for epoch in range(8) if plain.evaluates(epoch)] == [0, 2, 7]
    assert all(plain.measures(epoch, split) for epoch in range(8) for split in ("train", "test"))
    regular = Protocol(name="p", epochs=7, evaluate_at=(2,), evaluate_every=3)
    assert [epoch for epoch in range(8) if regular.evaluates(epoch)] == [0, 2, 3, 6, 7]
    assert [epoch for epoch in range(8) if regular.evaluates_in_full(epoch)] == [0, 2, 7]
    assert [epoch for epoch in range(8) if regular.measures(epoch, "train")] == [0, 2, 3, 6, 7]
    assert [epoch for epoch in range(8) if regular.measures(epoch, "train_clean")] == [0, 2, 3, 6, 7]
    assert all(regular.measures(epoch, "heldout") for epoch in range(8))


# digests ----------------------------------------------------------------------------------------------------


def digests(document: dict[str, Any], tmp_path: Path) -> dict[tuple[str, str, str, int], str]:
    """Digest of each run by protocol, loss, variant and seed."""
    return {
        (unit.cell.protocol.name, unit.group["loss"], variant, seed): run
        for unit in plan(parse(document), tmp_path / "empty", Place()).units
        for variant, seed, run in zip(*(unit.group[part] for part in ("variants", "seeds", "runs")), strict=True)
    }


def changed(**protocol: Any) -> dict[str, Any]:
    return SMALL | {"protocol": [SMALL["protocol"][0] | protocol]}


def test_a_run_s_digest_is_of_what_decides_its_result_alone(tmp_path: Path) -> None:
    own = digests(SMALL, tmp_path)
    assert len(set(own.values())) == len(own) == 4  # two seeds, and the inputs of each
    same = [
        SMALL | {"name": "other", "note": "n"},
        SMALL | {"seeds": 3},
        SMALL | {"seeds": [1, 0]},
        SMALL | {"data": [SMALL["data"][0] | {"label": "toy"}]},
        SMALL | {"loss": [{"name": "contrastive", "margin": 1}, {"name": "triplet"}]},
        changed(chunk=1),
        changed(chunk=2),
        changed(data=["synthetic"]),
        changed(loss=["contrastive"]),
    ]
    for document in same:
        found = digests(document, tmp_path)
        assert {key: found[key] for key in own} == own
    trained = {key: run for key, run in own.items() if key[1] != "none"}
    for document in (
        changed(epochs=2),
        changed(inputs="standardized"),
        changed(precision="float64"),
        changed(optimizer={"lr": 2e-3}),
        changed(batch={"terms": 32}),
        changed(model={"widths": [8]}),
        SMALL | {"loss": [{"name": "contrastive", "margin": 0.5}]},
        SMALL | {"data": [SMALL["data"][0] | {"difficulty": 0.5}]},
    ):
        assert not set(digests(document, tmp_path).values()) & set(trained.values())


OF_VERSION_0_1 = {
    ("a", "none", "input"): "8d75799f2c306401",
    ("a", "contrastive", ""): "974346aff1580c6f",
    ("a", "triplet", "squared=false"): "417913697e89308f",
    ("a", "triplet", "squared=true"): "07d47b415b4ed9c6",
    ("b", "contrastive", ""): "7c8fb8029b9f6580",
    ("b", "triplet", "squared=true"): "afa951598f816c9e",
    ("c", "none", "input"): "038d26ec36c735b8",
    ("c", "contrastive", ""): "71d311e453be11be",
    ("c", "triplet", "squared=false"): "7af33dab7b4f5e65",
}
"""As the first version of the numerics gave them: a folder must not be trained again because studies can say more by now."""


def test_runs_of_the_first_version_keep_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("losscope.sweep.plan.NUMERICS_VERSION", 1)
    sides = {"sampling": "all_in_batch", "samples": 6, "balance": "sides"}
    of_batch = {"partners": "batch", "outliers": "class"}
    protocols = [
        SMALL["protocol"][0],
        {"name": "b", "epochs": 2, "batch": sides},
        {"name": "c", "evaluate_at": [1], "batch": of_batch, "inputs": "unit_length",
         "optimizer": {"name": "sgd", "lr": 0.1}},
    ]  # fmt: skip
    losses = [{"name": "contrastive"}, {"name": "triplet", "squared": [False, True]}]
    found = digests(SMALL | {"protocol": protocols, "loss": losses}, tmp_path)
    assert {key: found[*key, 0] for key in OF_VERSION_0_1} == OF_VERSION_0_1


def test_later_options_count_only_where_they_are_used(tmp_path: Path) -> None:
    own = digests(SMALL, tmp_path)
    named = changed(labels="given", batch={"sampling": "one_tuple"})
    assert digests(named, tmp_path) == own
    in_batch = digests(changed(batch={"sampling": "all_in_batch"}), tmp_path)
    for document in (
        changed(labels="shuffled", batch={"sampling": "all_in_batch"}),
        changed(labels="clean", batch={"sampling": "all_in_batch"}),
        changed(labels="noisy", batch={"sampling": "all_in_batch"}),
        changed(evaluate_every=1, batch={"sampling": "all_in_batch"}),
        changed(batch={"sampling": "all_in_batch", "classes": 2, "per_class": 2}),
        changed(batch={"sampling": "customary", "partners": "batch"}),
    ):
        found = digests(document, tmp_path)
        for key, run in found.items():
            assert (run == in_batch[key]) == (key[1] == "none")  # inputs are measured the same way


def test_how_tuples_are_counted_decides_a_run(tmp_path: Path) -> None:
    own = digests(SMALL, tmp_path)
    assert digests(changed(batch={"tuples_per_anchor": 1, "counts": "terms"}), tmp_path) == own
    changes = [changed(batch={"tuples_per_anchor": 2}), changed(batch={"counts": "anchors"})]
    found = [digests(document, tmp_path)["a", "contrastive", "", 0] for document in changes]
    assert len({*found, own["a", "contrastive", "", 0]}) == 3


def test_the_raw_inputs_of_two_lengths_of_training_are_the_same(tmp_path: Path) -> None:
    one, other = digests(SMALL, tmp_path), digests(changed(epochs=9), tmp_path)
    for seed in (0, 1):
        assert one["a", "none", "input", seed] == other["a", "none", "input", seed]


def test_the_protocol_s_name_decides_nothing_but_where_inputs_are_listed(tmp_path: Path) -> None:
    one, other = digests(SMALL, tmp_path), digests(changed(name="b"), tmp_path)
    assert one["a", "contrastive", "", 0] == other["b", "contrastive", "", 0]


def test_digests_are_the_same_in_another_process(tmp_path: Path) -> None:
    """No hash of Python's is in them, nor the order of keys."""
    turned = {key: SMALL[key] for key in reversed(SMALL)}
    script = (
        "import json, sys; from pathlib import Path; sys.path[:0] = ['tests', 'tests/..']\n"
        "from test_study import digests\n"
        f"print(json.dumps(sorted(digests(json.loads({json.dumps(turned)!r}), Path({str(tmp_path)!r})).values())))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60,
                          cwd=Path(__file__).parent.parent).stdout  # fmt: skip
    assert json.loads(said) == sorted(digests(SMALL, tmp_path).values())


def test_the_digest_of_a_document_is_fixed() -> None:
    canonical = b'{"a":"\\u00e9","b":[1,2.5,null]}'
    expected = hashlib.sha256(canonical).hexdigest()[:16]
    assert digest({"b": [1, 2.5, None], "a": "é"}) == digest({"a": "é", "b": (1, 2.5, None)}) == expected
    assert digest({"a": 1}) != digest({"a": "1"})


# settings ---------------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    return tomllib.loads(
        """
        name = "x"
        seeds = 5
        [[data]]
        name = "digits"
        [[protocol]]
        name = "a"
        batch = { terms = 64 }
        [[protocol]]
        name = "b"
        [[loss]]
        name = "contrastive"
        [[loss]]
        name = "triplet"
        """
    )


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seeds=13", ("seeds",), 13),
        ("seeds=[3, 4]", ("seeds",), [3, 4]),
        ("name=other", ("name",), "other"),
        ('name="a = b"', ("name",), "a = b"),
        ("protocol.epochs=2", ("protocol", 1, "epochs"), 2),
        ("protocol.a.batch.terms=8", ("protocol", 0, "batch", "terms"), 8),
        ("protocol.batch.sampling=one_plus_one", ("protocol", 1, "batch", "sampling"), "one_plus_one"),
        ("protocol.b.optimizer.lr=1e-2", ("protocol", 1, "optimizer", "lr"), 0.01),
        ("loss.triplet.squared=[false, true]", ("loss", 1, "squared"), [False, True]),
        (" loss.margin = 0.5 ", ("loss", 0, "margin"), 0.5),
        ("data.digits.limit=20", ("data", 0, "limit"), 20),
    ],
)
def test_a_setting_reaches_its_place(setting: str, path: tuple[str | int, ...], value: object) -> None:
    given = document()
    apply(given, setting)
    part: Any = given
    for step in path:
        part = part[step]
    assert part == value


def test_a_setting_of_one_entry_leaves_the_others() -> None:
    given = document()
    apply(given, "protocol.a.epochs=2")
    assert "epochs" not in given["protocol"][1]
    apply(given, "loss.margin=0.5")
    assert [loss["margin"] for loss in given["loss"]] == [0.5, 0.5]


@pytest.mark.parametrize("setting", ["epochs", "=3", "name.first=3", "protocol=3=", "protocol.a"])
def test_a_setting_that_sets_nothing_is_refused(setting: str) -> None:
    def set_and_parse(given: dict[str, Any]) -> Study:
        apply(given, setting)
        return parse(given)

    with pytest.raises(InvalidStudy):
        set_and_parse(document())


def test_settings_are_checked_like_the_file(tmp_path: Path) -> None:
    study: Study = load("quick", ["seeds=2", "protocol.epochs=3", "loss.triplet.margin=0.2"])
    assert study.seed_list == (0, 1)
    assert {protocol.epochs for protocol in study.protocol} == {3}
    with pytest.raises(UnknownName, match="did you mean 'epochs'"):
        load("quick", ["protocol.epoch=3"])
