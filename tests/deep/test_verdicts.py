"""A hundred thousand proofs, judged by the contract and by its twin."""

import pytest

from privacy.settlement.sum_verdict import verdict
from tests.contracts.proof_cases import Cases
from tests.contracts.verifying import Verifier

SEEDS = 100
CASES_OF_ONE_SEED = 1_000
FIRST = 1_000

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_contract_and_twin_agree_on_a_hundred_thousand_proofs(seed: int) -> None:
    """As `tests/contracts/test_verdicts_agree.py` does on a thousand; about 20 minutes."""
    verifier = Verifier()

    for number, (context, proof) in enumerate(Cases(seed).take(CASES_OF_ONE_SEED)):
        assert verifier.verdict(context, proof) is verdict(context, proof), (number, proof)
