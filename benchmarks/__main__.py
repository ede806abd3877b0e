"""Measure schuss and its peers: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import comparison, contenders, machine, peak, report, startup, sweep
from benchmarks.shapes import SHAPES, Shape
from benchmarks.workers import Setting, Workers, is_installed, thread_counts

PAIRS = {
    "the user's activation, against silu": ("silu", "mine"),
    "the user's optimizer, against adam": ("adam", "my_adam"),
}


def main() -> None:
    options = parsed()
    peers = [name for name in options.peers if is_installed(name)]
    for name in sorted(set(options.peers) - set(peers)):
        print(f"{name} is not installed and is left out.\n")
    chosen = [c for c in contenders.CONTENDERS if c.package in ("schuss", *peers)]
    shapes = [SHAPES[name] for name in options.shapes]
    everything: dict[str, Any] = {"machine": machine.description()}
    with Workers() as workers:
        steps, peaks = step_times(workers, shapes, chosen, options)
        everything |= {"peak": peaks, "peak_method": peak.method(), "steps": report.plain(steps, peaks)}
        print(report.machine_text(everything["machine"], peaks, peak.method()), end="\n\n")
        print(report.shapes_text(shapes), report.steps_table(steps, peaks), report.INCLUDED, sep="\n\n", end="\n\n")
        everything["users"] = users_speed(workers, options)
    print("measuring updates alone", file=sys.stderr)
    everything["sweep"] = sweep.measure(options.quick)
    everything["startup"] = startup.measure(3 if options.quick else 10)
    if not options.quick:
        everything["comparison"] = comparison.measure()
    print(others_table(everything))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2) + "\n")


def parsed() -> argparse.Namespace:
    def listed(known: Sequence[str]) -> Any:
        def split(text: str) -> list[str]:
            names = text.split(",") if text else []
            if unknown := [name for name in names if name not in known]:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}; there are {', '.join(known)}")
            return names

        return split

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shapes", type=listed(list(SHAPES)), default=list(SHAPES), help="some of T,S,D,M,L")
    parser.add_argument(
        "--peers", type=listed(contenders.PEERS), default=list(contenders.PEERS), help="or an empty list"
    )
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="shorter measurements, without the comparison")
    parser.add_argument("--json", type=Path, help="where to write the figures for a machine")
    return parser.parse_args()


def step_times(
    workers: Workers, shapes: Sequence[Shape], chosen: Sequence[contenders.Contender], options: argparse.Namespace
) -> tuple[list[contenders.Result], dict[int, float]]:
    """All results, and the highest peak for each number of threads: the processor's limit."""
    results: list[contenders.Result] = []
    peaks: dict[int, float] = {}
    for shape in shapes:
        print(f"measuring {shape}", file=sys.stderr)
        found, highest = contenders.measure(workers, shape, chosen, options.repeats, seconds(options))
        results += found
        peaks = {threads: max(value, peaks.get(threads, 0)) for threads, value in highest.items()}
    return results, peaks


def users_speed(workers: Workers, options: argparse.Namespace) -> dict[str, float]:
    """The speed of a user's definition as a share of the built-in one's, on S; of the best times, as noise adds."""
    print("measuring users' definitions", file=sys.stderr)
    settings = {
        name: Setting("users", name, thread_counts()[-1], seconds(options)) for pair in PAIRS.values() for name in pair
    }
    times = workers.measure(list(settings.values()), SHAPES["S"], options.repeats)
    best = {name: min(times[setting]) for name, setting in settings.items()}
    return {what: best[built_in] / best[users] for what, (built_in, users) in PAIRS.items()}


def seconds(options: argparse.Namespace) -> float:
    return 0.1 if options.quick else 0.5


def others_table(everything: Mapping[str, Any]) -> str:
    """Everything but the steps."""
    rows = [[f"speed of {what}", f"{value:.0%}", "≥ 80 %"] for what, value in everything["users"].items()]
    rows += sweep.table_rows(everything["sweep"])
    waits = everything["startup"]
    rows += [
        ["`import schuss`, on top of NumPy", f"{waits['import']:.2f} s", "≤ 0.25 s"],
        ["`schuss --help`", f"{waits['help']:.2f} s", "≤ 0.6 s"],
    ]
    if study := everything.get("comparison"):
        what = f"`schuss compare digits`, {study['networks']} networks"
        rows += [
            [f"{what}: training", f"{study['training']:.1f} s", "≤ 20 s"],
            [f"{what}: prompt to prompt", f"{study['wall']:.1f} s", ""],
        ]
    return report.table(["what", "figure", "wanted"], rows)


if __name__ == "__main__":
    main()
