"""Contracts are deployed once each, and what stands at their addresses is looked at."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from eth_account.signers.local import LocalAccount

from privacy.errors import ChainUnavailable, WrongContext
from veilsum.chain.compiled import load, names, parse
from veilsum.chain.deployment import AddressOf, Wanted, deploy_all, verify
from veilsum.chain.endpoint import Endpoint, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import make_key
from veilsum.demo.chain import embedded_chain, give_gas

TOKENS = (Wanted("DemoToken", (1000,)),)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, LocalAccount]]:
    with embedded_chain() as url:
        key = make_key(tmp_path_factory.mktemp("key") / "k.json", "word", work_factor=2)
        endpoint = connect(url)
        give_gas(endpoint, [key.address])
        yield endpoint, key


def test_what_a_programme_needs_is_deployed_and_told(
    chain: tuple[Endpoint, LocalAccount], tmp_path: Path
) -> None:
    """In the order in which one is told the other's address."""
    endpoint, key = chain

    made = deploy_all(endpoint, key, FolderJournal(tmp_path))

    addresses = {each.name: each.address for each in made}
    assert list(addresses) == ["SumVerifier", "Settlement", "StakeVault", "ModelRegistry"]
    assert len(set(addresses.values())) == 4
    settlement = endpoint.deployed("Settlement", addresses["Settlement"])
    assert endpoint.read(settlement.functions.verifier()).lower() == addresses["SumVerifier"]
    known = [replace(each, transaction=None, gas=None) for each in made]
    assert list(verify(endpoint, addresses)) == known


def test_a_plan_that_was_carried_out_sends_nothing(
    chain: tuple[Endpoint, LocalAccount], tmp_path: Path
) -> None:
    """After a crash the same command goes on where it was."""
    endpoint, key = chain
    made = deploy_all(endpoint, key, FolderJournal(tmp_path), TOKENS)
    nonce = endpoint.web3.eth.get_transaction_count(key.address)

    again = deploy_all(endpoint, key, FolderJournal(tmp_path), TOKENS)

    assert again == made
    assert endpoint.web3.eth.get_transaction_count(key.address) == nonce


def test_other_arguments_are_another_contract(
    chain: tuple[Endpoint, LocalAccount], tmp_path: Path
) -> None:
    """The journal knows what was deployed, not only its name."""
    endpoint, key = chain
    (one,) = deploy_all(endpoint, key, FolderJournal(tmp_path), TOKENS)

    (other,) = deploy_all(endpoint, key, FolderJournal(tmp_path), (Wanted("DemoToken", (1001,)),))

    assert other.address != one.address


def test_a_plan_out_of_order_is_refused_before_anything_is_sent(
    chain: tuple[Endpoint, LocalAccount], tmp_path: Path
) -> None:
    """An address that is not known yet cannot be told."""
    endpoint, key = chain
    plan = (Wanted("ModelRegistry", (AddressOf("Settlement"),)),)

    with pytest.raises(WrongContext, match="needs the address of Settlement"):
        deploy_all(endpoint, key, FolderJournal(tmp_path), plan)


@pytest.mark.parametrize("name", ["Settlement", "SumVerifier"])
def test_an_address_with_other_code_is_refused(
    chain: tuple[Endpoint, LocalAccount], tmp_path: Path, name: str
) -> None:
    """Another contract, or none."""
    endpoint, key = chain
    (token,) = deploy_all(endpoint, key, FolderJournal(tmp_path), TOKENS)

    for address in (token.address, "0x" + "12" * 20):
        with pytest.raises(WrongContext, match=f"is not that of {name} in this version"):
            verify(endpoint, {name: address})


def test_a_chain_that_is_down_is_unavailable(tmp_path: Path) -> None:
    """The same plan goes on later."""
    key = make_key(tmp_path / "k.json", "word", work_factor=2)
    with embedded_chain() as url:
        endpoint = connect(url, sleep=lambda _: None)

    with pytest.raises(ChainUnavailable):
        deploy_all(endpoint, key, FolderJournal(tmp_path))


def test_code_is_known_whatever_its_constructor_was_given() -> None:
    """Immutable values stand in the running code; all else is compared."""
    body = b'{"contract": "X", "abi": [], "bytecode": "0x00", "deployedBytecode": "0x0a0000000b",'
    artefact = parse(body + b' "immutableReferences": {"7": [{"start": 1, "length": 3}]}}')

    assert artefact.runs_as(bytes.fromhex("0a1122330b"))
    assert not artefact.runs_as(bytes.fromhex("0b1122330b"))
    assert not artefact.runs_as(bytes.fromhex("0a1122330c"))
    assert not artefact.runs_as(bytes.fromhex("0a11223300"))
    assert not artefact.runs_as(b"")


def test_a_library_is_linked_by_its_address() -> None:
    """solc leaves a hole that is named by the hash of the library's file and name."""
    token = load("DemoToken")
    hole = token.placeholder()
    calling = msgspec.structs.replace(
        token, contract="Calls", bytecode=f"0x60{hole}61", deployed_bytecode=f"0x{hole}"
    )

    linked = calling.linked({"DemoToken": "0x" + "Ab" * 20})

    assert len(hole) == 40
    assert linked.bytecode == "0x60" + "ab" * 20 + "61"
    assert linked.deployed_bytecode == "0x" + "ab" * 20
    with pytest.raises(WrongContext, match="calls a library whose address is not given"):
        calling.linked({})


def test_every_artefact_can_be_named() -> None:
    """What refuses is named by the errors of all of them."""
    assert {"Settlement", "StakeVault", "SumVerifier", "ModelRegistry", "DemoToken"} <= {*names()}
