"""An auditor at work: it joins, says so, signs or refuses, and ends with the programme."""

import asyncio
import os
from contextlib import nullcontext
from dataclasses import replace

import msgspec
import pytest

from participant.auditing import agent as module
from participant.auditing import inquiry
from participant.auditing.agent import AuditorAgent
from participant.config import ProgrammeAccess
from participant.session import audits
from participant.view import RoundView, View
from participant.wire import patience
from privacy import canonical
from privacy.errors import (
    FolderHeld,
    IllegalEvent,
    MalformedMessage,
    PeerUnreachable,
    PolicyRefusal,
    StoreUnavailable,
    WrongContext,
)
from privacy.failpoints import Failpoints
from privacy.roster import Role, SignedRoster
from privacy.settlement import verdict as verdicts
from privacy.signing import Purpose, sign
from tests.participant import at_dispute as at
from tests.participant import auditor_at_work as work
from tests.participant import pledged
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.auditing.test_auditor import ROUND, false_chunks
from tests.participant.seat.table import Desk, Relay
from veilsum.chain.digests import signer_of_digest


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


@pytest.fixture
def shown():
    coordinator = work.Audited()
    coordinator.audits(ROUND)
    return coordinator


def agent(folder, name="watch", **policy):
    return AuditorAgent(
        work.config(folder, name, **policy), made.keys(name), os.urandom, Failpoints()
    )


async def serve(at_work, shown):
    async with asyncio.timeout(20):
        await at_work.serve(shown)


async def test_a_round_is_signed_and_the_programme_ends(tmp_path, shown):
    """While it works it says so; the coordinator waits for whoever is at work."""
    await serve(agent(tmp_path), shown)

    assert 1 in shown.countersigned
    assert shown.refused == []
    assert (1,) in shown.watched


async def test_what_it_fetches_is_counted(tmp_path, shown, monkeypatch):
    """Its metrics read the line that its coordinator takes from."""
    monkeypatch.setattr(module, "connected", lambda *_: nullcontext(shown))
    at_work = agent(tmp_path)

    async with asyncio.timeout(20):
        await at_work.run()

    assert shown.tempo is at_work.line


async def test_a_false_sum_is_refused_with_its_code(tmp_path, shown):
    """The report is on disk before the coordinator hears of it."""
    chunks = false_chunks()
    shown.sums[1] = (work.with_sum(ROUND, chunks), chunks)
    at_work = agent(tmp_path)
    before = []

    async def refuse(number, code):
        before.append((tmp_path / "reports" / "000001.json").exists())
        shown.refused.append((number, code))

    shown.refuse = refuse
    await serve(at_work, shown)

    assert shown.refused == [(1, "false_sum")]
    assert before == [True]
    assert shown.countersigned == {}


async def test_a_refusal_that_does_not_arrive_is_sent_again(tmp_path, shown):
    """By the same process, from the report, without adding again."""
    chunks = false_chunks()
    shown.sums[1] = (work.with_sum(ROUND, chunks), chunks)
    failures = [PeerUnreachable("away"), PeerUnreachable("away")]

    async def refuse(number, code):
        if failures:
            raise failures.pop()
        shown.refused.append((number, code))

    shown.refuse = refuse
    await serve(agent(tmp_path), shown)

    assert shown.refused == [(1, "false_sum")]
    assert [chunk for _, chunk in shown.streams] == [0, 1]  # once all, once the wrong chunk


async def test_a_round_that_is_not_there_now_is_tried_again(tmp_path, shown):
    """The view is old, or new; nothing is refused."""
    honest, errors = shown._contributions, [IllegalEvent("not now"), PeerUnreachable("away")]

    async def stream(number, from_chunk):
        if errors:
            raise errors.pop()
        async for each in honest(number, from_chunk):
            yield each

    shown._contributions = stream
    await serve(agent(tmp_path), shown)

    assert 1 in shown.countersigned
    assert (shown.refused, errors) == ([], [])


