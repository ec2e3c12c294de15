"""What slither is told to leave out stands in the sources, place by place, with its reason."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
NOTE = re.compile(r"// slither-disable-(?:next-line|start) (\S+?): (\S.*)$", re.MULTILINE)
SWITCH = re.compile(r"slither-disable-(?:next-line|start)")
ROW = re.compile(r"^\| ([a-z-]+) \| \d+ \|", re.MULTILINE)


def test_no_detector_is_switched_off_for_all_sources() -> None:
    """What is off everywhere reports no new place either."""
    settings = json.loads((CONTRACTS / "audit" / "slither.json").read_text())

    assert not any("detectors" in name or "exclude" in name for name in settings)
    assert settings["fail_on"] == "pedantic"


def test_each_place_that_is_left_out_says_why() -> None:
    """An exception without a reason cannot be judged by the next reader."""
    sources = [path.read_text() for path in (CONTRACTS / "src").rglob("*.sol")]

    switches = sum(len(SWITCH.findall(text)) for text in sources)

    assert switches > 0
    assert switches == sum(len(NOTE.findall(text)) for text in sources)


def test_the_page_lists_the_detectors_that_are_left_out() -> None:
    """No reason is missing there, and none has outlived its place."""
    sources = [path.read_text() for path in (CONTRACTS / "src").rglob("*.sol")]
    page = (ROOT / "docs" / "contract-tests.md").read_text()
    table = page[page.index("| detector |") :]

    noted = {name for text in sources for name, _ in NOTE.findall(text)}

    assert set(ROW.findall(table)) == noted
