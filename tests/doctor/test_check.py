"""What a check leaves behind (nothing), what it says, and what it refuses."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning import distances, losses
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import losscope
from doctor.gallery import (
    BROKEN,
    CLASSES,
    DIM,
    HEALTHY,
    WIDTH,
    Encoder,
    batches,
    matched,
    naive_softmax,
    setup,
    triplets,
)
from losscope import doctor
from losscope.cards import card
from losscope.doctor.calls import Call, call_of
from losscope.doctor.case import share
from losscope.doctor.traits import measure_of, traits_of
from losscope.errors import InvalidInput, UnknownName


def state(made: dict[str, Any]) -> list[Tensor]:
    """All that training goes on from: weights, buffers, gradients, optimizer, random numbers."""
    modules = [one for one in made.values() if isinstance(one, nn.Module)]
    found = [value for module in modules for value in module.state_dict().values()]
    found += [one.grad for module in modules for one in module.parameters() if one.grad is not None]
    found += [value for of in made["optimizer"].state.values() for value in of.values()]
    found += [torch.get_rng_state(), torch.tensor(np.random.get_state()[1]), torch.tensor(random.getstate()[1])]  # noqa: NPY002
    return [one.detach().clone() for one in found]


def modes(made: dict[str, Any]) -> list[bool]:
    return [part.training for one in made.values() if isinstance(one, nn.Module) for part in one.modules()]


class Restless(nn.Module):
    """A model that changes whatever can be changed: statistics, weights in place, attributes, random states."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, DIM, max_norm=0.1)  # rescales its weights in forward
        self.norm = nn.BatchNorm1d(DIM)
        self.dropout = nn.Dropout(0.2)
        self.calls, self.seen, self.cache = 0, [0], torch.zeros(2)

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(random.random())
        self.cache += np.random.rand()  # noqa: NPY002
        self.fresh = inputs
        return nn.functional.normalize(self.dropout(self.norm(self.embed(inputs))), dim=-1)


@pytest.mark.parametrize("name", ["pml supcon, batch norm, dropout", "center contrastive, moving centers", "pml multi-similarity with its miner"])  # fmt: skip
def test_nothing_is_changed(name: str) -> None:
    made = HEALTHY[name]()
    for one in made["model"].parameters():
        one.grad = torch.ones_like(one)
    before, were = state(made), modes(made)
    doctor.check(**made)
    after = state(made)
    assert len(before) == len(after)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert modes(made) == were
    assert all(not part._forward_hooks for part in made["model"].modules())


def test_not_even_what_forward_itself_changes() -> None:
    model = Restless()
    inputs = torch.arange(24)
    loader = [(inputs[:12], inputs[:12] % 3), (inputs[12:], inputs[12:] % 3)]
    made = setup(losses.CrossBatchMemory(losses.ContrastiveLoss(), DIM, 16), model, loader)
    before = state(made)
    queue, memory = made["criterion"].queue_idx, made["criterion"].embedding_memory.clone()
    doctor.check(**made)
    assert all(torch.equal(one, other) for one, other in zip(before, state(made), strict=True))
    assert (model.calls, model.seen) == (0, [0])
    assert torch.equal(model.cache, torch.zeros(2))
    assert not hasattr(model, "fresh")
    assert made["criterion"].queue_idx == queue
    assert torch.equal(made["criterion"].embedding_memory, memory)


def test_the_loader_draws_the_same_batches_afterwards() -> None:
    own = torch.Generator().manual_seed(3)
    data = TensorDataset(torch.randn(24, WIDTH), torch.arange(24) % 3)
    made = setup(losscope.Criterion("contrastive"), loader=DataLoader(data, 8, shuffle=True, generator=own))
    torch.manual_seed(1)
    before = own.get_state()
    doctor.check(**made)
    assert torch.equal(own.get_state(), before)
    after = [labels.tolist() for _, labels in made["loader"]]
    own.set_state(before)
    torch.manual_seed(1)
    assert [labels.tolist() for _, labels in made["loader"]] == after


def test_a_tapped_monitor_counts_no_step() -> None:
    made = setup(losscope.Criterion("triplet"))
    with losscope.Monitor(made["criterion"]) as monitor:
        doctor.check(**made)
        monitor.settle()
        assert monitor.count == 0
        loss = made["criterion"](made["model"](made["loader"][0][0]), made["loader"][0][1])
        loss.backward()
        monitor.settle()
        assert monitor.count == 1


def test_nor_does_one_that_watches_a_function() -> None:
    monitor = losscope.Monitor()
    made = setup(losscope.tap(naive_softmax, monitor))
    doctor.check(**made)
    monitor.settle()
    assert monitor.count == 0


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_floor_of_the_loss_card_is_what_trying_finds(classes: int) -> None:
    loader = batches([[*range(classes), *range(classes)]])
    found = doctor.check(**setup(losses.TripletMarginLoss(margin=3.0), loader=loader))["margin-unreachable"]
    floor = card("triplet", margin=3.0).floor(classes=classes)
    assert floor == pytest.approx(3 - math.sqrt(2 * classes / (classes - 1)))
    assert f"never falls below {floor:.4g}" in found.evidence[0]
    assert f"the loss card says {floor:.4g}" in found.evidence[0]


