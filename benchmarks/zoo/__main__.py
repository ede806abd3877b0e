"""Let the doctor and the published rules judge the zoo: `python -m benchmarks.zoo`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.figures import figures_table
from benchmarks.zoo import cases, judging, report
from benchmarks.zoo.halves import FIRST, HALVES, Half

HEADING = "## Last run\n"
ABOUT = ("processor", "cores", "load before", "instruction set", "Python", "schuss", "numpy", "scikit-learn")


def main() -> None:
    options = parsed()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    everything: list[dict[str, Any]] = []
    for half in HALVES.values():
        if options.half in (half.name, "both"):
            text, plain = judged(half, options)
            parts += text
            everything.append(plain)
    about = machine.description()
    parts.append("Judged on: " + " · ".join(f"{name} {about[name]}" for name in ABOUT if name in about) + ".")
    print("\n\n".join(parts))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")
    if options.markdown:
        before = options.markdown.read_text().partition(HEADING)[0]
        options.markdown.write_text("\n\n".join([f"{before}{HEADING.rstrip()}", *parts]) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument(
        "--half", choices=[*HALVES, "both"], default="both", help="first sets thresholds, second judges"
    )
    parser.add_argument("--threads", type=int, help="all cores if not given")
    parser.add_argument("--json", type=Path, help="where to write cases, answers and figures for a machine")
    parser.add_argument("--markdown", type=Path, help="a page whose last section, 'Last run', becomes this report")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/zoo"),
        help="where cases and answers are kept: an interrupted run goes on from there; delete a file to make it anew",
    )  # fmt: skip
    return parser.parse_args()


def judged(half: Half, options: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """The report of a half: of the first, on which thresholds were set, only the figures and what went wrong."""
    drawn = cases.kept(half, options.folder / f"{half.name}-cases.json", options.threads)
    theirs = judging.asked(drawn, judging.published, options.folder / f"{half.name}-published.jsonl")
    ours = judging.asked(drawn, judging.doctor, options.folder / f"{half.name}-doctor.jsonl")
    plain = report.plain(half, drawn, ours, theirs)
    if half is not FIRST:
        return [f"### The {half.name} half, which judges", *report.half_text(half, drawn, ours, theirs)], plain
    (options.folder / "first-misjudged.md").write_text(judging.misjudged(drawn, ours))
    text = [
        f"### The {half.name} half, on which the thresholds were set",
        report.inhabitants(half, drawn),
        figures_table(report.headline(drawn, ours)),
    ]
    return text, plain


if __name__ == "__main__":
    main()
