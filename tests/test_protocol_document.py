"""docs/protocol.md says what the code does: methods, states, documents, failpoints, files."""

import re

import pytest

from coordinator.server import JOINING_PROTOS, PROTOS
from privacy.failpoints import NAMES
from privacy.plan import Terms
from privacy.records import PURPOSES
from privacy.roster import Roster
from privacy.sealing import Sealed
from privacy.signing import Purpose
from tests.diagram import mermaid
from tests.source_tree import ROOT
from veilsum.v1 import options_pb2 as options

PAGE = (ROOT / "docs" / "protocol.md").read_text()


def declared() -> dict[str, str]:
    """The roles that may call each method, by its name, from the compiled protocol."""
    return {
        method.name: " or ".join(
            options.Caller.Name(each).removeprefix("CALLER_").lower()
            for each in method.GetOptions().Extensions[options.caller]
        )
        for file in (*PROTOS, *JOINING_PROTOS)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_the_diagram_is_drawn_from_the_transitions() -> None:
    """A drawing made by hand is right on the day it is made."""
    assert f"```mermaid\n{mermaid()}\n```" in PAGE


def test_every_method_stands_with_its_role() -> None:
    """Who may call what is decided by the option, and read on the page."""
    told = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([\w ]+) \|", PAGE, re.MULTILINE))

    assert told == declared()


def test_every_document_stands_with_its_fields() -> None:
    """An implementer signs all of them and no others."""
    expected = {Purpose.ROSTER: Roster, **{purpose: kind for kind, purpose in PURPOSES.items()}}
    for purpose, kind in expected.items():
        (row,) = re.findall(rf"^\| [^|]+ \| `{re.escape(purpose)}` \|[^|]+\| (.+) \|$", PAGE, re.M)
        assert row == ", ".join(f"`{name}`" for name in kind.__struct_fields__)
    assert ", ".join(f"`{name}`" for name in Terms.__struct_fields__) in PAGE


CHUNKS_AND_PAYOUTS = ("veilsum/chunk/1", "veilsum/payout-leaf/2", "veilsum/score/1")


@pytest.mark.parametrize("tag", [*Purpose, *Sealed, *CHUNKS_AND_PAYOUTS])
def test_every_tag_stands_on_the_page(tag: str) -> None:
    """A tag that is missing is a signature that nobody else can check."""
    assert tag in PAGE


def test_every_failpoint_stands_on_the_page_and_no_other() -> None:
    """The table of places is compared with the source where it is defined."""
    told = set(re.findall(r"^- `([a-z_]+\.[a-z_]+)`$", PAGE, re.MULTILINE))

    assert told == NAMES


def test_every_file_that_the_page_names_is_there() -> None:
    """Vectors and tests are the other half of the page."""
    named = set(re.findall(r"`((?:tests|privacy|coordinator)/[\w/]+\.(?:py|json))`", PAGE))
    linked = set(re.findall(r"\]\((?:\.\./)?([\w/.]+)\)", PAGE))

    assert named
    assert all((ROOT / name).exists() for name in named)
    assert all((ROOT / n).exists() or (ROOT / "docs" / n).exists() for n in linked)
