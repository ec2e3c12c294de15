"""What a round costs does not depend on how many took part, and stays below what is promised."""

import pytest

from tests.contracts.settling import SUPPLY, Chain, Programme, open_programme
from veilsum.chain.compiled import load

MOST_FOR_A_COMMIT = 125_000
MOST_FOR_A_FIRST_CLAIM = 110_000
MOST_FOR_A_LATER_CLAIM = 75_000
LARGEST_CONTRACT = 24_576
"""Bytes of running code. Source: EIP-170."""

UNIT = 10**18
SHIPPED = ("Settlement", "StakeVault", "SumVerifier", "ModelRegistry")


def amounts(chain: Chain, sites: int, rounds: int) -> dict[str, int]:
    checksum = chain.web3.to_checksum_address
    first = 0xA1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4
    return {checksum(f"0x{first + site:040x}"): rounds * UNIT + site for site in range(sites)}


def with_sites(chain: Chain, sites: int) -> tuple[list[int], list[int]]:
    """Gas of two commits, and of the claims of two sites after each."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    programme = open_programme(chain, token, escrow=10**22)
    commits, claims = [], []
    for number in (1, 2):
        made = programme.make(amounts(chain, sites, number), number)
        call = programme.commit_call(made.commit)
        commits.append(chain.send(call, programme.terms.coordinator)["gasUsed"])
        programme.mature(number)
        claims += [programme.claim(made.payouts[site])["gasUsed"] for site in (0, sites // 2)]
    return commits, claims


def test_a_commit_costs_the_same_for_ten_sites_and_for_a_thousand(chain: Chain) -> None:
    """One hash, one root, one word: what differs is how many bytes of them are zero."""
    few, _ = with_sites(chain, 10)

    many, _ = with_sites(chain, 1_000)

    assert max(few + many) <= MOST_FOR_A_COMMIT
    assert all(abs(one - other) < 500 for one, other in zip(few, many, strict=True))


def test_claims_at_a_thousand_sites_are_within_what_is_promised(chain: Chain) -> None:
    """Also the very first of a programme, and the first after a new round."""
    _, claims = with_sites(chain, 1_000)

    assert max(claims[:2]) <= MOST_FOR_A_FIRST_CLAIM
    assert max(claims[2:]) <= MOST_FOR_A_LATER_CLAIM


def test_many_rounds_are_one_claim(programme: Programme) -> None:
    """Whoever skips rounds pays for one."""
    for number in range(1, 6):
        made = programme.commit({programme.payee(0): 100 * number}, number)
    programme.mature(5)

    gas = programme.claim(made.payouts[0])["gasUsed"]

    assert programme.balance(programme.payee(0)) == 500
    assert gas <= MOST_FOR_A_FIRST_CLAIM


@pytest.mark.parametrize("name", SHIPPED)
def test_a_contract_fits_where_it_is_to_run(name: str) -> None:
    """A chain refuses larger ones."""
    size = len(load(name).deployed_bytecode) // 2 - 1

    assert 0 < size <= LARGEST_CONTRACT
