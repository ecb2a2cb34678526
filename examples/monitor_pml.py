"""A loss of pytorch-metric-learning in a plain loop, watched: its active ratios are read before its reducer.

Run it:  python examples/monitor_pml.py [folder]
"""

from __future__ import annotations

import sys

import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import nn

import losscope
from losscope import data


def main(out: str | None = None) -> losscope.Monitor:
    """Train a small encoder on the embedded digits; measure the test half before and after."""
    torch.manual_seed(0)
    digits = data.load("digits")
    train, test = digits.splits["train"], digits.splits["test"]
    inputs, labels = torch.from_numpy(train.inputs).flatten(1), torch.from_numpy(train.labels)
    heldout, answers = torch.from_numpy(test.inputs).flatten(1), torch.from_numpy(test.labels)
    encoder, criterion = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16)), ContrastiveLoss()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    with losscope.Monitor(criterion, out=out, optimizer=optimizer) as monitor:
        monitor.epoch(encoder(heldout), answers)  # epoch 0: untrained
        for _ in range(3):
            for rows in torch.randperm(len(labels)).split(64):
                loss = criterion(encoder(inputs[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            monitor.epoch(encoder(heldout), answers)
    return monitor


if __name__ == "__main__":
    monitor = main(*sys.argv[1:])
    seen = [line for line in monitor.lines if "active_ratio_negative" in line]
    print(
        f"active negative pairs {seen[0]['active_ratio_negative'][0]:.2f} -> {seen[-1]['active_ratio_negative'][0]:.2f}"
    )
    recall = [row[5] for row in monitor.rows if row[3:5] == ("recall_at_k", 1)]
    print(f"Recall@1 {recall[0]:.3f} -> {recall[-1]:.3f}")
