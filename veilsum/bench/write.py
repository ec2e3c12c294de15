"""Write what was measured into the documentation: `python -m veilsum.bench.write DOCS FOLDER`.

FOLDER holds `scheme-*.json` and `round.json`, as `veilsum bench … --json` prints them.
"""

import sys
from pathlib import Path

import msgspec

from . import page, plot
from .report import Report
from .round_report import RoundReport


def write(docs: Path, measured: Path) -> None:
    """Write tables into `performance.md` and the drawing beside it, from the JSON in `measured`.

    The drawing is that of the first scheme file by name.

    Raises:
        ConfigError: the page has no place for the tables.
    """
    schemes = [
        msgspec.json.decode(path.read_bytes(), type=Report)
        for path in sorted(measured.glob("scheme-*.json"))
    ]
    a_round = msgspec.json.decode((measured / "round.json").read_bytes(), type=RoundReport)
    target = docs / "performance.md"
    text = page.with_results(target.read_text(), page.results(schemes, a_round))
    (docs / "images").mkdir(exist_ok=True)
    plot.draw(schemes[0], docs / "images" / "performance.svg")
    target.write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
