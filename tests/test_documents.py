"""The documents: the commands and the Python code in README.md and docs/*.md run, and every link leads somewhere.

CONTRIBUTING.md, section Documents, explains the comments by which a document adapts itself to the test.
"""

from __future__ import annotations

import datetime as dt
import random
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sklearn.datasets import load_digits

from schuss.__main__ import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*DOCUMENTS, *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]

PIECE = re.compile(
    r"""  ^<!--\ test:\ (?P<comment>.*?)\ -->$
        | ^```(?P<language>\w*)\n(?P<block>.*?)^```$
        | (?<!`)`(?P<span>schuss\ [^`]+)` """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
NEED_DATA = {"compare", "fit", "doctor", "predict", "flow"}


class Step(NamedTuple):
    """A command, Python code or the name of a package that is needed, and the line of the document where it is."""

    line: int
    language: str
    text: str


class Rules:
    """What the comments of a document have said so far."""

    def __init__(self) -> None:
        self.replacements: list[tuple[str, str]] = []
        self.unused: list[str] = []
        self.skip = False

    def add(self, comment: str) -> None:
        old, arrow, new = comment.partition(" => ")
        if arrow:
            self.replacements.append((old, new))
            self.unused.append(old)
        elif comment.startswith("skip the next block, "):
            self.skip = True
        else:
            raise ValueError(f"unknown comment: {comment}")

    def applied(self, text: str) -> str:
        for old, new in self.replacements:
            if old in text:
                text = text.replace(old, new)
                self.unused = [unused for unused in self.unused if unused != old]
        return text


def steps(document: str) -> Iterator[Step]:
    """The commands and the Python code of a document in its order, as the comments adapt them."""
    rules = Rules()
    for piece in PIECE.finditer(document):
        line = document.count("\n", 0, piece.start()) + 1
        comment, language, span = piece["comment"], piece["language"], piece["span"]
        if comment and comment.startswith("given "):
            yield Step(line, "python", comment.removeprefix("given "))
        elif comment and comment.startswith("needs "):
            yield Step(line, "package", comment.removeprefix("needs "))
        elif comment:
            rules.add(comment)
        elif span:
            yield Step(line, "sh", rules.applied(" ".join(span.split())))
        elif rules.skip:
            rules.skip = False
        elif language == "python":
            yield Step(line + 1, language, rules.applied(piece["block"]))
        elif language == "sh":
            for number, command in enumerate(piece["block"].splitlines(), line + 1):
                if command.startswith("schuss "):
                    yield Step(number, language, rules.applied(command))
        else:
            assert language in ("text", "sql"), f"line {line}: a block has no language"
    assert not rules.unused, f"these replacements replace nothing: {rules.unused}"


def words_of(command: str) -> list[str]:
    """The arguments of a command; a command that is only named, as in "`schuss fit` trains", shows its help."""
    words = shlex.split(command, comments=True)
    return [*words, "--help"] if len(words) == 2 and words[1] in NEED_DATA else words


def exit_code(run: Callable[[], object]) -> object:
    """0 if it ends by itself, else the code of its SystemExit."""
    try:
        run()
    except SystemExit as end:
        return end.code or 0
    return 0


# ---------------------------------------------------------------------------------------------- the files they mention

CHURN = "CreditScore,Geography,Joined,Balance"


def write_files(folder: Path) -> None:
    """A table with numbers, text, dates and gaps as churn.csv, the same columns as new.csv, and new-digits.csv."""
    dice = random.Random(0)
    first = dt.date(2020, 1, 1)
    rows = [
        (
            score := dice.randint(400, 850),
            dice.choice(["France", "Germany", "Spain"]),
            first + dt.timedelta(days=dice.randrange(1000)),
            "" if dice.random() < 0.2 else dice.randint(0, 100_000),
            int(score + dice.gauss(0, 50) < 600),
        )
        for _ in range(120)
    ]
    write_table(folder / "churn.csv", f"{CHURN},Exited", rows)
    write_table(folder / "new.csv", CHURN, [row[:-1] for row in rows[:5]])
    digits = load_digits()
    write_table(folder / "new-digits.csv", ",".join(digits.feature_names), digits.data[:5].tolist())


def write_table(path: Path, header: str, rows: list[Any]) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


# ---------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_code_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    commands: set[str] = set()
    for step in steps(document.read_text(encoding="utf-8")):
        where = f"{document.name}:{step.line}"
        if step.language == "python":
            code = compile("\n" * (step.line - 1) + step.text, where, "exec")  # so that a traceback names the line
            exec(code, namespace)  # noqa: S102  (our own documents)
        elif step.language == "package":
            pytest.importorskip(step.text)
        elif step.text not in commands:
            commands.add(step.text)
            monkeypatch.setattr(sys, "argv", words_of(step.text))
            assert exit_code(main) == 0, f"{where}: {step.text}"
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        target = (page.parent / path) if path else page
        assert target.is_file(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, anchor


def test_commands_are_in_blocks_that_are_run() -> None:
    for document in DOCUMENTS:
        indented = re.search(r"^ {4}schuss .*", document.read_text(encoding="utf-8"), re.MULTILINE)
        assert indented is None, f"{document.name}: write a block that begins with ```sh: {indented}"


def test_the_citation_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
