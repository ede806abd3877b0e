"""Measure schuss and its peers: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import comparison, contenders, machine, peak, report, scale, settings, startup, sweep, targets, users
from benchmarks.figures import figures_table
from benchmarks.shapes import SHAPES, Shape
from benchmarks.workers import Workers, is_installed

HEADING = "## Last run\n"


def main() -> None:
    options = parsed()
    before = options.markdown.read_text().partition(HEADING)[0] if options.markdown else ""
    began = time.perf_counter()
    parts: list[str] = []

    def show(part: str) -> None:  # at once: what comes later takes minutes
        print(part, end="\n\n", flush=True)
        parts.append(part)

    everything = measured(options, show)
    show(f"Measured in {(time.perf_counter() - began) / 60:.0f} minutes.")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text("\n\n".join([f"{before}{HEADING.rstrip()}", *parts]) + "\n")


def parsed() -> argparse.Namespace:
    def listed(known: Sequence[str]) -> Any:
        def split(text: str) -> list[str]:
            names = text.split(",") if text else []
            if unknown := [name for name in names if name not in known]:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}; there are {', '.join(known)}")
            return names

        return split

    def page(text: str) -> Path:
        if not Path(text).is_file():
            raise argparse.ArgumentTypeError(f"there is no page {text} whose last section could be replaced")
        return Path(text)

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shapes", type=listed(list(SHAPES)), default=list(SHAPES), help="some of T,S,D,M,L")
    parser.add_argument(
        "--peers", type=listed(contenders.PEERS), default=list(contenders.PEERS), help="or an empty list"
    )
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="shorter measurements, without the comparison")
    parser.add_argument("--json", type=Path, help="where to write the figures for a machine")
    parser.add_argument("--markdown", type=page, help="a page whose last section, 'Last run', becomes this report")
    return parser.parse_args()


def measured(options: argparse.Namespace, show: Callable[[str], None]) -> dict[str, Any]:
    """Everything for a machine; what people read is shown in parts, as Markdown."""
    seconds = 0.1 if options.quick else 0.5
    peers = [name for name in options.peers if is_installed(name)]
    for name in sorted(set(options.peers) - set(peers)):
        print(f"{name} is not installed and is left out.", file=sys.stderr)
    chosen = [c for c in contenders.CONTENDERS if c.package in ("schuss", *peers)]
    shapes = [SHAPES[name] for name in options.shapes]
    about = machine.description()
    with Workers() as workers:
        steps, peaks = step_times(workers, shapes, chosen, options.repeats, seconds)
        show(report.machine_text(about, peaks, peak.method()))
        show(report.shapes_text(shapes))
        show(report.steps_table(steps, peaks))
        show(report.INCLUDED)
        figures = targets.figures(steps, peaks)
        announce("users' definitions")
        figures += users.measure(workers, options.repeats, seconds)
        announce("threads, watching, instruction sets")
        figures += settings.measure(workers, options.repeats, seconds, peaks)
    announce("populations")
    figures += scale.measure(options.quick)
    announce("updates alone")
    sweeps = sweep.measure(options.quick)
    figures += sweep.figures(sweeps)
    announce("waits")
    figures += startup.measure(3 if options.quick else 10)
    if not options.quick:
        announce("the comparison")
        figures += comparison.measure()
    show(figures_table(figures))
    return {
        "machine": about,
        "peak": peaks,
        "peak_method": peak.method(),
        "steps": report.plain(steps, peaks),
        "figures": [figure.plain() for figure in figures],
        "sweep": sweeps,
    }


def step_times(
    workers: Workers, shapes: Sequence[Shape], chosen: Sequence[contenders.Contender], repeats: int, seconds: float
) -> tuple[list[contenders.Result], dict[int, float]]:
    """All results, and the highest peak for each number of threads: the processor's limit."""
    results: list[contenders.Result] = []
    peaks: dict[int, float] = {}
    for shape in shapes:
        announce(str(shape))
        found, highest = contenders.measure(workers, shape, chosen, repeats, seconds)
        results += found
        peaks = {threads: max(value, peaks.get(threads, 0)) for threads, value in highest.items()}
    return results, peaks


def announce(what: str) -> None:
    """So that whoever waits knows for what."""
    print(f"{time.strftime('%H:%M:%S')} measuring {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
