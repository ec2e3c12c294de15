"""What `make bench` writes: tables on the page, and a drawing that is the same each time."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from veilsum.bench.page import BEGIN, END
from veilsum.bench.plot import draw
from veilsum.bench.write import write

from .sample_reports import ROUND, SCHEME, SHARED_ROUND, SHARES


@pytest.fixture
def drawn(tmp_path: Path) -> str:
    draw(SCHEME, SHARES, tmp_path / "drawn.svg")
    return (tmp_path / "drawn.svg").read_text()


def test_a_drawing_shows_every_figure_in_words(drawn: str) -> None:
    """Ours and the reference's: bytes both ways, and the three steps, under both schemes."""
    words = {text.strip() for text in ElementTree.fromstring(drawn).itertext()}

    assert words >= {"7.53", "57.59", "7.52", "57.58"}
    assert words >= {"0.1270", "0.8280", "0.0042", "0.1140", "0.0503", "0.2660"}
    assert words >= {"8.03", "0.0420", "ckks: bytes per parameter", "shares: bytes per parameter"}
    assert words >= {"Veilsum", "reference", "protect", "fold one", "open", "up", "down"}


def test_a_drawing_is_the_same_each_time(drawn: str, tmp_path: Path) -> None:
    """No date and no random identifier: a page that was not measured again does not change."""
    draw(SCHEME, SHARES, tmp_path / "again.svg")

    assert (tmp_path / "again.svg").read_text() == drawn
    assert "<dc:date>" not in drawn


def test_tables_and_drawing_come_from_the_printed_json(tmp_path: Path) -> None:
    """All reports in the order of their files' names; the first of each scheme is drawn."""
    docs, measured = tmp_path / "docs", tmp_path / "measured"
    docs.mkdir()
    measured.mkdir()
    (docs / "performance.md").write_text(f"words\n{BEGIN}\n{END}\n")
    for number in (4, 2, 5, 1, 3, 6):
        report = msgspec.structs.replace(SCHEME, participants=number, bytes_per_parameter_up=number)
        (measured / f"scheme-{number}.json").write_bytes(msgspec.json.encode(report))
    for number in (8, 7):
        report = msgspec.structs.replace(SHARES, participants=number, open_us_per_parameter=number)
        (measured / f"shares-{number}.json").write_bytes(msgspec.json.encode(report))
    (measured / "round-shares.json").write_bytes(msgspec.json.encode(SHARED_ROUND))
    (measured / "round.json").write_bytes(msgspec.json.encode(ROUND))

    write(docs, measured)

    text = (docs / "performance.md").read_text()
    commands = [f"--participants {number} " for number in range(1, 8)]
    commands += ["bench round --scheme ckks", "bench round --scheme shares"]
    places = [text.index(each) for each in commands]
    drawn = (docs / "images" / "performance.svg").read_text()
    assert text.startswith("words\n")
    assert places == sorted(places)
    assert ">1.00<" in drawn
    assert ">7.0000<" in drawn