@pytest.mark.parametrize("excess", [-0.01, 0.01])
def test_the_last_margin_that_is_met_on_the_sphere(excess: float) -> None:
    margin = math.sqrt(2 * CLASSES / (CLASSES - 1)) + excess
    found = doctor.check(**setup(losscope.Criterion("contrastive", margin=margin)))["margin-unreachable"]
    assert found.outcome == ("issue" if excess > 0 else "passed")


def test_a_margin_of_embeddings_of_any_length_is_not_judged() -> None:
    made = setup(nn.TripletMarginLoss(margin=5.0), Encoder(unit=False), triplets())
    assert doctor.check(**made)["margin-unreachable"].outcome == "not applicable"


def test_supcontrast_at_collapse_is_named_by_its_closed_form() -> None:
    found = doctor.check(**BROKEN["SupCon stuck at log(2B - 1)"].make())["collapsed"]
    assert f"the loss is {math.log(23) * 0.1 / 0.07:.4g}" in found.evidence[0]  # 2B - 1 = 23
    assert "log(23) x 1.429" in found.evidence[0]


def test_one_sample_is_no_collapse() -> None:
    inputs, labels = batches()[0]
    found = doctor.check(**setup(losses.ArcFaceLoss(CLASSES, DIM), loader=[(inputs[:1], labels[:1])]))
    assert found["collapsed"].outcome == "not applicable"
    assert found["no-positives"].outcome == "not applicable"  # class vectors


def test_swapped_positives_and_copies_in_triplets() -> None:
    anchor, positive, _ = triplets()[0]
    made = setup(nn.TripletMarginLoss(0.5), loader=[(anchor, positive, positive)])
    found = doctor.check(**made)
    assert found["positives-as-negatives"].outcome == "issue"
    assert found["label-blind"].outcome == "issue"  # the loss is the margin either way


def test_where_a_gradient_is_lost_is_named() -> None:
    model = Encoder()
    model.layers[0].requires_grad_(False)
    model.layers.append(nn.Linear(DIM, DIM))
    model.layers.append(nn.Threshold(1e6, 1.0))
    model.layers.append(nn.Linear(DIM, DIM))
    found = doctor.check(**setup(losses.SupConLoss(), model))
    assert "layers.2, layers.3" in found["silent-modules"].evidence[0]
    assert found["zero-gradient"].outcome == "passed"  # the last layer still learns
    assert found["untrained-model"].outcome == "passed"


def test_a_criterion_or_model_that_raises_is_a_finding() -> None:
    def broken(embeddings: Tensor, labels: Tensor) -> Tensor:
        raise RuntimeError("shapes differ")

    found = doctor.check(**setup(broken))
    assert found["fails"].evidence == ("the criterion raised RuntimeError: shapes differ",)
    assert found.batches == 1
    found = doctor.check(**setup(losses.SupConLoss(), nn.Linear(WIDTH + 1, DIM)))
    assert found["fails"].evidence[0].startswith("the model raised RuntimeError")
    assert {one.code for one in found.issues} == {"fails"}


def test_batch_norm_frozen_or_left_in_evaluation() -> None:
    model = Encoder(nn.BatchNorm1d(12), nn.Dropout(0.1))
    model.layers[2].eval()
    found = doctor.check(**setup(losses.SupConLoss(), model))
    assert found["mixed-modes"].evidence == ("in evaluation mode while the model trains: layers.2.",)
    assert found["evaluation-mode"].outcome == "passed"
    model.train()
    model.layers[2].requires_grad_(False)
    assert "running statistics move" in doctor.check(**setup(losses.SupConLoss(), model))["mixed-modes"].evidence[0]


def test_accumulation_is_no_matter_with_class_vectors() -> None:
    made = setup(losses.ProxyAnchorLoss(CLASSES, DIM), accumulation=4)
    assert doctor.check(**made)["accumulation-adds-no-negatives"].outcome == "passed"


@pytest.mark.parametrize(
    ("loss", "miner", "same"),
    [
        (distances.CosineSimilarity(), distances.LpDistance(), True),
        (distances.LpDistance(power=2), distances.LpDistance(), True),
        (distances.DotProductSimilarity(normalize_embeddings=False), distances.CosineSimilarity(), False),
        (distances.LpDistance(p=1), distances.LpDistance(), False),
    ],
)
def test_two_distances_of_one_order(loss: Any, miner: Any, same: bool) -> None:
    random_points = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    measures = [measure_of(losses.TripletMarginLoss(distance=one)) for one in (loss, miner)]
    assert measures[0] is not None
    assert measures[1] is not None
    assert (measures[0].order == measures[1].order) is same
    ranks = [
        (-one(random_points) if one.is_inverted else one(random_points)).argsort(dim=1, stable=True)[:, 1:]
        for one in (loss, miner)
    ]
    assert torch.equal(*ranks) is same


