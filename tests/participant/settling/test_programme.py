"""A programme is read from contracts whose code is this version's, all three of them."""

from pathlib import Path

import pytest

from participant.settling.programme import contracts_at, programme_at
from privacy.errors import WrongContext
from tests.contracts.settlement_run import settlement_run
from tests.contracts.settling import hostile
from veilsum.demo.chain import embedded_chain


def test_a_settlement_with_a_verifier_of_its_own_is_refused(tmp_path: Path) -> None:
    """It would find guilty whom it likes, or nobody, and its own code is the right one."""
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path, sites=1)
        obedient = run.endpoint.construction(hostile("ObedientVerifier"))
        key, journal = run.chain.key, run.journal
        verifier = run.endpoint.send(key, journal, "obedient", obedient).contract
        made = run.endpoint.constructor("Settlement", verifier)
        false = str(run.endpoint.send(key, journal, "false-settlement", made).contract)

        with pytest.raises(WrongContext, match="is not that of SumVerifier"):
            contracts_at(run.endpoint, false)

        assert contracts_at(run.endpoint, str(run.chain.contract.address))
        assert programme_at(run.endpoint, str(run.chain.contract.address), run.programme).terms()
