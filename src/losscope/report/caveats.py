"""What the numbers of a report do not tell, as far as the report itself can know."""

from __future__ import annotations

from losscope.report.summary import Summary
from losscope.report.tables import span


def caveats(summary: Summary) -> list[str]:
    """One sentence or two for each limit of these numbers."""
    counts = span([len(part.runs_of(subject)) for part in summary.comparisons for subject in part.trained])
    redrawn = "initial weights, batches and tuples" + (
        " (and the synthetic data)" if any(part.drawn_per_seed for part in summary.comparisons) else ""
    )
    said = [
        f"Other data, networks or settings: n = {counts} seeds redraw {redrawn}, nothing else. An interval speaks of other "
        "seeds under the same protocol.",
        "Which loss is better when tuned: each loss ran with the settings listed above. Another margin, learning rate, "
        "batch or length of training may reverse an order.",
        "Quality from geometry: loose classes are neither good nor bad as such, and a loss that stops early is not "
        "thereby better. Whether embeddings serve is what retrieval and classification measure.",
        "Anything from comparing active ratios, gradient norms or loss values of different losses by size: they have "
        "different units, floors and reductions. Their course over time compares.",
        "Whether a measured number differs from the paper's: the paper prints one run without an interval, so the "
        "distance between the two can't be tested.",
        "How the losses do at their best epoch: every number is of the last epoch unless it says otherwise, and nothing "
        "was selected on the evaluation split.",
    ]
    if not any("class_disjoint" in part.dataset for part in summary.comparisons):
        said.append(
            "Retrieval of unseen classes: in all data of this report the classes of the evaluation split were trained on. "
            "Metric learning is usually judged on classes that were not."
        )
    return said