def test_traits_are_read_wherever_a_loss_keeps_them() -> None:
    def closed(margin: float) -> Any:
        def triplet_of(embeddings: Tensor, labels: Tensor) -> Tensor:
            return embeddings.sum() * margin

        return triplet_of

    assert traits_of(closed(0.3)).margin == 0.3
    assert traits_of(closed(0.3)).hinge
    assert traits_of(matched).scale == 20.0
    assert not traits_of(losses.TripletMarginLoss(smooth_loss=True)).hinge
    assert not traits_of(losses.CosFaceLoss(4, 8)).hinge
    assert traits_of(losscope.Criterion("sup_con", temperature=0.2)).sharpness == 5.0
    assert traits_of(losses.CrossBatchMemory(losses.ContrastiveLoss(), 8, 16)).name == "ContrastiveLoss"
    assert traits_of(nn.CosineEmbeddingLoss(margin=0.5)).hinge


def test_a_call_knows_who_belongs_together() -> None:
    z = torch.randn(4, 3)
    assert Call((z,), torch.tensor([5, 5, -1, 2])).classes.tolist() == [5, 5, -1, 2]
    assert Call((z.view(2, 2, 3),), torch.tensor([7, 8])).classes.tolist() == [7, 7, 8, 8]
    assert Call((z, z)).classes.tolist() == [0, 1, 2, 3] * 2
    assert Call((z, z, z)).classes.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]
    assert Call((z, z), torch.tensor([1, -1, 1, 0])).classes.tolist() == [0, 1, 2, 3, 0, 5, 2, 7]


def test_batches_go_to_where_the_model_is() -> None:
    inputs, labels = batches()[0]
    call, moved = call_of(nn.Linear(WIDTH, DIM, device="meta"), (inputs, labels), None)
    assert call.given is not None
    assert {one.device.type for one in (*call.parts, call.given, *moved)} == {"meta"}


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_labels_without_another_partition_can_not_be_permuted(labels: list[int]) -> None:
    call = Call((torch.randn(3, 2),), torch.tensor(labels))
    assert call.shuffled(torch.Generator().manual_seed(0)) is None


def test_the_best_embeddings_are_a_simplex() -> None:
    points = Call((torch.randn(6, 2),), torch.tensor([3, 3, 9, 9, 4, 4])).apart().rows
    cosines = points @ points.T
    expected = torch.tensor([[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]).double()
    assert torch.allclose(cosines, expected.repeat_interleave(2, 0).repeat_interleave(2, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": lambda inputs: inputs}, "model is a function; expected a torch.nn.Module"),
        ({"criterion": "triplet"}, "criterion is a str"),
        ({"optimizer": None}, "optimizer is a NoneType"),
        ({"loader": iter([])}, "loader is an iterator"),
        ({"loader": []}, "the loader gave no batch"),
        ({"loader": 3}, "loader is a int"),
        ({"loader": [torch.zeros(3, 2)]}, "the loader gave a tensor"),
        ({"loader": [{"a": torch.zeros(3, WIDTH), "b": 1, "labels": 1}]}, "a mapping with a, b, labels"),
        ({"batches": 0}, "batches is 0"),
        ({"embed": lambda model, batch: {"z": 1}}, "a batch gave the criterion dict"),
        ({"embed": lambda model, batch: (model(batch[0]), batch[1][:3])}, r"a tensor \(3,\) of torch.int64 as labels"),
    ],
)
def test_what_is_no_set_up_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        doctor.check(**setup(losscope.Criterion("contrastive")) | changed)


def test_a_diagnosis_reads_well() -> None:
    found = doctor.check(**BROKEN["proxies without optimizer"].make())
    text = repr(found)
    assert text.startswith("issue: untrained-criterion\n  in no group of the optimizer: proxies (4, 8).\n  Fix: ")
    assert text.endswith("3 batches looked at.")
    assert [one.code for one in found.issues] == ["untrained-criterion"]
    assert "<code>untrained-criterion</code>" in found._repr_html_()
    groups = (found.issues, found.notes, found.passed, found.not_applicable)
    assert sum(map(len, groups)) == len(doctor.CHECKS) == len(found.document()["findings"])
    with pytest.raises(UnknownName, match="did you mean 'no-positives'"):
        _ = found["no-positive"]


def test_evidence_is_escaped_in_a_notebook() -> None:
    def criterion(embeddings: Tensor, labels: Tensor) -> Tensor:
        raise ValueError("<b>bold</b>")

    assert "&lt;b&gt;bold" in doctor.check(**setup(criterion))._repr_html_()


def test_codes_are_unique_and_every_text_is_there() -> None:
    assert len({one.code for one in doctor.CHECKS}) == len(doctor.CHECKS)
    assert all(one.detects and one.why.endswith(".") and one.fix.endswith(".") for one in doctor.CHECKS)
    assert share(1, 3) == "1 of 3 batches (33 %)"