async def test_a_disk_that_refuses_for_long_is_one_line_and_one_addition(
    tmp_path, shown, monkeypatch
):
    """Each wait longer than the one before; nothing of the round is forgotten meanwhile."""
    monkeypatch.setattr(patience, "SHORTEST_SECONDS", 0.01)
    at_work, lines, tries = agent(tmp_path), [], []
    monkeypatch.setattr(patience.log, "warning", lambda event, **more: lines.append((event, more)))
    keeps = type(at_work._reports).keep

    def keep(reports, report):
        tries.append(report)
        if len(tries) <= 4:
            raise StoreUnavailable("No space left on device; make room on this disk")
        return keeps(reports, report)

    monkeypatch.setattr(type(at_work._reports), "keep", keep)
    await serve(at_work, shown)

    assert 1 in shown.countersigned
    assert (len(tries), len(shown.streams)) == (5, 1)
    reason = "No space left on device; make room on this disk"
    assert lines == [("will_retry", {"round": 1, "reason": reason})]
    assert at_work._retries == {}


async def test_an_auditor_that_cannot_keep_reports_does_not_begin(tmp_path):
    """Said at once, with what must be done."""
    (tmp_path / "reports").touch()

    with pytest.raises(StoreUnavailable, match=r"reports: .*; check that path"):
        agent(tmp_path)


async def test_only_one_process_audits_from_a_folder(tmp_path, shown):
    """Two would each sign one sum."""
    first = agent(tmp_path)

    with pytest.raises(FolderHeld, match="another process"):
        agent(tmp_path)
    os.close(first._held)


@pytest.mark.parametrize("name", ["amber", "delta"])
async def test_a_trainer_does_not_audit(tmp_path, shown, name):
    """It may hold a key that opens what it would be handed."""
    with pytest.raises(PolicyRefusal, match="no auditor of the roster"):
        await serve(agent(tmp_path, name), shown)
    assert shown.streams == []


def roster_with(**members):
    """The roster with changed entries, founded."""
    changed = tuple(
        msgspec.structs.replace(m, **members.get(m.participant, {})) for m in made.roster().members
    )
    of = msgspec.structs.replace(made.roster(), members=changed)
    body = canonical.encode(of)
    signed = {
        m.participant: sign(made.keys(m.participant).signing, Purpose.ROSTER, body)
        for m in of.members
    }
    return SignedRoster(of, signed)


async def test_an_auditor_that_also_trains_is_none(tmp_path, shown):
    """Both roles in one entry."""
    both = roster_with(watch={"roles": (Role.AUDITOR, Role.TRAINER)})
    shown.history = [both]

    with pytest.raises(PolicyRefusal):
        await serve(agent(tmp_path, roster=both.roster.digest()), shown)
    assert shown.streams == []


async def test_another_roster_than_the_one_compared_is_not_joined(tmp_path, shown):
    """As for a site: the fingerprint in its own file has the last word."""
    with pytest.raises(WrongContext, match="telephone"):
        await serve(agent(tmp_path, roster="1" * 64), shown)


def test_what_there_is_to_audit_is_what_names_this_auditor():
    """In the phase of auditing, oldest first, and not what is settled."""

    def at(number, phase, auditor):
        return RoundView(number, phase, "", (), "", (), (), "", (), auditor)

    view = View(
        rounds=(
            at(4, "auditing", "watch"),
            at(2, "auditing", "watch"),
            at(1, "opening", "watch"),
            at(3, "auditing", "other"),
            at(5, "auditing", ""),
        )
    )

    assert [task.round for task in audits(view, "watch", frozenset())] == [2, 4]
    assert [task.round for task in audits(view, "watch", frozenset({2}))] == [4]


# -- disputes ------------------------------------------------------------------------------


class Disputing(work.Audited):
    """A coordinator that shows a round in dispute until the auditor has given its word."""

    def __init__(self, of):
        super().__init__()
        self.calls = at.Calls(of)
        self.history = [SignedRoster(shared.roster(), _admitted())]
        at.shared.shown_by(self, of)

    async def watch(self, seen, working_on, wait_seconds):
        self.watched.append(tuple(working_on))
        await asyncio.sleep(0.01)
        if self.calls.named:
            return View(2, (), finished=True)
        empty = RoundView(1, "disputed", "", (), "", (), (), "", (), "watch")
        return View(1, (replace(empty, disputed=at.DISPUTED),))


def _admitted():
    body = canonical.encode(shared.roster())
    names = [member.participant for member in shared.roster().members]
    return {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}


