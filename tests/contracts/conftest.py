"""A chain in this process with the settlement's contracts on it, put back after each test."""

from collections.abc import Iterator

import pytest
from eth_tester import EthereumTester
from web3 import EthereumTesterProvider, Web3

from tests.contracts.settling import SUPPLY, Chain, Programme, new_chain, open_programme
from veilsum.chain.compiled import load


@pytest.fixture(scope="module")
def shared_chain() -> Chain:
    tester = EthereumTester()
    web3 = Web3(EthereumTesterProvider(tester))
    return new_chain(web3, tester)


@pytest.fixture
def chain(shared_chain: Chain) -> Iterator[Chain]:
    snapshot = shared_chain.tester.take_snapshot()
    yield shared_chain
    shared_chain.tester.revert_to_snapshot(snapshot)


@pytest.fixture
def programme(chain: Chain) -> Programme:
    return open_programme(chain, chain.deploy(load("DemoToken"), SUPPLY))
