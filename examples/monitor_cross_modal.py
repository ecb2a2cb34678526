"""Two encoders and a symmetric contrastive loss of your own, watched: matched rows are the positives.

Run it:  python examples/monitor_cross_modal.py [folder]
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import losscope


def criterion(images: Tensor, texts: Tensor) -> Tensor:
    """Row i of one is the partner of row i of the other (Radford et al. 2021)."""
    logits, target = images @ texts.T / 0.1, torch.arange(len(images))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def main(out: str | None = None) -> losscope.Monitor:
    """Train two linear encoders on views of one hidden vector."""
    torch.manual_seed(0)
    to_image, to_text = torch.randn(8, 32), torch.randn(8, 20)
    images, texts = nn.Linear(32, 16), nn.Linear(20, 16)
    optimizer = torch.optim.Adam([*images.parameters(), *texts.parameters()], lr=1e-2)
    with losscope.Monitor(out=out, loss="symmetric", optimizer=optimizer) as monitor:
        watched = losscope.tap(criterion, monitor)  # a plain function comes back wrapped
        for _ in range(60):
            hidden = torch.randn(64, 8)
            loss = watched(F.normalize(images(hidden @ to_image), dim=-1), F.normalize(texts(hidden @ to_text), dim=-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return monitor


if __name__ == "__main__":
    seen = main(*sys.argv[1:]).lines
    print(f"loss {seen[0]['loss'][0]:.2f} -> {seen[-1]['loss'][0]:.2f}; ", end="")
    print(f"samples that carry 90 % of the gradient {seen[-1]['gradient_share_90'][0]:.0%}")
