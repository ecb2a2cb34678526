"""What a study of paper B's losses can't say of paper B."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.report.paper_b.source import named
from losscope.summary.datasets import recorded, same_data
from losscope.summary.types import Comparison, Summary

PAPERS_BACKBONE = "vit_b32"


def limits(summary: Summary, comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """One sentence or two for each limit that holds of these comparisons."""
    losses = {subject.loss for part in comparisons for subject in part.trained}
    said = [
        "Whether the paper's numbers are right: of its body no formula, temperature, margin, scale, table or figure was found, "
        "so nothing printed stands beside ours. The claims are those of its abstract; losses, hyper-parameters, batches and "
        "splits are ours.",
    ]
    if "center_contrastive" in losses:
        said.append(
            f"What {named('center_contrastive')} does in the paper: ours is a documented reading of Center Contrastive Loss "
            "from a third party's re-implementation, not a verified original."
        )
    backbones = sorted(
        {str(recorded(summary.studies, part.dataset).get("source", {}).get("backbone")) for part in comparisons}
    )
    others = [name for name in backbones if PAPERS_BACKBONE not in name]
    if others:
        found = ", ".join("none (raw inputs)" if name == "None" else name for name in others)
        said.append(
            f"What the losses do on the paper's features: it trains a head on a frozen ViT-B/32, here the backbone is {found}."
        )
    if any(same_data(part.dataset, "cars196") for part in comparisons):
        said.append("How they do on all of Cars196: only its official training half is here, split again.")
    splits = dict.fromkeys(f"{part.dataset}: {part.split_protocol or 'not recorded'}" for part in comparisons)
    said.append(f"How they do on the paper's splits, which it doesn't name. Ours: {'; '.join(splits)}.")
    said.append(
        "Which family of losses is better: every ordering here is of losses at these hyper-parameters. Margin, scale and "
        "temperature move looseness as much as the loss does."
    )
    return tuple(said)
