"""The report: what it says and draws, that it is one file that asks for nothing, and that names are text."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, opened
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from studies import grid, row, study, trial

import schuss as sc
from schuss.comparison.competitors import Competitor
from schuss.comparison.study.records import Row
from schuss.show.pages import Axis, Line, line_panel
from schuss.show.pages.charts import colors_of
from schuss.show.report.findings import LINES, PANELS, Scale, band, places, strip

NAN = math.nan
AXES = ("activation", "optimizer")
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "line", "link", "meta", "source"}
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"]});alert(3);//',
    "{{ 7 * 7 }} ' \\ \u2028",
)


class Read(HTMLParser):
    """A page, read: its elements, addresses, scripts and text; it fails where an element is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.policy = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        if tag not in EMPTY:
            self.open.append(tag)
        given = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.words).append(data)

    @property
    def specs(self) -> list[dict[str, Any]]:
        """The charts."""
        return json.loads(next(script for script in self.scripts if script.lstrip().startswith("[")))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace("\u00a0", " ")


def written(found: sc.Study, folder: Path) -> Read:
    path = folder / "report.html"
    found.report(path)
    assert path.stat().st_size <= 3_000_000
    return Read(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small() -> sc.Study:
    """Two data sets, the learning rates so high that something diverges."""
    return sc.compare(
        ["iris", "wine"], activations=["sigmoid", "relu"], optimizers=["sgd", "adam"],
        width=8, depth=3, trials=4, seeds=7, budget=3, threads=1,
    )  # fmt: skip


@pytest.mark.parametrize("finished", [1, 5, 17, 22, 40])
def test_a_comparison_that_was_interrupted_anywhere_has_a_report(
    small: sc.Study, tmp_path: Path, finished: int
) -> None:
    begun = replace(
        small, rows=small.rows[:finished], curves=small.curves[:finished],
        measured={number: flow for number, flow in small.measured.items() if number < finished},
    )  # fmt: skip
    assert f"{finished} of {small.expected} networks" in written(begun, tmp_path).text
    for data in begun.tasks:
        one = begun.of(data)
        best = one.best_of_k()
        trials = [sum(r.competitor == ranked.competitor for r in one.rows) for ranked in one.ranking]
        assert np.isfinite(best).sum(axis=1).tolist() <= trials


def hostile() -> sc.Study:
    found = grid(2, 2)
    names = dict(zip(("a0", "a1", "o0", "o1"), HOSTILE, strict=True))

    def renamed(each: Competitor) -> Competitor:
        return each._replace(activation=names[each.activation], optimizer=names[each.optimizer])

    return replace(
        found,
        rows=tuple(each._replace(competitor=renamed(each.competitor), data="<b>d</b>") for each in found.rows),
        tasks={"<b>d</b>": "classification"},
        origin={"command": "schuss compare '<script>alert(4)</script>'"},
    )


# ---------------------------------------------------------------------------------------------- one file, no more


def test_it_is_whole_html_that_refers_to_nothing_outside(small: sc.Study, tmp_path: Path) -> None:
    page = written(small, tmp_path)
    assert all(each.startswith(("#", "data:")) for each in page.addresses)
    style = files("schuss.show.pages").joinpath("page.css").read_text()
    assert "url(" not in style
    assert "@import" not in style


def test_only_its_own_scripts_may_run_and_nothing_may_be_loaded(small: sc.Study, tmp_path: Path) -> None:
    page = written(small, tmp_path)
    directives = dict(part.split(maxsplit=1) for part in page.policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert "'unsafe-inline'" not in directives["script-src"]
    own = [script for script in page.scripts if not script.lstrip().startswith("[")]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in own}
    assert len(own) == 2
    assert hashes == set(directives["script-src"].split()) - {"'unsafe-eval'"}


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    page, harmless = written(hostile(), tmp_path), written(grid(2, 2), tmp_path)
    assert page.elements == harmless.elements
    assert not page.handlers
    assert "{{ 7 * 7 }}" in page.text
    for name in (*HOSTILE[:3], "<b>d</b>", "<script>alert(4)</script>"):
        assert name in page.text
    assert {layer["line"] for spec in page.specs for layer in spec.get("data", {}).get("values", [])} >= {HOSTILE[1]}


def test_a_notebook_gets_a_table_without_scripts_and_with_names_as_text(small: sc.Study) -> None:
    shown = Read(small._repr_html_())
    assert shown.elements["script"] == shown.elements["style"] == 0
    assert shown.elements["tr"] == 1 + 4
    assert "relu + adam" in shown.text
    assert Read(hostile()._repr_html_()).elements["img"] == 0


def test_ten_thousand_networks_are_drawn_as_medians(tmp_path: Path) -> None:
    found = grid(15, 15, rates=12, seeds=33, epochs=60)
    assert len(found.rows) > 10_000
    page = written(found, tmp_path)
    values = [len(spec["data"]["values"]) for spec in page.specs if "data" in spec]
    assert len(page.specs) <= 80
    assert max(values) <= LINES * 60
    assert "competitors that rank lower are not drawn" in page.text


# ---------------------------------------------------------------------------------------------- what stands on it


def test_it_has_every_section_and_every_setting(small: sc.Study, tmp_path: Path) -> None:
    page = written(small, tmp_path)
    questions = (
        "Who learns best?", "Where does it learn at all?", "How much does the learning rate matter?",
        "How does the training go?", "Does the gradient reach the first layers?", "Who gets there first?",
        "What does tuning buy?", "How do I read this?", "How was it done?",
    )  # fmt: skip
    for question in questions:
        assert question in page.text
    assert "w ← w - lr * g" in page.text
    assert small.asked["data"][0]["fingerprint"][:16] in page.text
    assert small.origin["machine"]["processor"] in page.text
    assert "on the new seeds 1 to 7" in page.text
    assert json.dumps(small.asked["networks"][0]["hidden"][0]["units"]) in page.text


def test_charts_hold_the_numbers_of_the_study(small: sc.Study, tmp_path: Path) -> None:
    specs = written(small, tmp_path).specs
    dots = specs[0]["layer"][1]["data"]["values"]
    shown = {dot["line"]: dot["value"] for dot in dots}
    for ranked in small.ranking:
        name = ranked.competitor.label(AXES)
        if name in shown:
            assert_allclose(shown[name], ranked.test_score, rtol=1e-4)
    cells = [cell for spec in specs if "shade" in json.dumps(spec) for cell in spec["layer"][0]["data"]["values"]]
    assert len(cells) == sum(each.stage == "trial" for each in small.rows)


@pytest.mark.parametrize("what", ["empty", "trials", "one", "all diverged", "regression"])
def test_there_is_always_a_report(what: str, tmp_path: Path) -> None:
    studies = {
        "empty": lambda: study([]),
        "trials": lambda: study([trial(score=0.5, learning_rate=0.1), trial("tanh", learning_rate=0.1)], expected=9),
        "one": lambda: study([trial(), row()]),
        "all diverged": lambda: study([trial(status="diverged"), row(status="diverged")]),
        "regression": lambda: grid(2, 1, task="regression"),
    }
    page = written(studies[what](), tmp_path)
    if what == "trials":
        assert "2 of 9 networks are finished" in page.text


# ---------------------------------------------------------------------------------------------- its words


def verdict(found: sc.Study) -> str:
    """The sentences, which the report and the terminal share."""
    return found.summary()


def judged(*scores: float, seeds: int = 10, noise: float = 1e-3) -> sc.Study:
    """Competitors o0, o1, … with these scores on the fresh seeds, with noise of their own."""
    random = np.random.default_rng(0)
    rows = [trial("relu", f"o{i}", score=score) for i, score in enumerate(scores)]
    for i, score in enumerate(scores):
        rows += [row("relu", f"o{i}", score=score + noise * random.standard_normal(), seed=s + 1) for s in range(seeds)]
    return study(rows)


def test_the_verdict_names_the_best_and_how_sure_that_is() -> None:
    found = judged(0.9, 0.5)
    words, best = verdict(found), found.ranking[0]
    assert words.startswith(f"Best on digits: relu + o0, with a test accuracy of {best.test_score:.3f}.")
    assert f"Its 95 % interval over 10 new seeds is {best.low:.3f} to {best.high:.3f}." in words
    assert "Its best learning rate is 1e-2." in words
    assert "It is significantly better than relu + o1." in words
    assert "None of 22 networks diverged." in words
    begun = study([*found.rows, row("relu", "o0", seed=11)])
    assert "over 10 new seeds" in verdict(begun)  # those that all have run


def test_the_verdict_claims_no_difference_where_there_is_none() -> None:
    words = verdict(judged(0.9, 0.9, 0.9, noise=0.01))
    assert "No significant difference: all 2 others are statistically tied with it." in words
    mixed = verdict(judged(0.9, 0.9, 0.5, noise=0.01))
    assert "Statistically tied with it: relu + o1." in mixed or "Statistically tied with it: relu + o0." in mixed
    assert "Significantly worse: relu + o2." in mixed


def test_the_verdict_says_when_seeds_are_too_few() -> None:
    assert "With 3 new seeds no difference can be significant; it takes at least 7." in verdict(
        judged(0.9, 0.5, seeds=3)
    )


def test_the_verdict_says_who_diverged() -> None:
    found = judged(0.9, 0.5)
    lost = [trial("relu", "o1", status="diverged", trial=k, learning_rate=9.0) for k in (1, 2)]
    assert "2 of 24 networks diverged, all with relu + o1." in verdict(study([*found.rows, *lost]))


def with_lost_seeds(lost: int) -> sc.Study:
    """Two competitors alike on ten seeds, of which the second diverged on some."""
    found = judged(0.9, 0.9, noise=0.01)
    rows = [
        replace_status(r, "diverged") if r.stage == "final" and r.optimizer == "o1" and r.seed <= lost else r
        for r in found.rows
    ]
    return study(rows)


def replace_status(of: Row, status: str) -> Row:
    return row(of.activation, of.optimizer, seed=of.seed, status=status)


@pytest.mark.parametrize("lost", [1, 3, 4, 6, 9, 10])
def test_every_voice_says_the_same_of_a_rival_that_diverged_on_some_seeds(lost: int, tmp_path: Path) -> None:
    """A rival without a score is judged all the same: by the test of all pairs, not by whether it has a mean."""
    found = with_lost_seeds(lost)
    verdict = found.verdict
    first, second = found.ranking
    assert verdict.best == first.competitor.label(found.axes)
    assert set(verdict.tied + verdict.worse) == {second.competitor.label(found.axes)}
    assert (len(verdict.tied) == 1) == second.is_best
    tied = "No significant difference: relu + o1 is statistically tied with it."
    worse = "It is significantly better than relu + o1."
    said, unsaid = (tied, worse) if verdict.tied else (worse, tied)
    for voice in (found.summary(), written(found, tmp_path).text, found._repr_html_()):
        assert said in voice
        assert unsaid not in voice
    as_json = found.to_json()["verdict"]
    assert (as_json["tied"], as_json["worse"]) == (list(verdict.tied), list(verdict.worse))
    assert as_json["diverged"] == {"relu + o1": lost}
    assert (lost < 9) or verdict.worse  # nine of ten lost seeds are no accident


def test_a_verdict_is_a_value() -> None:
    found = judged(0.9, 0.9, 0.5, noise=0.01).verdict
    assert found == judged(0.9, 0.9, 0.5, noise=0.01).verdict
    assert (found.outcome, found.worse, len(found.tied), found.seeds) == ("compared", ("relu + o2",), 1, 10)
    json.dumps(found.to_json(), allow_nan=False)


# ---------------------------------------------------------------------------------------------- its numbers


def test_a_strip_reaches_half_way_to_its_neighbors_and_knows_its_edges() -> None:
    scores = {1e-3: 0.1, 1e-1: 0.9, 1e1: NAN}
    rows = [trial(score=score, learning_rate=rate) for rate, score in scores.items()]
    found = strip(rows, Scale(guess=0.1, best=0.9))
    assert_allclose(found.bounds, [1e-4, 1e-2, 1e0, 1e2])
    assert found.learns == [False, True, False]
    assert_allclose(found.edges, [1e-2, 1e0])
    assert found.decades == pytest.approx(2.0)


def test_a_strip_of_one_trial_has_a_width() -> None:
    found = strip([trial(score=0.9, learning_rate=0.1)], Scale(0.0, 0.9))
    assert found.bounds[0] < 0.1 < found.bounds[1]
    assert found.edges == []


def test_a_band_is_the_middle_half_of_the_seeds() -> None:
    curves = [{"loss": np.array([seed, 2.0 * seed, 3.0 * seed])} for seed in range(1, 6)]
    found = band(curves, "loss")
    assert found is not None
    assert_allclose(found.epochs, [1, 2, 3])
    assert_allclose([found.low, found.middle, found.high], [[2, 4, 6], [3, 6, 9], [4, 8, 12]])


def test_a_band_ends_where_most_networks_have_diverged() -> None:
    def lasting(n: int) -> dict[str, NDArray[Any]]:
        return {"loss": np.ones(n)}

    found = band([lasting(4), lasting(2), lasting(1)], "loss")
    assert found is not None
    assert_allclose(found.middle, [1, 1, NAN, NAN])
    assert band([lasting(0), lasting(0)], "loss") is None


def test_a_long_course_is_thinned_and_keeps_its_ends() -> None:
    found = band([{"loss": np.arange(1000.0), "epoch": np.arange(1.0, 1001.0)}], "loss")
    assert found is not None
    assert len(found.epochs) == 40
    assert (found.epochs[0], found.epochs[-1]) == (1, 1000)


def test_the_best_competitors_have_the_places() -> None:
    many = [Competitor(f"a{a}", f"o{o}") for a in range(20) for o in range(20)]
    found = places(many, AXES)
    assert len({place.panel for place in found.values()}) == PANELS
    assert len({place.line for place in found.values()}) == LINES
    assert many[0] in found
    assert many[-1] not in found


def test_lines_have_the_colors_of_the_pictures_and_none_is_drawn_beyond_numbers() -> None:
    assert [each["color"] for each in colors_of(["a", "b"])] == ["var(--c0)", "var(--c1)"]
    line = Line("a", "a", np.array([1.0, 2.0]), np.array([NAN, math.inf]))
    spec = line_panel([line], ["a"], Axis("x"), Axis("y"))
    assert [point["y"] for point in spec["data"]["values"]] == [None, None]


# ---------------------------------------------------------------------------------------------- in a browser

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@in_browser
def test_the_browser_sees_errors_and_requests(tmp_path: Path) -> None:
    page = tmp_path / "control.html"
    page.write_text("<img src='http://example.org/a.png'><script>console.error('seen'); draw()</script>")
    found = opened(page)
    assert any("seen" in line for line in found.console)
    assert any("draw is not defined" in line for line in found.console)
    assert found.requests == ["http://example.org/a.png"]


@in_browser
@pytest.mark.parametrize("width", [1280, 500])
def test_every_chart_is_drawn_without_a_word_or_a_request(small: sc.Study, tmp_path: Path, width: int) -> None:
    small.report(tmp_path / "report.html")
    found = opened(tmp_path / "report.html", width)
    assert found.console == []
    assert found.requests == []
    assert (
        found.number("drawn") == found.number("plots") == len(Read((tmp_path / "report.html").read_text()).specs) > 20
    )
    assert found.dom.count('class="marks"') == found.number("plots")
    assert "NaN" not in re.sub(r"<script.*?</script>", "", found.dom, flags=re.DOTALL)


@in_browser
def test_hostile_names_are_drawn_as_text(tmp_path: Path) -> None:
    hostile().report(tmp_path / "report.html")
    found = opened(tmp_path / "report.html")
    assert found.console == []
    assert found.number("drawn") == found.number("plots") > 10
    assert "<img" not in re.sub(r"<script.*?</script>", "", found.dom, flags=re.DOTALL)  # a library's own text may
