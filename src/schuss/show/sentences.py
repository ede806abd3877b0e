"""The sentences about results, in one catalogue: a second language is a second catalogue.

A sentence is a whole template with named fields. Where it depends on a number it has one form for 1 and one for others.

>>> sentence("widened", count=1, trials=counted("trial", 4))
'For 1 competitor the best learning rate was at the edge of its range, which was widened (4 trials more).'
>>> sentence("widened", count=2, trials=counted("trial", 1))
'For 2 competitors the best learning rate was at the edge of its range, which was widened (1 trial more).'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Template: TypeAlias = str | tuple[str, str]  # one form, or that for a count of 1 and that for others

ENGLISH: dict[str, Template] = {
    "best": "Best on {data}: {name}, with a test {score_name} of {score}.",
    "best on average": "Best on average over {data}: {name}, with a mean test {score_name} of {score}.",
    "best without a score": (
        "Best on average over {data}: {name}, which has no mean score because too many of its networks diverged."
    ),
    "learning rate": "Its best learning rate is {rate}.",
    "interval": "Its 95 % interval over {count} new seeds is {low} to {high}.",
    "interval without a lower end": (
        "Its 95 % interval over {count} new seeds ends at {high} and has no lower end, because too many of its "
        "networks may diverge."
    ),
    "no interval": "One seed gives no interval; use more seeds.",
    "interrupted": "The comparison was interrupted: {networks} of {expected} networks are finished.",
    "unfinished": "No competitor has a result yet: {networks} of {expected} networks are finished.",
    "all diverged": "No competitor has a result: too many networks of each diverged on new seeds.",
    "no rival": "It was compared with no other competitor.",
    "too few seeds": (
        "With {count} new seed no difference can be significant; it takes at least {fewest}.",
        "With {count} new seeds no difference can be significant; it takes at least {fewest}.",
    ),
    "all tied": (
        "No significant difference: {names} is statistically tied with it.",
        "No significant difference: all {count} others are statistically tied with it.",
    ),
    "tied": ("Statistically tied with it: {names}.", "{count} others are statistically tied with it: {names}."),
    "worse": ("Significantly worse: {names}.", "{count} others are significantly worse: {names}."),
    "all worse": ("It is significantly better than {names}.", "It is significantly better than all {count} others."),
    "passes": "After the same number of passes over the data, gd reaches {gd} and sgd {sgd}.",
    "widened": (
        (
            "For {count} competitor the best learning rate was at the edge of its range, which was widened "
            "({trials} more)."
        ),
        (
            "For {count} competitors the best learning rate was at the edge of its range, which was widened "
            "({trials} more)."
        ),
    ),
    "none diverged": "None of {networks} networks diverged.",
    "diverged with one": (
        "{count} of {networks} networks diverged, with {name}.",
        "{count} of {networks} networks diverged, all with {name}.",
    ),
    "diverged": "{count} of {networks} networks diverged, {most} of them with {name}.",
    "range": "{low} to {high}",
    "and more": "{names} and {count} more",
    "and": "{names} and {last}",
    "data sets": ("{count} data set", "{count} data sets"),
    "trial": ("{count} trial", "{count} trials"),
}


def sentence(key: str, *, count: int | None = None, **fields: object) -> str:
    """The sentence of a key, with its fields filled in."""
    template = ENGLISH[key]
    chosen = template if isinstance(template, str) else template[count != 1]
    return chosen.format(count=count, **fields)


def counted(noun: str, count: int) -> str:
    """A number with its noun.

    >>> counted("data sets", 3)
    '3 data sets'
    """
    return sentence(noun, count=count)


def enumeration(names: Sequence[str], at_most: int) -> str:
    """The first names, and how many more there are.

    >>> enumeration(["a", "b", "c", "d"], at_most=2), enumeration(["a", "b", "c"], at_most=3)
    ('a, b and 2 more', 'a, b and c')
    """
    if len(names) > at_most:
        return sentence("and more", names=", ".join(names[:at_most]), count=len(names) - at_most)
    return sentence("and", names=", ".join(names[:-1]), last=names[-1]) if len(names) > 1 else "".join(names)
