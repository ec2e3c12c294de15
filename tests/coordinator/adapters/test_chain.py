"""What endpoints tell of demands, as far as it can be read."""

from structlog.testing import capture_logs

from coordinator.adapters import chain
from coordinator.adapters.chain import SettlementChain
from privacy.settlement.sum_proof import Node, Tree
from veilsum.chain.logs import Found, Logged

PROGRAMME = "d4" * 32


def told(name, tree):
    place = {"tree": tree, "chunk": 0, "leaf": 0, "level": 0, "index": 0}
    return Logged(7, {"demand": name, "round": 1, "deadline": 9, "node": place}, "0xab")


def test_a_demand_that_cannot_be_read_hides_no_other(monkeypatch):
    """One endpoint that lies would keep every demand from being answered."""
    found = Found((told(b"x", 200), Logged(7, {}, "0xab"), told(b"y", Tree.COHORT)), True, 8)
    monkeypatch.setattr(chain, "logged", lambda *_: found)
    contract = SettlementChain(None, None, None, None, None)

    with capture_logs() as logs:
        demands = contract.demands(PROGRAMME, 0)

    assert [(each.id, each.node) for each in demands.found] == [(b"y", Node(Tree.COHORT))]
    assert demands.until == 8
    assert [each["event"] for each in logs] == ["demand_not_read"] * 2
