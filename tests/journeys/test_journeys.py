"""The pages for people are typed as they stand: from nothing to a model and its evidence."""

import pytest

from tests.journeys.pages import steps
from tests.journeys.people import people
from tests.ports import own_port
from tests.source_tree import ROOT

SITES = ("hospital-a", "hospital-b", "hospital-c")
EVERYWHERE = "each hospital"


def two_ports():
    """A free port whose next one is free, too: `init` takes the next one for joining."""
    for _ in range(100):
        first = own_port()
        if own_port() == first + 1:
            return first
    raise AssertionError("no two ports beside each other")


def chosen():
    """What a reader on one machine chooses, for what the first page says is the reader's."""
    return {
        "veilsum.example.org:8443": f"localhost:{(port := two_ports())}",
        "veilsum.example.org:8444": f"localhost:{port + 1}",
        "veilsum.example.org": "localhost",
        "192.0.2.10": "127.0.0.1",
        "/usr/src/veilsum": str(ROOT),
    }


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_the_pages_say_leads_from_nothing_to_a_model_and_its_evidence(tmp_path):
    """Three hospitals, an auditor and an operator; every command, answer and setting is theirs."""
    with people(tmp_path, chosen()) as everybody:
        for step in steps():
            for place in SITES if step.where == EVERYWHERE else (step.where,):
                for act in step.acts:
                    everybody.does(place, act)
