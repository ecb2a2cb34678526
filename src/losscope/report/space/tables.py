"""The tables of a diagnosed space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.report.space.reading import Record
from losscope.report.space.words import estimate, matters, shown, term, title
from losscope.report.tables import Column, Group, Row, Table

MOST_CLASSES = 500
"""Rows of the table of classes; the file has all."""
CLASS_COLUMNS = {
    "n": "rows", "queries": "queries", "recall_at_1": "Recall@1", "map_at_r": "MAP@R", "variance": "variance",
    "silhouette": "silhouette", "nearest_class": "nearest class", "nearest_class_distance": "its distance",
    "looks_collapsed": "collapsed?", "looks_like_two": "two in one?",
}  # fmt: skip
TERMS = {
    "recall_at_1": "recall_at_k", "map_at_r": "map_at_r", "variance": "variance", "silhouette": "silhouette",
    "looks_collapsed": "looks_collapsed", "looks_like_two": "looks_like_two",
}  # fmt: skip
GEOMETRY = (
    ("variance", "intra_class_variance_mean"), ("variance", "intra_class_variance_unbiased_mean"),
    ("variance", "inter_class_distance_mean"), ("variance", "intra_inter_ratio"), ("variance", "fisher_ratio"),
    ("spectrum", "effective_rank"), ("spectrum", "participation_ratio"), ("spectrum", "components_90"),
    ("spectrum", "spectral_decay"), ("spectrum", "within_class_effective_rank"),
    ("collapse", "nc1"), ("collapse", "nc2_equinorm"), ("collapse", "nc2_equiangular"),
    ("alignment_uniformity", "alignment"), ("alignment_uniformity", "uniformity"),
    ("overlap", "auc"), ("overlap", "coefficient"), ("density", "pi_ratio"), ("silhouette", "mean"),
    ("hubness", "skewness"), ("hubness", "antihub_share"), ("hubness", "bad_share"),
)  # fmt: skip


def measures_table(record: Record) -> Table:
    """Every retrieval measure with both intervals; both directions where queries and gallery differ."""
    document = record.document
    columns = (
        Column("mean [over classes]", "over_classes"),
        Column("[over queries]", "over_queries"),
        Column("queries"),
    )
    groups = _measured(document["intervals"], "queries to gallery: " if document["reverse"] else "")
    if document["reverse"]:
        groups += _measured(document["reverse"]["intervals"], "gallery to queries: ")
    asked = document["queries"]
    which = "All queries" if asked["exact"] else f"A sample of {asked['asked']:,} queries (seed {asked['seed']})"
    return Table(
        "measures-table", "Retrieval",
        f"{which}, {asked['excluded']:,} left out because nothing is relevant to them; {document['similarity']}. Means "
        "with 95 % t intervals: for other classes like these, and for other queries of these classes.",
        "measure", columns, tuple(groups),
    )  # fmt: skip


def _measured(intervals: Mapping[str, Any], direction: str) -> list[Group]:
    """The measures that matter, then the others."""
    rows: dict[bool, list[Row]] = {True: [], False: []}
    for name, found in intervals.items():
        queries = estimate(found, "low_queries", "high_queries")
        cells = estimate(found), "[" + queries.split(" [")[1] if " [" in queries else queries, f"{found['queries']:,}"
        rows[matters(name)].append(Row(title(name), cells))
    return [
        Group(f"{direction}the measures that matter", tuple(rows[True])),
        Group(f"{direction}others", tuple(rows[False])),
    ]


def geometry_table(record: Record) -> Table | None:
    """What describes the space without asking queries."""
    rows = []
    for part, name in GEOMETRY:
        value = record.geometry.get(part, {}).get(name)
        if value is not None:
            text = estimate(value) if isinstance(value, dict) else shown(value)
            rows.append(Row(_label(part, name), (text, _direction(part, name))))
    if not rows:
        return None
    return Table("geometry-table", "Geometry", "Definitions are in the glossary; intervals where a sample was measured.",
                 "measure", (Column("value"), Column("reads", words=True)), (Group("", tuple(rows)),))  # fmt: skip


LABELS = {
    ("variance", "intra_class_variance_mean"): "intra-class variance (mean)",
    ("variance", "intra_class_variance_unbiased_mean"): "the same, unbiased",
    ("variance", "inter_class_distance_mean"): "inter-class distance (mean)",
    ("variance", "intra_inter_ratio"): "intra/inter ratio", ("variance", "fisher_ratio"): "Fisher ratio",
    ("spectrum", "within_class_effective_rank"): "within-class effective rank",
    ("overlap", "auc"): "same class nearer than other (AUC)", ("overlap", "coefficient"): "overlap of distances",
    ("silhouette", "mean"): "silhouette", ("hubness", "skewness"): "hubness (skewness)",
    ("hubness", "antihub_share"): "anti-hubs", ("hubness", "bad_share"): "bad occurrences",
    ("density", "pi_ratio"): "density ratio", ("spectrum", "components_90"): "components for 90 % of the variance",
    ("collapse", "nc1"): "NC1", ("collapse", "nc2_equinorm"): "NC2, lengths", ("collapse", "nc2_equiangular"): "NC2, angles",
}  # fmt: skip
DIRECTIONS = {
    "intra_class_variance_mean": "0: every class one point, 1: no common direction (unit vectors)",
    "inter_class_distance_mean": "of the centroids of two classes", "intra_inter_ratio": "lower: compact against far apart",
    "fisher_ratio": "variance between classes over variance within", "spectral_decay": "0: a flat spectrum",
    "pi_ratio": "distances within classes over those between", "within_class_effective_rank": "dimensions in which classes spread",
    "auc": "1: every pair of one class is nearer than any other; ½: no order", "coefficient": "0: apart, 1: the same",
    "skewness": "0: no hubs; above 1 a few rows are neighbors of very many", "antihub_share": "rows that are nobody's neighbor",
    "bad_share": "share of neighbor places filled by another class", "mean": "1: compact and apart, below 0: nearer to another class",
    "uniformity": "lower: spread more evenly", "alignment": "lower: classes tighter", "nc1": "0: every class one point",
    "nc2_equinorm": "0: centroids equally long", "nc2_equiangular": "0: centroids equally apart",
    "effective_rank": "dimensions in use", "participation_ratio": "dimensions that carry the variance",
}  # fmt: skip


def _label(part: str, name: str) -> str:
    return LABELS.get((part, name), name.replace("_", " "))


def _direction(part: str, name: str) -> str:
    return DIRECTIONS.get(name, "")


def verification_table(record: Record) -> Table | None:
    """What one threshold for all pairs does."""
    found = record.document["verification"]
    if not found:
        return None
    rows = [Row("equal error rate", (shown(found["eer"]), shown(found["eer_threshold"])))]
    rows += [
        Row(
            f"missed pairs where {shown(float(rate))} of the others pass",
            (shown(missed), shown(found["threshold_at_fmr"][rate])),
        )
        for rate, missed in found["fnmr_at_fmr"].items()
    ]
    rows.append(Row("OPIS", (shown(found["opis"]), "")))
    return Table("verification-table", "One threshold for all pairs",
                 f"{found['genuine']:,} pairs of one class and {found['impostors']:,} of two, all of them.", "measure",
                 (Column("rate", "verification"), Column("threshold")), (Group("", tuple(rows)),))  # fmt: skip


def classes_table(record: Record) -> Table:
    """The classes, the worst first; its head sorts."""
    known = [name for name in CLASS_COLUMNS if record.per_class and name in record.per_class[0]]
    ordered = sorted(record.per_class, key=lambda row: (row["map_at_r"] is None, row["map_at_r"] or 0.0))
    listed = ordered[:MOST_CLASSES]
    left = len(ordered) - len(listed)
    caption = "A row for each class, the lowest MAP@R first; the head of a column sorts by it."
    return Table(
        "classes-table", "Classes", caption + (f" {left:,} better ones are in the CSV only." if left else ""), "class",
        tuple(Column(CLASS_COLUMNS[name], TERMS.get(name, ""), words=name == "nearest_class") for name in known),
        (Group("", tuple(Row(row["label"], tuple(shown(row[name]) for name in known)) for row in listed)),),
    )  # fmt: skip


def suspects_table(record: Record) -> Table | None:
    """Rows whose label may be wrong."""
    found = record.geometry.get("suspects")
    if not found or not found["rows"]:
        return None
    rows = tuple(
        Row(record.name(one["row"]), (str(one["row"]), one["label"], one["suggested"], shown(one["score"])))
        for one in found["rows"][:40]
    )
    columns = (
        Column("row"),
        Column("label", words=True),
        Column("fits better", "suspects", words=True),
        Column("score"),
    )
    return Table("suspects-table", "Label suspects", f"{found['total']:,} of {found['looked_at']:,} rows lie nearer to "
                 f"another class by their {found['ranked_by']}; the most suspect first. A list to look at, not a list of "
                 "errors.", "name", columns, (Group("", rows),))  # fmt: skip


def duplicates_table(record: Record) -> Table | None:
    """Pairs of rows that are nearly one."""
    found = record.geometry.get("duplicates")
    if not found or not found["total"]:
        return None
    pairs = sorted(found["pairs"], key=lambda pair: not pair["across"])[:40]
    rows = tuple(
        Row(
            " and ".join(record.name(row) for row in pair["rows"]),
            (
                " / ".join(record.labels[row] for row in pair["rows"]),
                shown(pair["distance"]),
                "yes" if pair["across"] else "",
            ),
        )
        for pair in pairs
    )
    columns = (Column("labels", words=True), Column("distance", "duplicates"), Column("different classes?"))
    return Table("duplicates-table", "Near-duplicates",
                 f"{found['total']:,} pairs are nearer than {shown(found['threshold'])}, {found['across_total']:,} of them of "
                 "different classes; those come first.", "rows", columns, (Group("", rows),))  # fmt: skip


def differences_table(record: Record) -> Table | None:
    """This space minus the other."""
    comparison = record.document["comparison"]
    if not comparison:
        return None
    this, other = record.document["intervals"], comparison["other"]["intervals"]
    rows = tuple(
        Row(title(name), (shown(this[name]["mean"]), shown(other[name]["mean"]), estimate(found, signed=True),
                          estimate(found, "low_queries", "high_queries", signed=True)))
        for name, found in sorted(comparison["differences"].items(), key=lambda item: not matters(item[0]))
    )  # fmt: skip
    columns = (Column("this"), Column("other"), Column("difference [over classes]", "over_classes"),
               Column("difference [over queries]", "over_queries"))  # fmt: skip
    return Table("differences-table", "This space minus the other", "Paired by query; 95 % t intervals.", "measure", columns,
                 (Group("", rows),))  # fmt: skip


def changed_classes_table(record: Record) -> Table | None:
    """Classes that changed the most, for better and for worse."""
    comparison = record.document["comparison"]
    if not comparison or not comparison["per_class"]:
        return None
    ordered = comparison["per_class"]
    shown_rows = ordered if len(ordered) <= 20 else [*ordered[:10], *ordered[-10:]]
    rows = tuple(Row(row["label"], (estimate({**row, "mean": row["difference"]}, signed=True), str(row["queries"])))
                 for row in shown_rows)  # fmt: skip
    return Table("changed-table", "Classes that changed", "Difference in MAP@R, the worst first, with 95 % t intervals over "
                 "the queries of the class, each for itself: among many classes some leave 0 out by chance.", "class",
                 (Column("difference [over queries]", "over_queries"), Column("queries")), (Group("", rows),))  # fmt: skip


def terms_of(record: Record) -> set[str]:
    """Terms of the glossary that the tables use."""
    return {term(name) for name in record.document["intervals"]} | {"over_classes", "over_queries", *TERMS.values()}