@pytest.fixture
def relayed(monkeypatch):
    relay = Relay()
    monkeypatch.setattr(module, "Letters", lambda _: Desk(relay, "watch"))
    monkeypatch.setattr(module, "SeatCalls", lambda coordinator: coordinator.calls)
    monkeypatch.setattr(inquiry, "ASK_AGAIN_SECONDS", 0.1)
    return relay


def dispute_agent(folder):
    return agent(folder, roster=shared.roster().digest(), schemes=(shared.SHARES,))


async def test_a_dispute_is_settled_and_the_auditor_says_that_it_is_at_work(tmp_path, relayed):
    """From the coordinator's view to its word on who lied."""
    of = at.lied_about(1)
    shown = Disputing(of)

    async with at.seats_at(tmp_path / "seats", of, relayed, {1: at.consistent}):
        await serve(dispute_agent(tmp_path / "watch"), shown)

    assert shown.calls.named == [(1, (at.FERN,))]
    assert (1,) in shown.watched


async def test_a_word_on_a_dispute_that_does_not_arrive_is_given_again(tmp_path, relayed):
    """From the report, by an agent that has started again as well; seats are asked once."""
    of = at.lied_about(1)
    shown = Disputing(of)
    shown.calls.fails = [PeerUnreachable("away"), IllegalEvent("not now")]

    first = dispute_agent(tmp_path / "watch")
    async with at.seats_at(tmp_path / "seats", of, relayed, {1: at.consistent}):
        await serve(first, shown)
    os.close(first._held)
    asked = len(relayed.posted)
    shown.calls.named.clear()
    await serve(dispute_agent(tmp_path / "watch"), shown)

    assert shown.calls.named == [(1, (at.FERN,))]
    assert len(relayed.posted) == asked


async def test_who_cannot_collect_letters_takes_silence_for_no_answer(tmp_path, relayed):
    """A coordinator that breaks the relay for the auditor alone has no seat named by that."""
    shown = Disputing(at.lied_about(1))
    failures = [MalformedMessage("no letters"), MalformedMessage("no letters")]
    whole = relayed.collect

    async def collect(*args):
        if failures:
            raise failures.pop()
        return await whole(*args)

    relayed.collect = collect
    at_work = dispute_agent(tmp_path / "watch")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await at_work.serve(shown)

    assert shown.calls.named == []


def bonded_agent(folder):
    """An auditor that looks at a chain, and so writes evidence for its judges."""
    at_work = dispute_agent(folder)
    access = ProgrammeAccess(
        rpc="http://127.0.0.1:1",
        chain_id=pledged.HERE.chain_id,
        contract=pledged.HERE.contract,
        programme=pledged.HERE.programme,
        keystore=folder / "key.json",
        passphrase=folder / "passphrase",
    )
    at_work.config = msgspec.structs.replace(at_work.config, settlement=access)
    return at_work


async def test_evidence_against_a_liar_is_written_when_it_is_named(tmp_path, relayed):
    """A coordinator that hides the pledge later hides nothing."""
    of = at.lied_about(1)
    shown = Disputing(of)

    async def pledges(number):
        return [pledged.pledge()]

    shown.calls.pledges = pledges
    async with at.seats_at(tmp_path / "seats", of, relayed, {1: at.consistent}):
        await serve(bonded_agent(tmp_path / "watch"), shown)

    (path,) = (tmp_path / "watch" / "evidence").iterdir()
    evidence = verdicts.decode(path.read_bytes())
    accused = verdicts.examine(evidence, shared.roster(), signer_of_digest)
    assert (accused.seat, accused.account) == (at.FERN, pledged.ACCOUNT.address.lower())


async def test_a_round_waits_for_no_evidence(tmp_path, relayed):
    """It goes on without the liar, whatever becomes of its bond."""
    of = at.lied_about(1)
    shown = Disputing(of)

    async def pledges(number):
        raise PeerUnreachable("away")

    shown.calls.pledges = pledges
    async with at.seats_at(tmp_path / "seats", of, relayed, {1: at.consistent}):
        await serve(bonded_agent(tmp_path / "watch"), shown)

    assert shown.calls.named == [(1, (at.FERN,))]
    assert not (tmp_path / "watch" / "evidence").exists()
