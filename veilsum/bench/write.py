"""Write what was measured into the documentation: `python -m veilsum.bench.write DOCS FOLDER`.

FOLDER holds `scheme-*.json`, `shares-*.json`, `round.json`, `round-shares.json` and
`settlement.json`, as `veilsum bench … --json` prints them.
"""

import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from privacy.learned import learned

from . import page, plot
from .report import Report
from .round_report import RoundReport
from .settlement_report import SettlementReport
from .shares_report import SharesReport

Kind = TypeVar("Kind", bound=msgspec.Struct)


def write(docs: Path, measured: Path) -> None:
    """Write tables into `performance.md` and the drawing beside it, from the JSON in `measured`.

    The drawing is that of the first file of each scheme by name.

    Raises:
        ConfigError: the page has no place for the tables.
    """
    schemes = _read(measured, "scheme-*.json", Report)
    shared = _read(measured, "shares-*.json", SharesReport)
    rounds = _read(measured, "round*.json", RoundReport)
    settled = _read(measured, "settlement*.json", SettlementReport)
    target = docs / "performance.md"
    found = page.results([*schemes, *shared], rounds, settled)
    text = page.with_results(target.read_text(), found)
    (docs / "images").mkdir(exist_ok=True)
    plot.draw(schemes[0], shared[0], docs / "images" / "performance.svg")
    target.write_text(text)


def _read(folder: Path, names: str, kind: type[Kind]) -> list[Kind]:
    """Return the reports in the files of these names, in the order of their names."""
    files = sorted(folder.glob(names), key=lambda path: path.stem)
    return [msgspec.json.decode(path.read_bytes(), type=learned(kind)) for path in files]


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
