"""How long `reindex --help` takes, beside a bare interpreter and one that imports click.

python benchmarks/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import click'": ["-c", "import click"],
    "reindex --help": ["-c", "from reindex.cli import main; main(['--help'])"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_ in range(runs + 1):  # interleaved; the first round warms the file cache
        for name, arguments in COMMANDS.items():
            taken = seconds(arguments)
            if round_:
                times[name].append(taken)
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':28} {'median ms':>10} {'ratio':>7}")
    for name, all_runs in times.items():
        median = statistics.median(all_runs)
        print(f"{name:28} {median * 1e3:10.0f} {median / bare:7.1f}")


if __name__ == "__main__":
    main()
