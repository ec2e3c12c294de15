"""A seat pledges for all that it has stated, beside its rounds, and each sum once."""

import asyncio
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from participant.config import ProgrammeAccess
from participant.seat import pledging as module
from participant.seat.agent import AggregatorAgent
from participant.seat.memory import SeatMemory
from participant.seat.pledging import Account, Pledging, account_of
from participant.wire.patience import Patience
from privacy import canonical
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    IllegalEvent,
    InsecureKeyFile,
    InvalidSignature,
    MissingDependency,
    NotYet,
    PeerUnreachable,
)
from privacy.failpoints import Failpoints, pass_by
from privacy.records import SeatSum
from privacy.settlement.commitment import typed_seat_sum
from privacy.settlement.pledge import Pledge, check, require_goes_with
from tests.chain.fake_signer import FakeSigner, listening, served, with_nonce
from tests.participant import pledged
from tests.participant import signed_round as made
from tests.participant.seat import seated as work
from tests.participant.seat.test_agent import Federation
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import sign_typed, signer_of_digest
from veilsum.chain.wallet import make_key

ACCOUNT = Account(
    pledged.HERE,
    pledged.ACCOUNT.address.lower(),
    partial(sign_typed, pledged.ACCOUNT),
)


class Desk:
    """Takes pledges, or fails first."""

    def __init__(self, *fails):
        self.taken, self.fails = [], list(fails)

    async def put_pledge(self, pledge):
        if self.fails:
            error = self.fails.pop(0)
            if error is not None:
                raise error
        self.taken.append(pledge)


@pytest.fixture
def memory(tmp_path):
    found = SeatMemory(tmp_path)
    for number in (1, 2):
        found.states(number, statement(number))
    yield found
    found.close()


def statement(number):
    stated = pledged.round_of().stated[1].statement
    fields = {name: getattr(stated, name) for name in stated.__struct_fields__}
    return made.signed_by(SeatSum(**{**fields, "round": number}), stated.seat)


def pledging(memory, desk):
    key = made.keys(pledged.LIAR).signing
    return Pledging(ACCOUNT, key, memory, desk, Patience(os.urandom))


def forgetful(memory):
    """The same memory of a seat that has pledged nothing yet."""
    memory._database.execute("DELETE FROM pledges")
    return memory


def rounds(desk):
    return [canonical.decode(each.body, Pledge).round for each in desk.taken]


async def test_each_statement_is_pledged_for_once(memory):
    """The newest first: its window is open for longest."""
    desk = Desk()

    for _ in range(2):
        await pledging(memory, desk).pledge_all()

    assert rounds(desk) == [2, 1]
    assert memory.unpledged() == ()


async def test_what_is_pledged_is_what_was_stated(memory):
    desk = Desk()

    await pledging(memory, desk).pledge_all()

    for signed in desk.taken:
        key = pledged.roster().member(pledged.LIAR).signing_key
        pledge = check(signed, pledged.LIAR, key, signer_of_digest)
        stated = memory.statement(pledge.round)
        require_goes_with(pledge, canonical.decode(stated.body, SeatSum))


async def test_one_that_is_not_taken_now_keeps_no_other_waiting(memory):
    """And is made again, with the same bytes."""
    desk = Desk(NotYet("no statement yet"))
    at_work = pledging(memory, desk)

    with pytest.raises(NotYet):
        await at_work.pledge_all()
    assert rounds(desk) == [1]
    await at_work.pledge_all()

    assert rounds(desk) == [1, 2]


async def test_one_that_is_refused_is_said_once_and_tried_after_a_restart(memory):
    """Its operator may have named the wrong programme."""
    desk = Desk(IllegalEvent("no pledges are taken"))
    at_work = pledging(memory, desk)

    with capture_logs() as logs:
        for _ in range(3):
            await at_work.pledge_all()
    assert [each["round"] for each in logs if each["event"] == "pledge_refused"] == [2]
    assert rounds(desk) == [1]
    await pledging(memory, desk).pledge_all()

    assert rounds(desk) == [1, 2]


async def test_a_seat_that_dies_after_it_has_pledged_pledges_the_same_again(memory):
    """The coordinator takes the same twice, and nothing else."""

    def die(_):
        raise work.Killed("gone")

    desk, memory.step = Desk(), die
    with pytest.raises(work.Killed):
        await pledging(memory, desk).pledge_all()
    memory.step = pass_by

    await pledging(memory, desk).pledge_all()

    assert desk.taken[0] == desk.taken[1]
    assert rounds(desk) == [2, 2, 1]


async def test_a_coordinator_that_is_away_is_waited_for(memory):
    """For as long as it takes; what is stated meanwhile is pledged for as well."""
    desk = Desk(PeerUnreachable("away"), PeerUnreachable("away"))
    at_work = pledging(memory, desk)
    running = asyncio.create_task(at_work.run())

    async with asyncio.timeout(10):
        while len(desk.taken) < 2:
            await asyncio.sleep(0.02)
        memory.states(3, statement(3))
        at_work.wake()
        while len(desk.taken) < 3:
            await asyncio.sleep(0.02)

    running.cancel()
    assert sorted(rounds(desk)) == [1, 2, 3]


async def test_a_seat_with_a_bond_pledges_in_its_rounds(tmp_path):
    """And the others, which have none, pledge nothing."""
    federation = Federation(tmp_path, work.Desk.of(work.plan()))
    line, desk = federation.lines["north"], Desk()
    line.put_pledge = desk.put_pledge
    at_work = federation.agent("north")
    at_work.account = ACCOUNT

    others = [federation.serve(name) for name in work.NAMES if name != "north"]
    await federation.run(federation.serving("north", at_work), *others)

    (pledge,) = desk.taken
    key = work.roster().member("north").signing_key
    found = check(pledge, "north", key, signer_of_digest)
    stated = canonical.decode(federation.desk.sums["north"][0].body, SeatSum)
    require_goes_with(found, stated)


