"""An auditor before the coordinator's own server, honest or not: what travels, what comes of it."""

import os
import time

import pytest

import coordinator.fold.addition
from coordinator.rounds.state import Phase
from participant.auditing.auditor import Auditor
from participant.auditing.config import AuditorConfig, AuditorPolicy
from participant.auditing.memory import AuditMemory
from participant.auditing.report import Reports
from participant.auditing.run import look
from participant.config import CoordinatorAddress
from participant.keys import SiteKeys, generate_keys
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import FalseSum, NotYet, PolicyRefusal, WrongIdentity
from privacy.limbs import decode_chunk
from privacy.plan import CKKS
from privacy.schemes.ckks_sum import Addition, CkksCombiner
from tests import fakes
from tests.coordinator.served import channel_of, served
from tests.fakes import AUDITOR, OPENERS, SITES, Federation, make_settings
from tests.loopback import make_federation


@pytest.fixture(scope="module")
def certified():
    return make_federation()


class OneSiteAlone(Addition):
    """Checks every contribution, and gives out the last one as their sum."""

    def check_and_add(self, payload):
        root = super().check_and_add(payload)
        self.last = payload
        return root

    def finish(self):
        return self.last


class Lying(CkksCombiner):
    """A coordinator's combiner that adds nothing."""

    def begin(self, chunk):
        return OneSiteAlone(self, chunk, self._parameters)


def added_up():
    """A coordinator whose round 1 waits for its auditor."""
    federation = Federation(settings=make_settings(auditor=AUDITOR))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    assert federation.round().phase is Phase.AUDITING
    return federation


@pytest.fixture
def honest():
    return added_up()


@pytest.fixture
def lying(monkeypatch):
    monkeypatch.setattr(coordinator.fold.addition, "CkksCombiner", Lying)
    return added_up()


class Connection:
    """A member's connection to a coordinator's real server."""

    def __init__(self, federation, certified, name=AUDITOR):
        self._federation, self._certified, self._name = federation, certified, name

    async def __aenter__(self):
        self._served = served(self._federation.service, self._certified)
        address = await self._served.__aenter__()
        uri = f"spiffe://oncology/participant/{self._name}"
        self._channel = channel_of(address, self._certified, uri)

        async def explain():
            return "no reason"

        return Coordinator(self._channel, explain)

    async def __aexit__(self, *_):
        await self._channel.close(None)
        await self._served.__aexit__(None, None, None)


def config(folder, federation, name=AUDITOR):
    nowhere = CoordinatorAddress("127.0.0.1:1", folder, folder)
    policy = AuditorPolicy(federation.roster.digest(), (CKKS,), 3)
    return AuditorConfig("oncology", name, folder, nowhere, policy)


def auditor(folder, federation, connection):
    key = fakes.signing_key(AUDITOR)
    reports = Reports(folder / "reports", key)
    settings = config(folder, federation)
    patience = Patience(os.urandom)
    return Auditor(settings, key, connection, federation.roster, reports, patience, time.monotonic)


async def test_an_honest_sum_goes_on_to_its_openers(tmp_path, certified, honest):
    """The control: added again over the wire, signed, and taken."""
    async with Connection(honest, certified) as connection:
        await auditor(tmp_path, honest, connection).sign(1, AuditMemory(tmp_path))

    assert honest.round().phase is Phase.OPENING
    assert AUDITOR in honest.service.sums.manifest(OPENERS[0], 1).signatures


async def test_one_site_as_the_sum_ends_the_round_and_the_word_is_named(tmp_path, certified, lying):
    """Before any opener has seen a byte of it; the report outlives the round."""
    async with Connection(lying, certified) as connection:
        at_work = auditor(tmp_path, lying, connection)
        with pytest.raises(FalseSum, match="chunk 0 of the sum, ciphertext 0, polynomial 0"):
            await at_work.sign(1, AuditMemory(tmp_path))
        with pytest.raises(NotYet):
            lying.service.sums.manifest(OPENERS[0], 1)
        await connection.refuse(1, FalseSum.code)

    assert lying.round().phase is Phase.ABORTED
    assert "auditor" in lying.round().reason
    assert "false_sum" in lying.round().reason
    (report,) = (each.report for each in at_work.reports.of(1))
    right = fakes.expected_sum([fakes.seed_of(name, 1) for name in SITES], 0)
    words = decode_chunk(fakes.LAYOUT, 0, 1, right)
    place = (report.fault.ciphertext, report.fault.polynomial, 0, report.fault.word)
    assert int(report.fault.expected) == words[place]
    assert int(report.fault.found) == fakes.words(fakes.seed_of(SITES[-1], 1), 0)[place]


async def test_after_the_round_the_command_shows_what_was_found(tmp_path, certified, lying):
    """The contributions are given to nobody any more; `veilsum audit sum` reads the report."""
    keys = SiteKeys(None, fakes.signing_key(AUDITOR), generate_keys(os.urandom).sealing)
    settings = config(tmp_path, lying)
    async with Connection(lying, certified) as connection:
        at_work = auditor(tmp_path, lying, connection)
        now = await at_work.check(1, {})
        with pytest.raises(FalseSum):
            await at_work.sign(1, AuditMemory(tmp_path))
        await connection.refuse(1, FalseSum.code)
        with pytest.raises(NotYet):
            await at_work.check(1, {})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("participant.auditing.run.admitted_versions", _admitted(lying))
            finding = await look(settings, keys, connection, 1)

    assert (now.code, finding.stored, finding.report.code) == ("false_sum", True, "false_sum")
    assert finding.report.fault == now.fault


def _admitted(federation):
    # the sealing keys of these members are not real, so that it cannot be joined as such
    async def admitted_versions(*_):
        return (federation.roster,)

    return admitted_versions


async def handed(connection):
    """The contributions that a caller is handed."""
    async with connection.contributions(1) as payloads:
        return [each async for each in payloads]


@pytest.mark.parametrize("name", SITES)
async def test_a_trainer_is_refused_by_the_server_too(tmp_path, certified, honest, name):
    """Not only by its own command."""
    async with Connection(honest, certified, name) as connection:
        with pytest.raises(WrongIdentity):
            await handed(connection)
        with pytest.raises(WrongIdentity):
            await connection.countersign(1, bytes(64))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("participant.auditing.run.admitted_versions", _admitted(honest))
            keys = SiteKeys(None, fakes.signing_key(name), None)
            with pytest.raises(PolicyRefusal):
                await look(config(tmp_path, honest, name), keys, connection, 1)
