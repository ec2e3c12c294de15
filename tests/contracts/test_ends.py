"""When a programme takes no commit any more, and where its rounds begin, by the real contract."""

from pathlib import Path

import pytest

from privacy.errors import IllegalEvent
from tests.contracts.settlement_run import settlement_run
from veilsum.demo.chain import embedded_chain


def test_after_the_end_nothing_is_committed_and_the_chain_says_so(tmp_path: Path) -> None:
    """By what is final: a coordinator then stops trying, for good."""
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path, sites=1)
        programme = bytes.fromhex(run.programme)
        terms = run.endpoint.read(run.chain.contract.functions.termsOf(programme))
        made = run.statement(budget=100)
        run.chain.commit(made)
        committed_at = run.endpoint.web3.eth.block_number
        before = run.chain.is_over(run.programme)
        run.pass_until(int(terms[6]))

        with pytest.raises(IllegalEvent, match="SettlementEnded"):
            run.chain.commit(run.statement(4, budget=100, before=made))
        after = run.chain.is_over(run.programme)
        first = run.chain.first_block(run.programme, 3)

    assert (before, after) == (False, True)
    assert first <= committed_at
