"""Training set-ups: broken ones, each after a thread in which somebody lost days to it, and healthy ones.

Threads: PML = KevinMusgrave/pytorch-metric-learning, ST = huggingface/sentence-transformers, SC = HobbitLong/SupContrast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

import losscope

CLASSES, WIDTH, DIM = 4, 6, 8
Setup = dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """A set-up, the code that must name it, and the thread it comes from."""

    code: str
    thread: str
    make: Callable[[], Setup]
    outcome: str = "issue"


class Encoder(nn.Module):
    """Inputs (samples, WIDTH) to embeddings (samples, DIM)."""

    def __init__(self, *inside: nn.Module, unit: bool = True, spread: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, 12), nn.ReLU(), *inside, nn.Linear(12, DIM))
        self.unit, self.spread = unit, spread

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.layers(inputs) * self.spread
        if self.spread < 1:  # a constant drowns what differs
            found = found + torch.ones(DIM)
        return F.normalize(found, dim=-1) if self.unit else found


class SupContrast(nn.Module):
    """Supervised contrastive loss as in that repository: views (samples, views, dim), scaled by τ/base τ."""

    def __init__(self, temperature: float = 0.1, base_temperature: float = 0.07, *, unsafe: bool = False) -> None:
        super().__init__()
        self.temperature, self.base_temperature, self.unsafe = temperature, base_temperature, unsafe

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        samples, views, dim = features.shape
        labels = torch.arange(samples) if labels is None else labels
        rows, labels = features.reshape(-1, dim), labels.repeat_interleave(views)
        logits = rows @ rows.T / self.temperature
        self_pairs = torch.eye(len(rows), dtype=torch.bool)
        positive = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~self_pairs
        logs = logits - logits.masked_fill(self_pairs, -torch.inf).logsumexp(1, keepdim=True)
        counts = positive.sum(1) if self.unsafe else positive.sum(1).clamp_min(1)
        return -(self.temperature / self.base_temperature) * ((logs * positive).sum(1) / counts).mean()


def batches(labels: list[list[int]] | None = None, *, unit: float = 1.0) -> list[tuple[Tensor, Tensor]]:
    """Three batches around one center for each class."""
    random = torch.Generator().manual_seed(0)
    centers = 2 * torch.randn(64, WIDTH, generator=random)
    chosen = labels or [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]] * 3
    return [
        (unit * (centers[torch.tensor(of) % 64] + torch.randn(len(of), WIDTH, generator=random)), torch.tensor(of))
        for of in chosen
    ]


def setup(criterion: Any, model: nn.Module | None = None, loader: Any = None, **options: Any) -> Setup:
    """With Adam over everything that is trained."""
    torch.manual_seed(0)
    model = Encoder() if model is None else model
    own = [*criterion.parameters()] if isinstance(criterion, nn.Module) else []
    groups = [{"params": [*model.parameters()], "lr": 1e-3}, *([{"params": own, "lr": 1e-2}] if own else [])]
    made = {"model": model, "criterion": criterion, "loader": batches() if loader is None else loader}
    return made | {"optimizer": Adam(groups)} | options


def frozen_statistics() -> Encoder:
    """As in much work on retrieval: the encoder trains, its batch norm doesn't."""
    model = Encoder(nn.BatchNorm1d(12))
    model.layers[2].eval()
    return model


def with_proxies_forgotten() -> Setup:
    made = setup(losses.ProxyAnchorLoss(CLASSES, DIM))
    return made | {"optimizer": Adam(made["model"].parameters())}


def with_one_rate() -> Setup:
    made = setup(losscope.Criterion("arcface", classes=CLASSES, dim=DIM, scale=16.0))
    return made | {"optimizer": Adam([*made["model"].parameters(), *made["criterion"].parameters()])}


def with_the_old_model() -> Setup:
    return setup(losses.TripletMarginLoss()) | {"optimizer": Adam(Encoder().parameters())}


def with_large_steps() -> Setup:
    made = setup(losses.ArcFaceLoss(CLASSES, DIM))
    return made | {"optimizer": SGD([*made["model"].parameters(), *made["criterion"].parameters()], lr=10.0)}


def triplets(*, swapped: bool = False) -> list[tuple[Tensor, ...]]:
    found = []
    for inputs, _ in batches():
        parts = inputs[[0, 3, 6, 9]], inputs[[1, 4, 7, 10]], inputs[[4, 7, 10, 1]]
        found.append((parts[0], parts[0] if swapped else parts[1], parts[2]))
    return found