async def test_a_round_waits_for_no_pledge(tmp_path):
    """Whoever takes none holds up nothing but the pledge."""
    federation = Federation(tmp_path, work.Desk.of(work.plan()))

    async def never(_):
        await asyncio.Event().wait()

    running = []
    for name in work.NAMES:
        federation.lines[name].put_pledge = never
        at_work = federation.agent(name)
        at_work.account = ACCOUNT
        running.append(federation.serving(name, at_work))

    await federation.run(*running)

    assert set(federation.desk.sums) == set(work.NAMES)


# -- whose account it is -------------------------------------------------------------


def settings(folder: Path, **other: object) -> ProgrammeAccess:
    (folder / "passphrase").write_text("of the test")
    (folder / "passphrase").chmod(0o600)
    named = {"keystore": folder / "key.json", "passphrase": folder / "passphrase"}
    return ProgrammeAccess(
        rpc="http://127.0.0.1:1",
        chain_id=31337,
        contract="0x" + "5E" * 20,
        programme="70" * 32,
        **(named | other),
    )


def test_the_account_is_that_of_the_keystore(tmp_path):
    """Without a word to the chain: a seat starts where the endpoint is away."""
    key = make_key(tmp_path / "key.json", "of the test", work_factor=1 << 12)

    found = account_of(settings(tmp_path))

    assert (found.address, found.domain) == (key.address.lower(), pledged.HERE)
    said = typed_seat_sum(pledged.HERE, 1, 0, bytes(32))
    assert signer_of_digest(said.digest(), found.sign(said)) == found.address
    assert "sign" not in repr(found)


def test_a_key_that_others_can_read_ends_the_seat_at_its_start(tmp_path):
    make_key(tmp_path / "key.json", "of the test", work_factor=1 << 12)
    (tmp_path / "key.json").chmod(0o644)

    with pytest.raises(InsecureKeyFile):
        account_of(settings(tmp_path))


def elsewhere(folder: Path, url: str) -> Account:
    """The account of a seat whose key is with a signer elsewhere."""
    signer = SignerAccess(url, pledged.ACCOUNT.address)
    return account_of(settings(folder, keystore=None, passphrase=None, signer=signer))


@pytest.mark.parametrize("clef", [False, True], ids=["web3signer", "clef"])
async def test_a_seat_whose_key_is_elsewhere_pledges_the_same(memory, tmp_path, clef):
    """Whoever takes it sees no difference."""
    signer, desk, usual = FakeSigner(key=pledged.ACCOUNT, clef=clef), Desk(), Desk()
    way = listening(signer, tmp_path) if clef else served(signer)
    with way as url:
        at_work = replace(pledging(memory, desk), account=elsewhere(tmp_path, url))

        await at_work.pledge_all()

    await pledging(forgetful(memory), usual).pledge_all()
    assert desk.taken == usual.taken
    assert rounds(desk) == [2, 1]


async def test_a_seat_starts_and_states_while_its_signer_is_away(memory, tmp_path):
    """It is asked again, and then all is pledged; one that hangs is waited for once in a look."""
    desk = Desk()
    with served(FakeSigner()) as url:
        pass
    at_work = replace(pledging(memory, desk), account=elsewhere(tmp_path, url))
    asked, away = [], at_work.account.sign

    def signs(said):
        asked.append(said)
        return away(said)

    at_work.account = replace(at_work.account, sign=signs)

    with pytest.raises(ChainUnavailable, match="does not answer"):
        await at_work.pledge_all()
    assert (len(asked), memory.unpledged()) == (1, (2, 1))
    at_work.account = ACCOUNT
    await at_work.pledge_all()

    assert rounds(desk) == [2, 1]


@pytest.mark.parametrize("error", [InvalidSignature, ConfigError])
async def test_a_signer_that_is_wrong_ends_no_seat_and_is_asked_again(memory, error):
    """The seat has rounds to do; what is wrong is somebody else's, and said."""
    desk = Desk()
    at_work = pledging(memory, desk)

    def fails(_):
        raise error("signs something else")

    at_work.account = replace(ACCOUNT, sign=fails)
    with pytest.raises(ChainUnavailable, match="no pledge: signs something else"):
        await at_work.pledge_all()
    at_work.account = ACCOUNT
    await at_work.pledge_all()

    assert rounds(desk) == [2, 1]


async def test_what_was_not_taken_is_handed_in_again_as_it_was_signed(memory):
    """A signer is asked once: somebody may have to say yes there each time."""
    asked = []

    def signs(said):
        asked.append(said)
        return with_nonce(pledged.ACCOUNT, said.digest(), len(asked) + 1)

    desk = Desk(NotYet("no statement yet"))
    at_work = pledging(memory, desk)
    at_work.account = replace(ACCOUNT, sign=signs)
    with pytest.raises(NotYet):
        await at_work.pledge_all()

    await at_work.pledge_all()

    assert rounds(desk) == [1, 2]
    assert len(asked) == 4  # two roots of each round


def test_without_web3_a_seat_with_a_bond_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)

    with pytest.raises(MissingDependency, match="install the extra `chain`"):
        account_of(settings(tmp_path))


def test_a_seat_without_a_bond_pledges_nothing(tmp_path):
    settings_ = work.config(tmp_path, "north")
    at_work = AggregatorAgent(settings_, made.keys("north"), os.urandom, Failpoints())

    assert at_work._pledging(Desk()) is None
    os.close(at_work._held)
    at_work._memory.close()
