"""Who is told apart: exact tests by hand, equals that stay equal, differences that are found."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import permutation_test

from schuss.comparison.statistics import groups as module
from schuss.comparison.statistics.groups import LEVEL, Groups, groups, mean_ranks
from schuss.errors import InvalidInput, UnknownName

Floats = NDArray[np.float64]

NAN = float("nan")


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def judged(scores: Floats) -> Groups:
    """Competitors "0", "1", …, from an array [competitor, data set, seed]."""
    return groups({str(i): each for i, each in enumerate(scores)})


def p_of(found: Groups, a: str, b: str) -> float:
    return float(found.p[found.names.index(a), found.names.index(b)])


# ---------------------------------------------------------------------------------------------- the test


def test_two_are_told_apart_by_the_exact_test_of_sign_flips() -> None:
    """As in scipy; no difference is above 3 times the median one."""
    for seed in range(5):
        a = random(seed).uniform(1, 2, size=9)
        b = a + random(seed + 100).uniform(0.5, 1, size=9) * random(seed + 200).choice([-1, 1, 1, 1], size=9)
        exact = permutation_test((a, b), lambda x, y: abs(np.mean(x - y)), permutation_type="samples", n_resamples=1e6)
        greater = (exact.null_distribution >= exact.statistic - 1e-9).mean()
        assert p_of(groups({"a": a, "b": b}), "a", "b") == pytest.approx(greater)


def by_hand(scores: Floats) -> dict[tuple[int, int], float]:
    """Westfall and Young's step-down procedure, pair by pair and flip by flip."""
    seeds = scores.shape[1]
    pairs = list(combinations(range(len(scores)), 2))
    differences = {}
    for a, b in pairs:
        d = scores[a] - scores[b]
        limit = 3 * sorted(abs(d))[(seeds - 1) // 2]
        differences[a, b] = np.clip(d, -limit, limit)

    def largest(some: list[tuple[int, int]], signs: Floats) -> float:
        return max(abs((signs * differences[x]).sum()) / np.sqrt((differences[x] ** 2).sum()) for x in some)

    observed = {pair: largest([pair], np.ones(seeds)) for pair in pairs}
    order = sorted(pairs, key=observed.__getitem__, reverse=True)
    flips = [np.array(signs) for signs in product((1.0, -1.0), repeat=seeds)]
    p: dict[tuple[int, int], float] = {}
    floor = 0.0
    for i, pair in enumerate(order):
        floor = max(floor, np.mean([largest(order[i:], signs) >= observed[pair] - 1e-9 for signs in flips]))
        p[pair] = floor
    return p


def test_several_are_told_apart_as_by_hand() -> None:
    scores = random(1).normal(size=(4, 7)) + np.array([[0], [0], [2], [4]])
    scores[0, 0] = 40  # beyond the limit
    found = judged(scores)
    for (a, b), p in by_hand(scores).items():
        assert p_of(found, str(a), str(b)) == pytest.approx(p)


def test_p_is_symmetric_and_of_one_with_itself_1() -> None:
    found = judged(random(2).normal(size=(5, 2, 6)))
    np.testing.assert_array_equal(found.p, found.p.T)
    assert (np.diag(found.p) == 1).all()
    assert ((found.p > 0) & (found.p <= 1)).all()


def test_neither_order_nor_units_matter() -> None:
    scores = random(3).normal(size=(4, 3, 6)) + np.arange(4)[:, None, None]
    found = judged(scores)
    other = groups({str(i): scores[i] * [[1], [100], [0.01]] + [[0], [5], [7]] for i in (2, 0, 3, 1)})
    assert other.names == found.names
    np.testing.assert_allclose(other.p, found.p)


def test_many_flips_are_drawn_and_in_blocks() -> None:
    """13 and more seeds: 2048 flips, of which the first changes nothing, so that p is never 0."""
    scores = random(4).normal(size=(60, 1, 20)) + np.arange(60)[:, None, None]
    found = judged(scores)
    assert found.p.min() == 1 / module.FLIPS
    assert found.names == tuple(str(i) for i in range(59, -1, -1))
    assert "59" in found.best
    assert "0" not in found.best


# ---------------------------------------------------------------------------------------------- known truths


@pytest.mark.parametrize(("competitors", "studies"), [(2, 400), (7, 200), (28, 100)])
def test_equals_are_told_apart_in_less_than_5_of_100_studies(competitors: int, studies: int) -> None:
    """Any two of them, however many they are; seeds that have much in common, skewed scores and rounded ones."""
    draw = random(5)
    shape = (studies, competitors, 1, 10)
    luck = draw.normal(size=(studies, 1, 1, 10))
    skewed, rounded = luck - np.exp(draw.normal(size=shape)), luck + np.rint(draw.normal(size=shape) * 2) / 2
    for scores in (skewed, rounded):
        wrong = sum(bool((judged(each).p <= LEVEL).any()) for each in scores)
        assert wrong <= 0.05 * studies


def test_two_equals_among_others_that_differ_are_not_told_apart() -> None:
    draw = random(6)
    level = np.repeat(np.arange(14.0), 2)[:, None, None] * 10  # 14 pairs of twins
    wrong = 0
    for _ in range(100):
        found = judged(level + draw.normal(size=(28, 1, 10)))
        assert all(set(found.alike(str(i))) <= {str(i), str(i ^ 1)} for i in range(28))  # all others are found
        wrong += any(len(found.alike(str(i))) == 1 for i in range(28))
    assert wrong <= 5


@pytest.mark.parametrize(
    ("competitors", "seeds", "difference"), [(2, 10, 1.8), (7, 10, 2.6), (28, 10, 3.9), (2, 20, 1.2), (28, 20, 2.0)]
)
def test_a_known_difference_is_found_in_80_percent_of_studies(competitors: int, seeds: int, difference: float) -> None:
    """In standard deviations of scores that have nothing in common; half of the competitors are the better ones."""
    draw, half = random(7), competitors // 2
    studies = 100 if competitors < 28 else 20
    better = np.repeat([difference, 0.0], [half, competitors - half])[:, None, None]
    found = []
    for _ in range(studies):
        result = judged(better + draw.normal(size=(competitors, 1, seeds)))
        is_better = np.array([int(name) < half for name in result.names])
        found.append((result.p[np.ix_(is_better, ~is_better)] <= LEVEL).mean())
    assert np.mean(found) >= 0.78


def test_what_seeds_have_in_common_does_not_hide_a_difference() -> None:
    draw = random(8)
    luck = 10 * draw.normal(size=(1, 10))
    found = judged(np.stack([luck + 0.1 * draw.normal(size=(1, 10)), luck + 0.5 + 0.1 * draw.normal(size=(1, 10))]))
    assert found.names == ("1", "0")
    assert found.distinguished("0", "1")


def test_data_sets_add_up() -> None:
    """5 seeds never suffice; on 3 data sets they do."""
    draw = random(9)
    scores = np.array([3.0, 0.0])[:, None, None] + draw.normal(size=(2, 3, 5))
    assert not judged(scores[:, :1]).distinguished("0", "1")
    assert judged(scores).distinguished("0", "1")


def test_better_here_and_worse_there_is_not_told_apart() -> None:
    draw = random(10)
    scores = np.array([[[5.0], [0.0]], [[0.0], [5.0]]]) + draw.normal(size=(2, 2, 10))
    assert judged(scores).best in {("0", "1"), ("1", "0")}


# ---------------------------------------------------------------------------------------------- at the edges


@pytest.mark.parametrize("seeds", range(1, 8))
def test_with_fewer_than_7_seeds_nothing_is_told_apart(seeds: int) -> None:
    found = groups({"good": np.full(seeds, 1.0), "bad": np.full(seeds, 0.0)})
    assert found.names == ("good", "bad")
    assert found.distinguished("good", "bad") == (seeds == 7)
    assert p_of(found, "good", "bad") == 2.0 ** (1 - seeds)


def test_one_competitor_is_the_best() -> None:
    found = groups({"adam": [0.9, 0.8]})
    assert (found.names, found.best, found.ranks.tolist(), found.p.tolist()) == (("adam",), ("adam",), [1.0], [[1.0]])


def test_copies_and_equal_scores_are_alike() -> None:
    scores = random(11).normal(size=10)
    found = groups({"adam": scores, "again": scores, "constant": np.zeros(10), "nought": np.zeros(10)})
    assert p_of(found, "adam", "again") == p_of(found, "constant", "nought") == 1
    assert found.ranks.tolist() == [1.5, 1.5, 3.5, 3.5]


def test_one_that_diverges_is_worse_and_last() -> None:
    draw = random(12)
    good, lost = 0.9 + 0.01 * draw.normal(size=10), np.full(10, NAN)
    found = groups({"lost": lost, "good": good, "bad": good - 0.5, "lost, too": lost})
    assert found.names == ("good", "bad", "lost", "lost, too")
    assert found.ranks.tolist() == [1, 2, 3.5, 3.5]
    assert found.best == ("good",)
    assert found.alike("lost") == ("lost", "lost, too")


@pytest.mark.parametrize("worst", [NAN, -1e9])
def test_one_bad_network_of_ten_neither_makes_nor_hides_a_difference(worst: float) -> None:
    a, b = 0.9 + 0.01 * random(13).normal(size=(2, 10))
    b[4] = worst
    assert not groups({"a": a, "b": b}).distinguished("a", "b")
    assert groups({"a": a + 0.05, "b": b}).distinguished("a", "b")
    # Where it speaks against the nine others, it leaves a doubt.
    assert not groups({"a": a, "b": b + 0.05}).distinguished("a", "b")


def test_six_of_ten_that_diverge_are_a_difference_that_is_not_yet_certain() -> None:
    scores = np.full(10, 0.9)
    found = groups({"sound": scores, "often lost": np.where(np.arange(10) < 6, NAN, scores)})
    assert p_of(found, "sound", "often lost") == 2.0**-5  # 6 signs that agree


def test_unknown_names_and_unlike_seeds_are_errors() -> None:
    with pytest.raises(InvalidInput, match="at least one competitor"):
        groups({})
    with pytest.raises(InvalidInput, match=r"shapes are \(1, 2\) \(adam\) and \(1, 3\) \(sgd\)"):
        groups({"adam": [0.1, 0.2], "sgd": [0.1, 0.2, 0.3]})
    with pytest.raises(InvalidInput, match=r"shapes are \(2, 1, 1\) \(adam\)\."):
        groups({"adam": [[[0.1]], [[0.2]]]})
    with pytest.raises(UnknownName, match="did you mean adam"):
        groups({"adam": [0.1, 0.2]}).alike("adm")
    with pytest.raises(UnknownName, match="did you mean adam"):
        groups({"adam": [0.1, 0.2]}).distinguished("adam", "adm")


# ---------------------------------------------------------------------------------------------- ranks


def test_ranks_are_worked_out_by_hand() -> None:
    """Interquartile means of 4 seeds: of the middle two."""
    scores = [
        [[0.0, 0.8, 0.6, 1.0], [0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.9, 0.9]],  # 0.7, 0.5, 0.9: ranks 1, 2.5, 1
        [[0.5, 0.7, 0.9, 0.1], [0.1, 0.5, 0.5, 0.9], [NAN, 0.8, 0.8, 0.8]],  # 0.6, 0.5, 0.8: ranks 2, 2.5, 2
        [[0.1, 0.1, 0.1, 9.9], [0.7, 0.6, 0.6, 0.1], [NAN, NAN, 0.9, 0.9]],  # 0.1, 0.6, none: ranks 3, 1, 3
    ]
    np.testing.assert_allclose(mean_ranks(scores), [4.5 / 3, 6.5 / 3, 7 / 3])