def pairs(kind: str = "cosine") -> list[tuple[Tensor, Tensor, Tensor]]:
    target = {"cosine": [1, 1, -1, -1, 1, -1], "zero": [1, 1, 0, 0, 1, 0], "positive": [1] * 6}[kind]
    second = [1, 4, 5, 8, 7, 11]
    return [(inputs[[0, 3, 1, 6, 6, 9]], inputs[second], torch.tensor(target)) for inputs, _ in batches()]


def broadcast_contrastive(first: Tensor, second: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    distance = (first - second).square().sum(1, keepdim=True).add(1e-12).sqrt()  # (samples, 1) against (samples,)
    return (target * distance**2 + (1 - target) * (margin - distance).clamp_min(0) ** 2).mean()


def pair_contrastive(first: Tensor, second: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    distance = (first - second).square().sum(1).add(1e-12).sqrt()
    return (target * distance**2 + (1 - target) * (margin - distance).clamp_min(0) ** 2).mean()


def column_labels(embeddings: Tensor, labels: Tensor) -> Tensor:
    similarity = embeddings @ embeddings.roll(1, 0).T
    return ((labels == labels.roll(1, 0)).float() - similarity.diagonal()).square().mean()


def naive_triplet(embeddings: Tensor, labels: Tensor, margin: float = 0.5) -> Tensor:
    """Batch-all over a bare square root; the root of the diagonal is left out."""
    rows, columns = torch.triu_indices(len(labels), len(labels), 1)
    distances = (embeddings[rows] - embeddings[columns]).square().sum(1).sqrt()
    same = labels[rows] == labels[columns]
    return F.relu(distances[same].unsqueeze(1) - distances[~same].unsqueeze(0) + margin).mean()


def nan_without_positives(embeddings: Tensor, labels: Tensor) -> Tensor:
    losses_of = F.relu(torch.cdist(embeddings, embeddings) - 10)
    return losses_of[losses_of > 0].mean()  # the mean of nothing


def soft_margin_hard(embeddings: Tensor, labels: Tensor) -> Tensor:
    distances = torch.cdist(embeddings, embeddings)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    return F.softplus(distances.masked_fill(~same, 0).amax(1) - distances.masked_fill(same, 9).amin(1)).mean()


def naive_softmax(embeddings: Tensor, labels: Tensor, scale: float = 64.0) -> Tensor:
    exps = (scale * embeddings @ embeddings.T).exp()
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    return -((exps * same).sum(1) / exps.sum(1)).log().mean()


def matched(first: Tensor, second: Tensor, scale: float = 20.0) -> Tensor:
    """Multiple negatives ranking loss."""
    return F.cross_entropy(scale * F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T, torch.arange(len(first)))


def two_encoders(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    return model(batch[0]), model(batch[1])


def with_duplicates() -> list[tuple[Tensor, Tensor]]:
    found = []
    for inputs, _ in batches():
        answers = inputs[6:12].clone()
        answers[3] = answers[0]
        found.append((inputs[:6], answers))
    return found


def detached(embeddings: Tensor, labels: Tensor) -> Tensor:
    return losses.TripletMarginLoss(margin=0.5)(embeddings.detach(), labels)


def views(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    found = model(batch[0])
    return torch.stack([found, model(batch[0] + 0.1)], 1), batch[1]


def paired_views(model: nn.Module, batch: Any) -> Any:
    return views(model, batch)[0]


def in_half(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    return model(batch[0]).half(), batch[1]


class HalfApart(nn.Module):
    """All pairs of a batch are 0.5 apart, whatever the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.weight / 2**0.5 * torch.eye(len(inputs)) + 0 * inputs.sum()


BROKEN: dict[str, Broken] = {
    "margin 5 on unit vectors": Broken(
        "margin-unreachable", "ST TripletLoss's default margin of 5, with normalized embeddings",
        lambda: setup(losses.TripletMarginLoss(margin=5.0))),
    "margin 5 on unit vectors, torch": Broken(
        "margin-unreachable", "the same with three inputs", lambda: setup(nn.TripletMarginLoss(margin=5.0), loader=triplets())),
    "margin 2 between cosines": Broken(
        "margin-unreachable", "quaterion #27: a margin that cosines can't have",
        lambda: setup(losses.TripletMarginLoss(margin=2.0, distance=distances.CosineSimilarity()))),
    "margin 2 of distances, ours": Broken(
        "margin-unreachable", "triplet-loss margins carried over from unnormalized embeddings",
        lambda: setup(losscope.Criterion("triplet", margin=2.0))),
    "contrastive defaults with cosines": Broken(
        "margin-always-satisfied", "PML #19, #504: the defaults 0 and 1 never penalize a similarity",
        lambda: setup(losses.ContrastiveLoss(distance=distances.CosineSimilarity()))),
    "cosine embedding loss with margin 1": Broken(
        "margin-always-satisfied", "quaterion #27: margin 1.0 with cosine",
        lambda: setup(nn.CosineEmbeddingLoss(margin=1.0), loader=pairs())),
    "GroupByLabel": Broken(
        "single-class-batches", "ST #2920: nearly all batches of a single class",
        lambda: setup(losses.TripletMarginLoss(), loader=batches([[0] * 6, [1] * 6, [0, 0, 1, 1]]))),
    "gradient norm 0.0": Broken(
        "zero-gradient", "ST #3130: grad_norm 0.0 while fine-tuning",
        lambda: setup(losses.TripletMarginLoss(), loader=batches([[0] * 6, [1] * 6]))),
    "loss always 0": Broken(
        "zero-gradient", "PML #268: the loss is always 0",
        lambda: setup(losses.ContrastiveLoss(pos_margin=3.0, neg_margin=0.0))),
    "embeddings detached": Broken(
        "zero-gradient", "a loss computed on embeddings taken from the graph", lambda: setup(detached)),
    "every class once": Broken(
        "no-positives", "PML #107: no triplet survives", lambda: setup(
            losses.TripletMarginLoss(), loader=batches([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]))),
    "many classes in small batches": Broken(
        "batch-too-small", "PML #218: thousands of classes, random batches", lambda: setup(
            losses.SupConLoss(), loader=batches([[0, 0, 2, 3, 4, 5, 6, 7], [8, 9, 10, 10, 12, 13, 14, 15]]))),
    "a miner that finds nothing": Broken(
        "no-positives", "PML #107: a miner whose cutoff leaves nothing", lambda: setup(
            losses.TripletMarginLoss(), miner=miners.TripletMarginMiner(margin=-9.0, type_of_triplets="hard"))),
    "pairs, all positive": Broken(
        "no-negatives", "pairs without negatives: all embeddings become one", lambda: setup(
            nn.CosineEmbeddingLoss(), loader=pairs("positive"))),
    "proxies without optimizer": Broken(
        "untrained-criterion", "sung-yeon-kim/Proxy-Anchor #25: proxies not optimized", with_proxies_forgotten),
    "optimizer of another model": Broken(
        "untrained-model", "the model is replaced after the optimizer was made", with_the_old_model),
    "class vectors at the encoder's rate": Broken(
        "class-vector-rate", "PML #351: ArcFace below cross-entropy", with_one_rate, "note"),
    "broadcast of pair labels": Broken(
        "label-blind", "distances (samples, 1) against labels (samples,)",
        lambda: setup(broadcast_contrastive, loader=pairs("zero"))),
    "labels in a column": Broken(
        "label-shape", "labels (samples, 1) from a table",
        lambda: setup(column_labels, loader=[(inputs, labels.unsqueeze(1)) for inputs, labels in batches()])),
    "labels unused": Broken(
        "label-blind", "TFS #231: positives and negatives the same after an upgrade",
        lambda: setup(lambda embeddings, labels: (embeddings @ embeddings.T).square().mean())),
    "root of zero": Broken(
        "root-at-zero", "adambielski/siamese-triplet #18: an identical pair gives NaN", lambda: setup(naive_triplet)),
    "a pair of identical images": Broken(
        "not-finite", "tensorflow #30199: NaN from the gradient of the root",
        lambda: setup(naive_triplet, loader=[(inputs[[0, 0, *range(2, 12)]], labels) for inputs, labels in batches()])),
    "mean of no triplets": Broken(
        "not-finite", "PML #107: 0/0 when nothing is left", lambda: setup(nan_without_positives)),
    "anchors without positives": Broken(
        "not-finite", "SC #20: NaN for anchors without positives",
        lambda: setup(SupContrast(unsafe=True), loader=batches([[0, 0, 1, 1, 2]]), embed=lambda model, batch: (model(batch[0]).unsqueeze(1), batch[1]))),
    "NaN in the inputs": Broken(
        "not-finite", "deepinsight/insightface: NaN from the data",
        lambda: setup(losses.SupConLoss(), loader=[(inputs / 0 * 0, labels) for inputs, labels in batches()])),
    "SupCon stuck at log(2B - 1)": Broken(
        "collapsed", "SC #42: 6.920 for 30 epochs, SC #3: 8.909",
        lambda: setup(SupContrast(), Encoder(spread=1e-4), embed=paired_views)),
    "batch-hard at the margin": Broken(
        "collapsed", "PML #20: all hardest distances 0, the loss exactly the margin", lambda: setup(
            losses.TripletMarginLoss(margin=0.01), Encoder(spread=1e-4), miner=miners.BatchHardMiner())),
    "soft margin at ln 2": Broken(
        "collapsed", "VisualComputingInstitute/triplet-reid #30: not under 0.7",
        lambda: setup(soft_margin_hard, Encoder(spread=1e-4))),
    "one vector for all, ours": Broken(
        "collapsed", "philipperemy/deep-speaker #13: near-identical outputs", lambda: setup(
            losscope.Criterion("contrastive"), Encoder(spread=1e-4))),
    "contrastive at m²/4": Broken(
        "label-blind-value", "Hadsell's loss stuck at a quarter: all pairs half the margin apart",
        lambda: setup(pair_contrastive, HalfApart(), [(inputs[:6], inputs[6:], torch.tensor([1, 0, 1, 0, 1, 0])) for inputs, _ in batches()], embed=lambda model, batch: (model(batch[0]), model(batch[1]).roll(1, 0), batch[2]))),
    "a miner of unnormalized distances": Broken(
        "miner-distance", "PML #548, #169: do miner and loss have to agree?", lambda: setup(
            losses.NTXentLoss(), miner=miners.PairMarginMiner(distance=distances.LpDistance(normalize_embeddings=False)))),
    "NTXent with an L2 miner": Broken(
        "miner-units", "PML #548: NTXent uses cosine, PairMarginMiner L2", lambda: setup(
            losses.NTXentLoss(), miner=miners.PairMarginMiner(pos_margin=0.1, neg_margin=1.9)), "note"),
    "margin 0.05 and a miner's 0.2": Broken(
        "miner-margin", "PML #466: loss margin 0.05, miner margin 0.2", lambda: setup(
            losses.TripletMarginLoss(), miner=miners.TripletMarginMiner()), "note"),
    "scale 64 in half precision": Broken(
        "half-overflow", "PML #209, #309: margin softmax in fp16", lambda: setup(naive_softmax, embed=in_half)),
    "temperature 0.05 in half precision": Broken(
        "half-overflow", "e^20 in fp16", lambda: setup(partial(naive_softmax, scale=20.0), embed=in_half)),
    "hashes as labels": Broken(
        "unsafe-labels", "label ids from hashes or databases", lambda: setup(
            losses.TripletMarginLoss(), loader=[(inputs, labels + 2**24) for inputs, labels in batches()])),
    "more labels than class vectors": Broken(
        "labels-beyond-vectors", "labels of the test classes, or from 1", lambda: setup(
            losses.ArcFaceLoss(CLASSES - 1, DIM))),
    "duplicates of the positive": Broken(
        "positives-as-negatives", "ST #3189, #2954: duplicates act as negatives",
        lambda: setup(matched, loader=with_duplicates())),
    "accumulation for more negatives": Broken(
        "accumulation-adds-no-negatives", "ST #2916, PR #1822: accumulation does not add negatives",
        lambda: setup(matched, loader=[(inputs[:6], inputs[6:]) for inputs, _ in batches()], accumulation=8), "note"),
    "dot products of any length": Broken(
        "not-normalized", "SC: SupConLoss on features that were not normalized", lambda: setup(
            SupContrast(), Encoder(unit=False, spread=5.0), embed=views)),
    "ours without unit length": Broken(
        "not-normalized", "OML #367: collapse depends on normalise_features", lambda: setup(
            losscope.Criterion("sup_con"), Encoder(unit=False))),
    "ArcFace diverges": Broken(
        "exploding-gradient", "deepinsight/insightface #2144: ArcFace diverges at a large rate", with_large_steps),
    "left in evaluation mode": Broken(
        "evaluation-mode", "model.eval() for the first validation, never model.train()", lambda: setup(
            losses.SupConLoss(), Encoder(nn.BatchNorm1d(12), nn.Dropout(0.1)).eval())),
}  # fmt: skip
"""Name -> a set-up in which something is wrong."""


def loader() -> DataLoader[Any]:
    inputs, labels = (torch.cat(one) for one in zip(*batches(), strict=True))
    return DataLoader(TensorDataset(inputs, labels), batch_size=18, shuffle=True)


HEALTHY: dict[str, Callable[[], Setup]] = {
    "contrastive, ours": lambda: setup(losscope.Criterion("contrastive")),
    "triplet, ours, batch-hard": lambda: setup(losscope.Criterion("triplet", margin=0.2, mining="batch_hard")),
    "triplet, ours, semi-hard": lambda: setup(losscope.Criterion("triplet", mining="semi_hard")),
    "pml ranked list, which leaves out distances of 0": lambda: setup(losses.RankedListLoss(margin=0.4, Tn=1)),
    "pml normalized softmax": lambda: setup(losses.NormalizedSoftmaxLoss(CLASSES, DIM), Encoder(unit=False)),
    "a memory of earlier batches": lambda: setup(losses.CrossBatchMemory(losses.TripletMarginLoss(0.2), DIM, 64)),
    "sup_con, ours, a DataLoader": lambda: setup(losscope.Criterion("sup_con"), loader=loader()),
    "info_nce, ours, any length normalized inside": lambda: setup(
        losscope.Criterion("info_nce", normalize=True), Encoder(unit=False)
    ),
    "arcface, ours": lambda: setup(losscope.Criterion("arcface", classes=CLASSES, dim=DIM, scale=16.0)),
    "center contrastive, moving centers": lambda: setup(
        losscope.Criterion("center_contrastive", classes=CLASSES, dim=DIM, scale=16.0, momentum=0.9)
    ),
    "pml triplet with its own miner": lambda: setup(
        losses.TripletMarginLoss(margin=0.2), miner=miners.TripletMarginMiner(margin=0.2)
    ),
    "pml contrastive": lambda: setup(losses.ContrastiveLoss()),
    "pml contrastive in large batches": lambda: setup(
        losses.ContrastiveLoss(), loader=batches([[label for label in range(10) for _ in range(6)]])
    ),
    "an untrained deep network": lambda: setup(
        losses.TripletMarginLoss(0.2), Encoder(*[layer for _ in range(4) for layer in (nn.Linear(12, 12), nn.ReLU())])
    ),
    "pml contrastive with cosines, margins set": lambda: setup(
        losses.ContrastiveLoss(pos_margin=1, neg_margin=0.2, distance=distances.CosineSimilarity())
    ),
    "pml multi-similarity with its miner": lambda: setup(
        losses.MultiSimilarityLoss(), Encoder(unit=False), miner=miners.MultiSimilarityMiner()
    ),
    "pml supcon, batch norm, dropout": lambda: setup(
        losses.SupConLoss(), Encoder(nn.BatchNorm1d(12), nn.Dropout(0.1), unit=False)
    ),
    "batch norm kept in evaluation mode": lambda: setup(losses.SupConLoss(), frozen_statistics()),
    "outliers": lambda: setup(losscope.Criterion("triplet"), loader=batches([[0, 0, 1, 1, -1, -1, -1, -1, -1]])),
    "an accuracy of sixteen bits, bfloat16": lambda: setup(
        losses.NTXentLoss(temperature=0.05), embed=lambda model, batch: (model(batch[0]).bfloat16(), batch[1])
    ),
    "pml proxy anchor": lambda: setup(losses.ProxyAnchorLoss(CLASSES, DIM)),
    "pml ntxent of float16 embeddings": lambda: setup(losses.NTXentLoss(temperature=0.1), embed=in_half),
    "torch triplets": lambda: setup(nn.TripletMarginLoss(margin=0.5), loader=triplets()),
    "torch cosine pairs": lambda: setup(nn.CosineEmbeddingLoss(margin=0.2), Encoder(unit=False), loader=pairs()),
    "two encoders, matched rows": lambda: setup(matched, loader=[(inputs[:6], inputs[6:]) for inputs, _ in batches()]),
    "two views, no labels": lambda: setup(SupContrast(), embed=paired_views),
    "a custom contrastive function": lambda: setup(pair_contrastive, loader=pairs("zero")),
    "batches as mappings": lambda: setup(
        losses.TripletMarginLoss(), loader=[{"image": inputs, "label": labels} for inputs, labels in batches()]
    ),
}
"""Name -> a set-up with nothing to mend."""
