"""The trainer of sentence-transformers on a tiny random model, offline: monitored or not, the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from losscope.monitor import Monitor, every, never
from losscope.table import read_measurements

pytestmark = [pytest.mark.filterwarnings("ignore")]  # a trainer of this size warns of its own dependencies throughout


def texts(count: int = 24) -> dict[str, list[str]]:
    return {"anchor": [f"word{row} a" for row in range(count)], "positive": [f"word{row} b" for row in range(count)]}


def model(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", *(f"word{row}" for row in range(24))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16)  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    return SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu")


class Stop(TrainerCallback):
    """Ends the training after a step, as if it was told to."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **beside: Any) -> None:
        control.should_training_stop |= state.global_step >= self.step


def train(
    folder: Path, watched: bool, stop: int | None = None, resume_from: str | None = None, **options: Any
) -> tuple[Any, list[torch.Tensor], Any]:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from losscope.integrations.sentence_transformers import monitored

    encoder = model(folder)
    trainer = SentenceTransformerTrainer(
        model=encoder,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(folder / "out"), num_train_epochs=2, per_device_train_batch_size=8, report_to="none",
            logging_steps=1, disable_tqdm=True, use_cpu=True, max_grad_norm=0.01, seed=1,
            **{"save_strategy": "no", **options},
        ),
        train_dataset=Dataset.from_dict(texts()),
        loss=MultipleNegativesRankingLoss(encoder),
    )  # fmt: skip
    monitor = monitored(trainer, out=folder / "run", resume=True, strict=True) if watched else None
    if stop:
        trainer.add_callback(Stop(stop))
    trainer.train(resume_from_checkpoint=resume_from)
    return monitor, [*encoder.state_dict().values(), torch.get_rng_state()], trainer


def test_a_monitored_training_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("datasets")
    _, alone, _ = train(tmp_path / "alone", watched=False)
    monitor, seen, trainer = train(tmp_path / "watched", watched=True)
    assert all(torch.equal(one, other) for one, other in zip(alone, seen, strict=True))
    assert (monitor.count, monitor.epochs, monitor.identity.loss) == (6, 2, "MultipleNegativesRankingLoss")
    logged = [log for log in trainer.state.log_history if "grad_norm" in log]
    assert [line["loss"][0] for line in monitor.lines] == pytest.approx([log["loss"] for log in logged], abs=1e-4)
    norms = [line["gradient_norm"][0] for line in monitor.lines]
    assert norms == pytest.approx([log["grad_norm"] for log in logged], rel=1e-3)
    assert min(norms) > 0.02  # of before clipping
    assert monitor.lines[0]["batch_size"] == [16.0]
    assert monitor.lines[0]["batch_classes"] == [8.0]
    assert monitor.lines[0]["gradient_norm_embedding"][0] > 0
    assert not trainer.loss._forward_hooks
    assert isinstance(trainer.loss, nn.Module)


@pytest.mark.parametrize("restores", [False, True])
def test_a_resumed_training_has_the_record_of_one_that_was_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restores: bool
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("datasets")
    whole, _, _ = train(tmp_path / "whole", watched=True)
    folder = tmp_path / "killed"
    train(folder, watched=True, stop=4, save_strategy="steps", save_steps=2)
    assert {row["step"] for row in rows_of(folder / "run", steps=True)} == {0, 1, 2, 3}
    (folder / "out" / "checkpoint-4").rename(folder / "later")  # steps 2 and 3 are trained again
    again, _, _ = train(
        folder, watched=True, resume_from=str(folder / "out" / "checkpoint-2"),
        restore_callback_states_from_checkpoint=restores,
    )  # fmt: skip
    assert (again.count, again.epochs) == (whole.count, whole.epochs) == (6, 2)
    for steps in (True, False):
        assert rows_of(folder / "run", steps=steps) == rows_of(tmp_path / "whole" / "run", steps=steps)


LOSSES: dict[str, tuple[int, torch.Tensor | None, float | None, float | None]] = {
    "MultipleNegativesRankingLoss": (3, None, 8.0, 16 / 24),  # columns, labels, classes, share with a positive
    "CachedMultipleNegativesRankingLoss": (2, None, 8.0, 1.0),
    "TripletLoss": (3, None, 8.0, 16 / 24),
    "BatchAllTripletLoss": (1, torch.arange(8) % 3, 3.0, 1.0),
    "CosineSimilarityLoss": (2, torch.linspace(0, 1, 8), None, None),
    "OnlineContrastiveLoss": (2, torch.arange(8) % 2, None, None),
    "MatryoshkaLoss": (2, None, 8.0, 1.0),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("measured", [True, False])
def test_losses_that_encode_their_texts(tmp_path: Path, name: str, measured: bool) -> None:
    from sentence_transformers.sentence_transformer import losses

    encoder = model(tmp_path)
    inside = [losses.MultipleNegativesRankingLoss(encoder), [16, 8]] if name == "MatryoshkaLoss" else []
    criterion = getattr(losses, name)(encoder, *inside)
    columns, labels, classes, positive = LOSSES[name]

    def trained(watched: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        encoder.zero_grad()
        given = [encoder.preprocess([f"word{row} {'ab'[place % 2]}" for row in range(8)]) for place in range(columns)]
        schedule = every(1) if measured else never
        monitor = Monitor(criterion if watched else None, batch=schedule, terms=never, full=never, strict=True)
        with monitor:
            loss = criterion(given, labels)
            loss.backward()
        if watched:
            (line,) = monitor.lines
            assert (line["loss"], monitor.count, monitor._samples) == ([loss.item()], 1, 8 * columns)
            seen = [line.get(key, [None])[0] for key in ("batch_size", "batch_classes", "batch_positive_share")]
            assert seen == ([8.0 * columns, classes, positive] if measured else [None] * 3)
            cached = name.startswith("Cached")  # its gradients never leave it
            assert ("gradient_norm_embedding" in line) is (measured and not cached)
        return [one.grad for one in encoder.parameters() if one.grad is not None]

    alone, seen = trained(watched=False), trained(watched=True)
    assert all(torch.equal(one, other) for one, other in zip(alone, seen, strict=True))
    assert not criterion._forward_hooks
    assert not encoder._forward_hooks


def test_batches_of_one_label_are_named_at_the_third_step(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer import losses

    encoder = model(tmp_path)
    criterion = losses.BatchHardTripletLoss(encoder)
    with Monitor(criterion, strict=True) as monitor:
        for _ in range(3):
            criterion(
                [encoder.preprocess([f"word{row}" for row in range(8)])], torch.zeros(8, dtype=torch.int64)
            ).backward()
        monitor.settle()
        assert [one.code for one in monitor.findings] == ["single-class-batches", "zero-gradient"]


def rows_of(folder: Path, *, steps: bool) -> list[dict[str, Any]]:
    found = read_measurements(folder, steps=steps).to_pylist()
    return [{key: value for key, value in row.items() if key != "run"} for row in found]
