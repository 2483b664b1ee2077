"""The report of a finished run: its page with the map, and its page with every chart as SVG and PNG files.

    python benchmarks/report.py RUN [--rounds 3]

RUN is the folder of a finished run, of which a copy without its activations is drawn. The two sides run in turn, each
in a new process that has imported the report before, in seconds of all cores. The first lines are what the page holds
and what each side wrote; the last line is the ratio, the charts' side over the page alone.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from results import show_rounds

SIDE = """
import sys, time
from layeratlas.api.folders import report
import layeratlas.report.page
start = time.process_time()
report(sys.argv[1])
print(time.process_time() - start)
"""


def seconds(run: Path, charts: bool) -> float:
    """Return the seconds of cores of a report that draws its map alone, or all charts, as where they are there."""
    figures = run / "figures"
    shutil.rmtree(figures, ignore_errors=True)
    if charts:
        figures.mkdir()
        (figures / "curves.png").touch()
    done = subprocess.run([sys.executable, "-c", SIDE, run], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print the seconds of every round, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        shutil.copytree(args.run, run, ignore=shutil.ignore_patterns("activations", "exits", "figures"))
        seconds(run, charts=False)  # the first reading of the files counts for neither
        rounds = [(seconds(run, charts=False), seconds(run, charts=True)) for _ in range(args.rounds)]
        drawn = len(list((run / "figures").iterdir()))
        print(f"page of {(run / 'report.html').stat().st_size / 1e6:.2f} MB, {drawn} files of charts")
    show_rounds({"page": [page for page, _ in rounds], "with all charts": [charts for _, charts in rounds]})
    page, charts = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"page with its map {page:.2f} s, and with all charts as SVG and PNG {charts:.2f} s")
    print(f"with all charts / page: {statistics.median(c / p for p, c in rounds):.1f}")


if __name__ == "__main__":
    main()
