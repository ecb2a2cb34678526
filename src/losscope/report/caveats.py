"""What the numbers of a report do not tell, as far as the report itself can know."""

from __future__ import annotations

from losscope.summary.formatting import span
from losscope.summary.types import Summary


def caveats(summary: Summary) -> list[str]:
    """One sentence or two for each limit of these numbers."""
    counts = span([len(part.runs_of(subject)) for part in summary.comparisons for subject in part.trained])
    redrawn = "initial weights, batches and tuples" + (
        " (and the synthetic data)" if any(part.drawn_per_seed for part in summary.comparisons) else ""
    )
    said = [
        f"Other data, networks or settings: n = {counts} seeds redraw {redrawn}, nothing else. An interval speaks of other "
        "seeds under the same protocol.",
        _tuning(summary),
        "Quality from geometry: loose classes are neither good nor bad as such, and a loss that stops early is not "
        "thereby better. Whether embeddings serve is what retrieval and classification measure.",
        "Anything from comparing active ratios, gradient norms or loss values of different losses by size: they have "
        "different units, floors and reductions. Their course over time compares.",
        "Whether a measured number differs from the paper's: the paper prints one run without an interval, so the "
        "distance between the two can't be tested.",
        "How the losses do at their best epoch: every number is of the last epoch unless it says otherwise, and no epoch "
        "was selected on the evaluation split.",
    ]
    if any(count > 1 for part in summary.comparisons if not part.tuned for count in part.budgets.values()):
        said.append(
            "How a loss does with the best of its variants on new classes or data: where several variants of a loss ran and "
            "none was chosen on a validation split, the leading one is picked by the numbers that are shown, which flatters it."
        )
    if not any("class_disjoint" in part.dataset for part in summary.comparisons):
        said.append(
            "Retrieval of unseen classes: in all data of this report the classes of the evaluation split were trained on. "
            "Metric learning is usually judged on classes that were not."
        )
    return said


def _tuning(summary: Summary) -> str:
    if summary.comparisons and all(part.tuned for part in summary.comparisons):
        return (
            "Which loss is better with other settings: each was tuned over the values listed above, by Recall@1 on the "
            "validation split, and over nothing else. Learning rate, batch and length of training are one for all."
        )
    return (
        "Which loss is better when tuned: each loss ran with the settings listed above. Another margin, learning rate, batch "
        "or length of training may reverse an order."
    )
