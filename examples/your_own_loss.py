"""A loss and a model of your own in a study, without editing the package.

Run it:  python examples/your_own_loss.py OUT_FOLDER
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

import losscope
from losscope.testing import check_loss
from losscope.types import Pairs

STUDY = {
    "name": "mine",
    "seeds": 3,
    "data": [{"name": "digits"}],
    "protocol": [
        {"name": "short", "epochs": 5, "model": {"name": "layer_norm"}, "batch": {"sampling": "one_plus_one"}}
    ],
    "loss": [{"name": "contrastive", "margin": 1.0}, {"name": "cosine_margin", "margin": [0.2, 0.5]}],
}


def cosine_margin(embeddings: Tensor, pairs: Pairs, *, margin: float = 0.5) -> losscope.LossTerms:
    """1 - cos for a positive pair, [cos - (1 - margin)]₊ for a negative one: written for one run, as on paper."""
    cosine = (embeddings[pairs.first] * embeddings[pairs.second]).sum(-1)
    values = torch.where(pairs.same, 1 - cosine, torch.relu(cosine - (1 - margin)))
    return losscope.LossTerms(values, pairs.valid)


def layer_norm(input_shape: tuple[int, ...]) -> nn.Module:
    """Any module without buffers; its output is L2-normalized by losscope."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 16))


def main(out: str) -> None:
    """Check the loss as the package checks its own, train it beside contrastive loss, and write the report."""
    mine = losscope.Loss(cosine_margin, kind="pair", saturates=True, reference="this file")
    check_loss(mine, margin=0.5)
    result = losscope.run(
        losscope.parse_study(STUDY), out, losses={"cosine_margin": mine}, models={"layer_norm": layer_norm}
    )
    page, _ = losscope.write_report(out)
    print(f"{len(result.records)} runs, report in {page}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "out/mine")
