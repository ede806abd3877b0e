"""Numbers and words as tables, charts, sentences and JSON show them.

>>> print(f"{significant(0.00316)} {significant(0.974)} {significant(12345.0)} {significant(4.7e-10)}")
3.2e-3 0.97 1.2e4 4.7e-10
>>> mean_and_spread(0.9741, 0.0062)
'0.974 ± 0.006'
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from schuss.gradient.flow import GradientFlow


MISSING = "–"


def significant(x: float, digits: int = 2) -> str:
    """A number of any size, short: plain between 0.1 and 1000, else with a power of ten; – where it is not a number."""
    if math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -1 <= power < 3:
        return f"{x:.{max(digits - 1 - power, 0)}f}"
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{power}"


def rate(x: float) -> str:
    """A learning rate, as short as it goes.

    >>> rate(0.1), rate(0.0316), rate(1.0)
    ('0.1', '3.2e-2', '1')
    """
    text = significant(x)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def setting(x: object) -> str:
    """A setting of a competitor: a name, a number, or None for the full batch.

    >>> setting("relu"), setting(0.1), setting(None)
    ('relu', '0.1', 'all')
    """
    return "all" if x is None else f"{x:g}" if isinstance(x, float) else str(x)


def mean_and_spread(mean: float, spread: float) -> str:
    """A score with its standard deviation, which one seed alone does not have."""
    if math.isnan(mean):
        return MISSING
    plain = abs(mean) < 100 and not spread >= 100
    shown = [f"{x:.3f}" if plain else significant(x) for x in (mean, spread) if not math.isnan(x)]
    return " ± ".join(shown)


def estimate(value: float, low: float, high: float) -> str:
    """A score with its interval, which one seed alone does not have.

    >>> estimate(0.9741, 0.968, 0.9795), estimate(0.9, float("nan"), float("nan"))
    ('0.974 (0.968 … 0.980)', '0.900')
    """
    if math.isnan(value):
        return MISSING
    plain = all(abs(x) < 100 for x in (value, low, high) if math.isfinite(x))
    shown = [f"{x:.3f}" if plain and math.isfinite(x) else significant(x) for x in (value, low, high)]
    return shown[0] if math.isnan(low) and math.isnan(high) else f"{shown[0]} ({shown[1]} … {shown[2]})"


def share(x: float) -> str:
    """A share as a percentage."""
    return MISSING if math.isnan(x) else f"{100 * x:.0f} %"


def tendency(relative: NDArray[np.float64]) -> str:
    """What becomes of the gradient on its way back from the last hidden layer to the first, in one word.

    A factor of up to 10 is called steady, of more than 1000 vanishing or exploding.

    >>> tendency(np.array([1e-9, 1e-4, 1.0])), tendency(np.array([0.4, 0.7, 1.0]))
    ('vanishes', 'steady')
    """
    first = float(relative[0])
    if math.isnan(first):
        return "unknown"
    decades = math.log10(first) if first > 0 else -math.inf
    if abs(decades) <= 1:
        return "steady"
    grows = decades > 0
    return ("explodes" if grows else "vanishes") if abs(decades) > 3 else ("grows" if grows else "shrinks")


def reference(description: str) -> str:
    """The source that the first line of a description names in its last brackets.

    >>> reference("log(1 + e^z), a ReLU with its corner rounded (Dugas et al., 2001).")
    'Dugas et al., 2001'
    """
    found = re.findall(r"\(([^()]*(?:\d{4}|PyTorch)[^()]*)\)", description.partition("\n")[0])
    return found[-1] if found else ""


def short_formula(text: str) -> str:
    """A formula with its long constants cut to 5 digits, for reading.

    >>> short_formula("1.0507009873554805 * where(z > 0, z, 1.6732632423543772 * expm1(z))")
    '1.0507 * where(z > 0, z, 1.6733 * expm1(z))'
    """
    return re.sub(r"\d+\.\d{5,}", lambda found: f"{float(found[0]):.5g}", text)


def slope_in_words(flow: GradientFlow) -> str:
    """What the gradient does on its way back, as in "vanishes, losing 0.63 decades a layer"."""
    word, lost = tendency(flow.relative), flow.decades_per_layer
    verb = {"steady": "stays steady", "unknown": "reaches no layer"}.get(word, word)
    if math.isnan(lost) or signed(lost) == "0.00":
        return verb
    return f"{verb}, {'losing' if lost >= 0 else 'gaining'} {abs(lost):.2f} decades a layer"


def counted(texts: Sequence[str], several: Callable[[int, Sequence[str]], str]) -> Iterator[str]:
    """The texts, but one to three of them that come again at once are written once, as `several` says it.

    >>> list(counted(["a", "a", "b", "c", "b", "c"], lambda n, texts: f"{n} × ({', '.join(texts)})"))
    ['2 × (a)', '2 × (b, c)']
    """
    at = 0
    while at < len(texts):
        times = {length: _times(texts, at, length) for length in (1, 2, 3)}
        length = max(times, key=lambda length: (times[length] - 1) * length)
        n, here = times[length], texts[at : at + length]
        yield several(n, here) if n > 1 else here[0]
        at += n * length


def _times(texts: Sequence[str], at: int, length: int) -> int:
    """How often the texts from `at` on, so many of them, follow upon themselves."""
    n, here = 1, texts[at : at + length]
    while texts[at + n * length : at + (n + 1) * length] == here:
        n += 1
    return n


def times(n: int, texts: Sequence[str]) -> str:
    """What `counted` found several times, for reading.

    >>> times(3, ["a"]), times(3, ["a", "b"])
    ('3 × a', '3 × (a, b)')
    """
    return f"{n} × {texts[0]}" if len(texts) == 1 else f"{n} × ({', '.join(texts)})"


def for_json(x: float) -> float | None:
    """The number, or None where it is not finite, which JSON cannot say."""
    return float(x) if math.isfinite(x) else None


def signed(x: float) -> str:
    """With two digits after the point and a true minus sign; – where it is not a number."""
    return MISSING if math.isnan(x) else f"{round(x, 2) + 0.0:.2f}".replace("-", "−")


def interval(bounds: tuple[float, float]) -> str:
    """A range, from its infimum to its supremum."""
    low, high = (f"{round(x, 6):.3g}".replace("-", "−").replace("inf", "∞") for x in bounds)
    return f"{low} … {high}"


def slope(x: float) -> str:
    """The largest slope of an activation, which may be infinite."""
    return f"{x:.3g}".replace("inf", "∞")
