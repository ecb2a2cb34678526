"""The trainer of sentence-transformers, watched, on a tiny random model: nothing is downloaded.

Run it:  python examples/monitor_sentence_transformers.py [folder]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer

import losscope
from losscope.integrations.sentence_transformers import monitored

WORDS = 64


def tiny(folder: Path) -> SentenceTransformer:
    """A BERT of one layer that knows a few words; in its place, your own model."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", *(f"word{place}" for place in range(WORDS))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32)], device="cpu")


def main(out: str | None = None) -> losscope.Monitor:
    """Train on pairs of sentences that share a word."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder))
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder, num_train_epochs=2, per_device_train_batch_size=16, learning_rate=1e-3, logging_steps=1,
                report_to="none", save_strategy="no", disable_tqdm=True, use_cpu=True,
            ),
            train_dataset=Dataset.from_dict(
                {side: [f"{word} word{place}" for place in range(WORDS)] for side, word in (("anchor", "the"), ("positive", "a"))}
            ),
            loss=MultipleNegativesRankingLoss(model),
        )  # fmt: skip
        monitor = monitored(trainer, out=out)
        trainer.train()
    return monitor


if __name__ == "__main__":
    lines = main(*sys.argv[1:]).lines
    print(f"{len(lines)} steps, loss {lines[0]['loss'][0]:.2f} -> {lines[-1]['loss'][0]:.2f}, ", end="")
    print(f"gradient norm before clipping {lines[0]['gradient_norm'][0]:.2f}")
