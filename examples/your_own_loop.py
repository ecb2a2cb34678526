"""A loss of losscope in your own training loop, watched: `Criterion` is an ordinary module on (embeddings, labels).

Run it:  python examples/your_own_loop.py
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import losscope
from losscope import data


def main() -> float:
    """Train a small encoder on the embedded digits and return its Recall@1 on the test half."""
    torch.manual_seed(0)
    digits = data.load("digits")
    train, test = digits.splits["train"], digits.splits["test"]
    inputs, labels = torch.from_numpy(train.inputs).flatten(1), torch.from_numpy(train.labels)
    encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
    criterion = losscope.Criterion("triplet", margin=0.2, squared=True)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    monitor = losscope.Monitor(criterion, optimizer=optimizer)  # out="runs/first" writes what `losscope report` reads
    for _ in range(5):
        for rows in torch.randperm(len(labels)).split(64):
            loss = criterion(F.normalize(encoder(inputs[rows]), dim=-1), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        monitor.epoch()
    monitor.close()
    with torch.no_grad():
        embeddings = F.normalize(encoder(torch.from_numpy(test.inputs).flatten(1)), dim=-1)
    return losscope.evaluation.retrieval(embeddings, torch.from_numpy(test.labels)).recall_at_k[1]


if __name__ == "__main__":
    print(f"Recall@1 on the test half: {main():.3f}")
