"""What a report says in sentences about each of its charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from schuss.show import formatting

if TYPE_CHECKING:
    from schuss.comparison.budget import Budget
    from schuss.comparison.study.study import Study
    from schuss.gradient.flow import GradientFlow


def networks_in_words(study: Study) -> str:
    """What was compared, in a line."""
    n, seeds = len(study.rows), {row.seed for row in study.rows if row.stage == "final"}
    competitors = len(study.ranking)
    parts = [
        f"{n} networks",
        f"{competitors} competitor{'s' * (competitors != 1)}",
        f"{len(seeds)} new seed{'s' * (len(seeds) != 1)}",
    ]
    return " · ".join([*parts, f"{budget_in_words(study.budget)} each"])


def budget_in_words(budget: Budget) -> str:
    """How long each network trained.

    >>> from schuss.comparison.budget import Budget
    >>> budget_in_words(Budget(epochs=1)), budget_in_words(Budget(seconds=0.5))
    ('1 epoch', '0.5 seconds')
    """
    if budget.seconds is not None:
        return f"{budget.seconds:g} seconds"
    return f"{budget.epochs} epoch{'s' * (budget.epochs != 1)}"


# ---------------------------------------------------------------------------------------------- what charts show


def lead_in_words(scores: Sequence[float], score_name: str) -> str:
    """What lies between the first and those statistically tied with it."""
    if len(scores) < 2:
        return ""
    span = f"{min(scores):.3f} to {max(scores):.3f}"
    return f"Those in color reach a test {score_name} of {span}; what lies between them may be chance."


def map_in_words(learned: Mapping[str, float], trials: int, lost: int, learning: int) -> str:
    """How many of the trials learned, and over how many decades of rates the widest and the narrowest competitor do."""
    start = f"Of {trials} trials {learning} learned, {trials - learning - lost} hardly did, and {lost} diverged."
    return start + _extremes(learned, "learns over {} of learning rates")


def forgiving_in_words(widths: Mapping[str, float]) -> str:
    """Who forgives a badly chosen learning rate, and who does not."""
    return _extremes(widths, "comes within 5 % of its best over {} of learning rates").strip()


def _extremes(widths: Mapping[str, float], does: str) -> str:
    known = {name: width for name, width in widths.items() if math.isfinite(width)}
    if len(known) < 2:
        return ""
    most, least = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    less = f"over {decades(known[least])}" if known[least] >= 0.05 else "nowhere"
    return f" {most} {does.format(decades(known[most]))}, {least} {less}."


def losses_in_words(last: Mapping[str, float]) -> str:
    """The lowest and the highest training loss at the end."""
    known = {name: loss for name, loss in last.items() if math.isfinite(loss)}
    if len(known) < 2:
        return ""
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    return (
        f"In the end the training loss lies between {formatting.significant(known[low])} ({low}) and "
        f"{formatting.significant(known[high])} ({high})."
    )


def flows_in_words(flows: Mapping[str, GradientFlow]) -> str:
    """How much of the gradient is left in the first layer."""
    parts = [f"{name} {percent(float(flow.relative[0]))}" for name, flow in list(flows.items())[:6]]
    way = "On its way back from the last hidden layer to the first, before training, the gradient keeps"
    return f"{way}: {', '.join(parts)}."


def speed_in_words(scores: Mapping[str, float], firsts: Mapping[str, float], workloads: str) -> str:
    """Who is mostly the first, and who is never far behind."""
    best, first = max(scores, key=scores.__getitem__), max(firsts, key=firsts.__getitem__)
    if not scores[best]:
        return "Nobody reached the target in time."
    start, often = f"{best} has the highest profile, {scores[best]:.2f} of 1", formatting.share(firsts[first])
    if first == best:
        return f"{start}, and is the fastest, or as fast, on {often} of the {workloads}."
    return f"{start}; {first} is the fastest, or as fast, most often: on {often} of the {workloads}."


def profile_note(workloads: str, unit: str) -> str:
    """What the profiles are of."""
    return (
        f"The share of the {workloads} on which a competitor takes at most so many times the {unit} of the fastest one "
        "to the target: the median of what all of them reach on validation in the end. High on the left: often "
        "the first. High on the right: dependable. The mean height up to 4 × is its score: 1 for always the first."
    )


def tuning_in_words(curves: Mapping[str, Sequence[float]]) -> str:
    """Who is best after one trial, and who after all of them."""
    n = max(map(len, curves.values()), default=0)
    if n < 2:
        return ""
    ends = [{name: curve[k] for name, curve in curves.items() if math.isfinite(curve[k])} for k in (0, n - 1)]
    if not all(ends):
        return ""
    one, all_of_them = (max(end, key=end.__getitem__) for end in ends)
    return (
        f"Who can afford one trial does best with {one} (expected {ends[0][one]:.3f}); "
        f"with {n} trials it is {all_of_them} ({ends[1][all_of_them]:.3f})."
    )


# ---------------------------------------------------------------------------------------------- small words


def listed(names: Sequence[str]) -> str:
    """Names with an "and" before the last."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def decades(width: float) -> str:
    """A width on a log scale.

    >>> decades(1.04), decades(0.42)
    ('1 decade', '0.4 decades')
    """
    text = f"{width:.1f}".removesuffix(".0")
    return f"{text} decade{'s' * (text != '1')}"


def chance(value: float, low: float, high: float) -> str:
    """A probability with its interval.

    >>> chance(0.64, 0.4, 0.825)
    '64 (40 … 82) %'
    """
    if math.isnan(low):
        return formatting.share(value)
    return f"{100 * value:.0f} ({100 * low:.0f} … {100 * high:.0f}) %"


def percent(x: float) -> str:
    """A share of any size.

    >>> percent(0.067), percent(1.4), percent(3e-8), percent(math.nan)
    ('6.7 %', '140 %', '3e-6 %', 'nothing')
    """
    if not x > 0:
        return "nothing"
    return f"{float(f'{100 * x:.2g}'):g} %" if x >= 1e-4 else f"{formatting.significant(100 * x, 1)} %"


def seeds_in_words(seeds: Iterable[int]) -> str:
    """Numbers, those in a row as a span.

    >>> seeds_in_words([1, 2, 3, 4]), seeds_in_words([1, 5])
    ('1 to 4', '1, 5')
    """
    found = sorted(set(seeds))
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]} to {found[-1]}"
    return ", ".join(map(str, found))
