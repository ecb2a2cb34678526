"""From lines to the verdict of a claim.

1. Lines that differ only in the pair of losses are one *place* (data set, protocol, measure, split with its labels, reading).
   A claim about several losses needs all of its comparisons: a place holds if all its lines hold, does not hold if one
   doesn't, and is open otherwise, or where a comparison is missing.
2. If all places hold, the claim holds; if none does and all are decided, it does not hold.
3. If some hold and some don't, it depends. It is said on which factors: on the fewest whose levels alone tell the places
   that hold from those that don't (of equally many, the first in the order of the ledger's columns).
4. Otherwise something is open, and nothing can be told, even where all decided places agree: they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from losscope.claims.types import Claim, EntryVerdict, Line, LineVerdict

NAMED, MOST_NAMED = 3, 6
"""Levels that a sentence names on both of its sides before it counts those of one, and on one side at all."""


@dataclass(frozen=True)
class Place:
    """Lines that stand or fall together."""

    levels: Mapping[str, str]
    lines: tuple[Line, ...]
    complete: bool  # whether all comparisons of the claim are there

    @property
    def verdict(self) -> LineVerdict:
        """All lines for it, one line against it, or neither."""
        verdicts = {line.verdict for line in self.lines}
        if "does not hold" in verdicts:
            return "does not hold"
        return "holds" if verdicts == {"holds"} and self.complete else "cannot tell"


def places(claim: Claim, lines: Sequence[Line]) -> list[Place]:
    """The lines by place, in order."""
    found: dict[tuple[tuple[str, str], ...], list[Line]] = {}
    for line in lines:
        found.setdefault(tuple(line.levels.items()), []).append(line)
    needed = len(claim.losses) * len(claim.against) if claim.kind in ("losses", "lead") else 1
    return [Place(dict(levels), tuple(of), len({line.pair for line in of}) >= needed) for levels, of in found.items()]


def compose(claim: Claim, lines: Sequence[Line]) -> tuple[EntryVerdict, tuple[str, ...], str]:
    """Verdict, the factors it depends on, and the reason."""
    if not lines:
        return "cannot tell", (), "Nothing to compare."
    found = places(claim, lines)
    held, fell, open_ = (
        [place for place in found if place.verdict == word] for word in ("holds", "does not hold", "cannot tell")
    )
    still = [_open(open_, len(found))] if open_ else []
    if held and fell:
        factors = explaining(held, fell)
        return "depends", factors, " ".join([_depends(factors, held, fell), *still])
    if open_:
        decided = held or fell
        word = "holds" if held else "does not hold"
        agreed = [f"It {word} in {len(decided)} of {len(found)} places."] if decided else []
        return "cannot tell", (), " ".join([*agreed, *still])
    if held:
        return "holds", (), f"In {_all(len(found))}: {effects(lines)}."
    return "does not hold", (), f"In {_all(len(found))}: {effects(lines)}. {_against(claim, fell)}{_why(fell)}"


def explaining(held: Sequence[Place], fell: Sequence[Place]) -> tuple[str, ...]:
    """The fewest factors whose levels alone tell the places that hold from those that don't."""
    factors = [
        name for name in _factors([*held, *fell]) if len({place.levels.get(name, "") for place in [*held, *fell]}) > 1
    ]
    for count in range(1, len(factors) + 1):
        for chosen in combinations(factors, count):
            seen = [{tuple(place.levels.get(name, "") for name in chosen) for place in side} for side in (held, fell)]
            if not seen[0] & seen[1]:
                return chosen
    return tuple(factors)


def _factors(found: Sequence[Place]) -> list[str]:
    return list(dict.fromkeys(name for place in found for name in place.levels))


def _depends(factors: Sequence[str], held: Sequence[Place], fell: Sequence[Place]) -> str:
    """Where it holds and where not: both sides if they can be named, else the shorter one."""
    sides = {"holds": _levels(factors, held), "does not hold": _levels(factors, fell)}
    shorter = min(sides, key=lambda word: len(sides[word]))
    other = "does not hold" if shorter == "holds" else "holds"
    count = len(sides[other])
    rest = "; ".join(sides[other]) if count <= NAMED else f"the other {count}"
    named = sides[shorter][:MOST_NAMED]
    more = [f"{len(sides[shorter]) - len(named)} more"] if len(sides[shorter]) > len(named) else []
    return f"{shorter.capitalize()} for {'; '.join([*named, *more])}. {other.capitalize()} for {rest}."


def _levels(factors: Sequence[str], side: Sequence[Place]) -> list[str]:
    """The levels of some places."""
    return list(dict.fromkeys(", ".join(_level(name, place) for name in factors) for place in side))


def _level(name: str, place: Place) -> str:
    level = place.levels.get(name, "none")
    plain = name in ("data set", "protocol", "measure", "split", "loss", "variant")
    return level if plain else f"{name}={level}"


def _against(claim: Claim, fell: Sequence[Place]) -> str:
    """Of a claim about several losses, the comparisons that come out against it."""
    if len(claim.losses) * len(claim.against) < 2:
        return ""
    named = list(dict.fromkeys(" / ".join(line.pair) for place in fell for line in place.lines
                               if line.verdict == "does not hold"))  # fmt: skip
    more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    return f"Not so for {'; '.join([*named[:MOST_NAMED], *more])}. "


def _open(open_: Sequence[Place], total: int) -> str:
    return f"Open in {len(open_)} of {total}: {_why(open_)}"


def _why(found: Sequence[Place]) -> str:
    """The commonest reason of lines that did not hold."""
    reasons = [line.ruling.why for place in found for line in place.lines if line.verdict != "holds"]
    return max(dict.fromkeys(reasons), key=reasons.count, default="Some of the claim's losses are not in the record.")


def _all(count: int) -> str:
    return "the only place" if count == 1 else f"all {count} places"


def effects(lines: Sequence[Line]) -> str:
    """How large the effects are, on each scale that they have."""
    return "; ".join(_extents(lines))


def _extents(lines: Sequence[Line]) -> Iterator[str]:
    for scale in dict.fromkeys(line.ruling.scale for line in lines):
        means = [line.ruling.effect.mean for line in lines if line.ruling.scale == scale and line.ruling.effect]
        if means:
            sign = "+" if scale in ("difference", "correlation") else ""
            low, high = f"{min(means):{sign}.2g}", f"{max(means):{sign}.2g}"
            yield f"{scale} {low}" if low == high else f"{scale} {low} to {high}"
