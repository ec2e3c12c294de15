"""A site looks at each of its rounds in its window, keeps what it needs, and says what is wrong."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from participant.config import SettlementAccess
from participant.sending.outbox import Outbox
from participant.settling import own_rounds
from participant.settling.dossier import Dossier, Standing
from participant.settling.own_rounds import OwnRounds
from participant.settling.payout import Payouts
from participant.view import Payout
from participant.wire.commits import Promise
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import FalseCommit, NotYet, PeerUnreachable
from privacy.records import Score, Scores, digest_of
from privacy.settlement import accusation
from privacy.settlement.commitment import Commit, Slot, receipt_digest
from privacy.settlement.payouts import Domain, Entitlement
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing
from tests.participant.auditing.committed_round import (
    DOMAIN,
    PLAN,
    READER,
    ROUND,
    Shown,
    Trees,
    commit,
    off_by_one,
)
from tests.participant.settling.test_own_round import COHORT, COORDINATOR, KEY, SITE, SLOT

WINDOW = 1000


@dataclass
class Chain:
    """A programme as a test has it; time stands where it is put."""

    commit: Commit | None = None
    now: int = 100
    matures_at: int = 1000
    head: int = 0
    void_from: int | None = None
    end: int = 10_000
    word: bytes = field(default=bytes.fromhex(DOMAIN.programme))

    def round(self, number: int) -> Any:
        if self.commit is None or number != 1:
            return None
        return SimpleNamespace(commit=self.commit.digest(), matures_at=self.matures_at)

    def committed(self, number: int) -> Commit | None:
        return self.commit

    def state(self) -> Any:
        void = self.void_from
        return SimpleNamespace(
            head=self.head,
            void_from=void,
            is_void=lambda number: void is not None and number >= void,
        )

    def time(self) -> int:
        return self.now

    def terms(self) -> Any:
        return SimpleNamespace(
            end=self.end,
            coordinator=COORDINATOR,
            window=WINDOW,
            arithmetic=PLAN.arithmetic.digest(),
            leaves_per_chunk=READER.leaves(0),
            last_chunk_leaves=READER.leaves(1),
        )


class Told(Shown):
    """What the coordinator shows of commits; its receipt, when there is one."""

    promise: Promise | None = None
    said: Commit | None = None
    away: bool = False

    async def commit(self, number: int) -> Commit:
        if self.said is None:
            raise NotYet("not committed")
        return self.said

    async def receipt(self, number: int) -> Promise:
        if self.away:
            raise PeerUnreachable("connection refused")
        if self.promise is None:
            raise NotYet("not frozen")
        return self.promise


class Coordinator(Showing):
    """Shows this site a payout as well: of one part of four, unless a test says otherwise."""

    paid: Commit | None = None
    score: str | None = "1"

    async def payout(self) -> Payout:
        if self.paid is None:
            raise NotYet("nothing yet")
        if self.score is None:
            return Payout(b"", DOMAIN.contract, 1, canonical.encode(self.paid))
        word, number = "ab" * 32, self.paid.round
        amounts = ("25", word, self.score, "25", word)
        one = Entitlement(DOMAIN, number, "0x" + "bb" * 20, *amounts, ())
        body = canonical.encode(self.paid)
        return Payout(canonical.encode(one), DOMAIN.contract, 1, body)


@dataclass
class Site:
    rounds: OwnRounds
    chain: Chain
    told: Told
    coordinator: Coordinator
    folder: Path
    versions: Any = field(default_factory=lambda: SimpleNamespace(under=_under))

    async def look(self) -> Dossier:
        await self.rounds.look(self.coordinator, self.versions)
        found = self.rounds.dossiers.of(1)
        assert found is not None
        return found

    def outbox(self) -> Outbox:
        return Outbox(self.folder / "outbox", 1)


async def _under(number: int, named: str) -> Any:
    return made.roster()


def promise(**other: Any) -> Promise:
    slot = other.pop("slot", COHORT.slots[SLOT])
    domain = other.pop("domain", DOMAIN)
    signature = (other.pop("key", KEY)).sign_msg_hash(receipt_digest(domain, 1, slot)).to_bytes()
    return Promise(domain, slot, signature[:64] + bytes([27 + signature[64]]))


def config(folder: Path) -> Any:
    access = SettlementAccess(
        rpc="http://127.0.0.1:1",
        chain_id=DOMAIN.chain_id,
        contract=DOMAIN.contract,
        payee="0x" + "bb" * 20,
        programme=DOMAIN.programme,
        keystore=folder / "key",
        passphrase=folder / "word",
    )
    return SimpleNamespace(settlement=access, state=folder, participant=SITE)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site that has sent its contribution to round 1, whose commit is not on the chain yet."""
    outbox = Outbox(tmp_path / "outbox", 1)
    chunks = outbox.start()
    for at, payload in enumerate(ROUND.payloads(SITE)):
        (chunks / f"{at:08d}").write_bytes(payload)
    outbox.finish(ROUND.headers[SLOT], ())
    coordinator, told, chain = Coordinator(), Told(Trees(), slot=SLOT), Chain()
    coordinator.shows(ROUND)
    coordinator.paid = commit()
    monkeypatch.setattr(Payouts, "check", lambda *_: None)  # of which tests are its own
    settings = config(tmp_path)
    rounds = OwnRounds(settings, Payouts(settings), clock=lambda: chain.now)
    rounds._programme = chain  # type: ignore[assignment]
    monkeypatch.setattr(own_rounds, "Commits", lambda _: told)
    return Site(rounds, chain, told, coordinator, tmp_path)


async def test_before_the_freeze_a_round_is_only_remembered(site: Site) -> None:
    """Whoever dies right after it has sent still knows what; its upload stays."""
    at_once = site.rounds.holds()

    kept = await site.look()

    assert at_once == {1}
    assert (kept.standing, kept.receipt, kept.slot()) == (Standing.OPEN, None, COHORT.slots[SLOT])
    assert site.rounds.holds() == {1}


async def test_a_receipt_is_kept_as_soon_as_there_is_one(site: Site) -> None:
    site.told.promise = promise()

    kept = await site.look()

    assert kept.receipt is not None
    assert kept.receipt.slot() == COHORT.slots[SLOT]


@pytest.mark.parametrize(
    "other",
    [
        {"slot": Slot(SLOT, b"x" * 32)},
        {"slot": Slot(SLOT + 1, COHORT.slots[SLOT].contribution)},
        {"domain": Domain(8, DOMAIN.contract, DOMAIN.programme)},
        {"domain": Domain(7, "0x" + "11" * 20, DOMAIN.programme)},
        {"key": type(KEY)(b"d" * 32)},
    ],
    ids=["contribution", "slot", "chain", "contract", "signer"],
)
async def test_a_receipt_that_would_prove_nothing_is_not_taken_for_one(
    site: Site, other: dict[str, Any]
) -> None:
    """It is found out now, and not when it is needed."""
    site.told.promise = promise(**other)

    with capture_logs() as logs:
        kept = await site.look()

    assert kept.receipt is None
    assert any(line["log_level"] == "warning" for line in logs)


async def test_a_sound_commit_is_said_to_be_and_the_upload_stays_until_it_matures(
    site: Site,
) -> None:
    """A dispute about what somebody demands later needs it; then it goes."""
    site.chain.commit = site.told.said = commit()

    with capture_logs() as logs:
        kept = await site.look()

    assert (kept.standing, kept.commit, kept.matures_at) == (Standing.SOUND, commit(), 1000)
    assert [line["event"] for line in logs] == ["commit_checked"]
    assert site.rounds.holds() == {1}
    site.chain.now = 1000
    assert site.rounds.holds() == frozenset()
    site.rounds.sweep()
    assert site.outbox().header() is None


async def test_a_false_commit_is_proved_in_a_file_and_the_end_says_so(site: Site) -> None:
    """The operator challenges with it; the agent does not claim as if nothing was."""
    trees = Trees({(1, 7, 0, SLOT): off_by_one})
    site.told.trees = trees
    site.chain.commit = site.told.said = commit(trees)

    with capture_logs() as logs:
        kept = await site.look()

    assert kept.standing is Standing.FALSE
    proof = accusation.decode((site.folder / "proof-1.json").read_bytes())
    assert (proof.commit, proof.kind) == (commit(trees), "bad_leaf")
    (line,) = [each for each in logs if each["event"] == "false_commit"]
    assert line["proof"] == str(site.folder / "proof-1.json")
    with pytest.raises(FalseCommit, match="round 1: chunk 1, leaf 7"):
        await site.rounds.finish(site.coordinator, site.versions)  # type: ignore[arg-type]


async def test_once_it_is_void_the_round_before_can_be_claimed(site: Site) -> None:
    """Somebody has challenged: nothing is left to hold back."""
    trees = Trees({(1, 7, 0, SLOT): off_by_one})
    site.told.trees = trees
    site.chain.commit = site.told.said = commit(trees)
    await site.look()
    site.chain.void_from = 1

    await site.rounds.finish(site.coordinator, site.versions)  # type: ignore[arg-type]


async def test_silence_is_an_accident_for_a_quarter_of_the_window_and_not_for_longer(
    site: Site,
) -> None:
    """Then it is demanded on the chain; and what comes after all is looked at."""
    site.told.withheld = ("own_paths",)
    site.chain.commit = site.told.said = commit()
    at_first = await site.look()
    site.chain.now = 251

    later = await site.look()
    site.told.withheld = ()
    at_last = await site.look()

    assert at_first.standing is Standing.OPEN
    assert later.standing is Standing.WITHHELD
    assert at_last.standing is Standing.SOUND


async def test_paths_that_lead_elsewhere_name_the_command_at_once(site: Site) -> None:
    trees = Trees({(1, 7, 0, SLOT): off_by_one})
    site.chain.commit = site.told.said = commit(trees)

    with capture_logs() as logs:
        kept = await site.look()
        await site.look()

    assert kept.standing is Standing.WITHHELD
    assert "veilsum settle demand --round 1 --tree sum_trees --chunk 0" in kept.reason
    assert [line["event"] for line in logs] == ["commit_withheld"], "once is enough"


async def test_a_commit_that_the_coordinator_hides_is_taken_from_the_chain(site: Site) -> None:
    """It is there for all to see."""
    site.chain.commit = commit()

    kept = await site.look()

    assert kept.standing is Standing.SOUND


async def test_what_has_matured_unseen_is_said_to_have(site: Site) -> None:
    """The site was away: it can be disputed no more."""
    site.told.withheld = ("own_paths",)
    site.chain.commit = site.told.said = commit()
    site.chain.now = 1000

    kept = await site.look()

    assert kept.standing is Standing.LATE
    assert site.rounds.holds() == frozenset()


async def test_a_round_that_a_later_one_has_overtaken_is_never_committed(site: Site) -> None:
    """It was aborted: rounds on the chain only rise, and the upload may go."""
    site.chain.head = 2

    kept = await site.look()

    assert kept.standing is Standing.NONE
    assert site.rounds.holds() == frozenset()


@pytest.mark.parametrize("over", [{"void_from": 1}, {"now": 10_000}], ids=["halted", "ended"])
async def test_what_a_programme_that_is_over_has_not_committed_is_kept_no_longer(
    site: Site, over: dict[str, int]
) -> None:
    """No later round overtakes it, and the coordinator may be gone for good."""
    await site.look()
    for name, value in over.items():
        setattr(site.chain, name, value)
    site.told.away = True

    kept = await site.look()

    assert kept.standing is Standing.NONE
    site.rounds.sweep()
    assert site.outbox().header() is None


async def test_a_commit_in_the_programmes_last_block_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there when it was asked for, and is there when the programme is over."""
    ended = Chain.time

    def at_last(chain: Chain) -> int:
        chain.commit = site.told.said = commit()
        return ended(chain)

    site.chain.now = site.chain.end = 500
    monkeypatch.setattr(Chain, "time", at_last)

    before, after = await site.look(), await site.look()

    assert (before.standing, after.standing) == (Standing.OPEN, Standing.SOUND)


async def test_a_damaged_dossier_keeps_its_upload_and_holds_up_no_other(site: Site) -> None:
    """Whoever runs the site is told which file; the agent works on."""
    await site.look()
    dossiers = site.rounds.dossiers.folder
    (dossiers / "000002.json").write_bytes((dossiers / "000001.json").read_bytes()[:-9])
    site.chain.commit = site.told.said = commit()

    with capture_logs() as logs:
        kept = await site.look()
        held = site.rounds.holds()

    assert kept.standing is Standing.SOUND
    assert held == {1, 2}
    (line,) = [each for each in logs if each["event"] == "dossier_damaged"]
    assert (line["round"], line["who_acts"]) == (2, "this site's operator")
    assert "000002.json" in line["reason"]


async def test_whatever_an_endpoint_answers_the_agent_goes_on_looking(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is no answer once ended the whole agent, and its rounds with it."""
    looks = iter([TypeError("int() argument must be a string, not 'NoneType'")])

    def malformed(chain: Chain, number: int) -> None:
        raise next(looks, None) or asyncio.CancelledError

    monkeypatch.setattr(Chain, "round", malformed)
    monkeypatch.setattr(site.rounds, "_seconds", 0)

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await site.rounds.watch(site.coordinator, site.versions)  # type: ignore[arg-type]

    assert [each["event"] for each in logs] == ["unexpected_error"]


async def test_that_all_is_settled_erases_nothing_that_can_still_be_committed(site: Site) -> None:
    """It is the coordinator's word: it may commit a false round as soon as the upload is gone."""
    await site.look()

    with capture_logs() as logs:
        await site.rounds.finish(site.coordinator, site.versions)  # type: ignore[arg-type]

    assert site.rounds.holds() == {1}
    assert [line["event"] for line in logs] == ["settled_unseen"]
    site.chain.commit = site.told.said = commit()
    assert (await site.look()).standing is Standing.SOUND


async def test_a_commit_that_was_not_seen_to_be_sound_is_said_to_be_at_the_end(site: Site) -> None:
    """The site is paid all the same; its operator knows what nobody has looked at."""
    site.told.withheld = ("own_paths",)
    site.chain.commit = site.told.said = commit()
    site.chain.now = 251

    with capture_logs() as logs:
        await site.rounds.finish(site.coordinator, site.versions)  # type: ignore[arg-type]

    assert [line["event"] for line in logs] == ["commit_withheld", "settled_unseen"]


async def test_without_a_payout_under_it_no_commit_is_sound(site: Site) -> None:
    """Who shows none in the window pays what it likes; that is found out while it can be judged."""
    site.chain.commit = site.told.said = commit()
    site.coordinator.paid = None
    at_first = await site.look()
    site.chain.now = 251

    later = await site.look()
    site.coordinator.paid = commit()
    at_last = await site.look()

    assert at_first.standing is Standing.OPEN
    assert later.standing is Standing.WITHHELD
    assert at_last.standing is Standing.SOUND


def scored(site: Site, monkeypatch: pytest.MonkeyPatch, **alignments: int) -> None:
    """Let openers have signed these alignments."""
    plan, names = PLAN, [each.participant for each in ROUND.cohort.entries]
    scores = tuple(Score(name, "", str(alignments.get(name, 10))) for name in names)
    record = Scores("tests", 1, plan.digest(), digest_of(ROUND.cohort), 0, scores)
    signed = made.signed_by(record, *plan.terms.openers)

    async def shown(calls: SeatCalls, number: int) -> Signed:
        return signed

    monkeypatch.setattr(SeatCalls, "scores", shown)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)


@pytest.mark.parametrize(
    ("mine", "score", "total", "standing"),
    [
        (7, "7", 37, Standing.SOUND),
        (7, "6", 37, Standing.UNPROVED),
        (7, "7", 38, Standing.UNPROVED),
        (-7, None, 30, Standing.SOUND),
        (7, None, 30, Standing.UNPROVED),
    ],
    ids=["right", "own-altered", "others-altered", "honest-zero", "nothing-for-something"],
)
async def test_who_is_paid_by_other_scores_than_were_signed_is_told(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    mine: int,
    score: str | None,
    total: int,
    standing: Standing,
) -> None:
    """No contract knows what was signed: the judges must be asked, while the round is open."""
    scored(site, monkeypatch, **{SITE: mine})
    site.coordinator.score = score
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores=str(total))

    kept = await site.look()

    assert kept.standing is standing


async def test_under_participation_nobody_of_the_cohort_earns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part is paid to somebody else; there are no scores by which that could be right."""

    async def none(calls: SeatCalls, number: int) -> Signed:
        raise NotYet("no scores")

    monkeypatch.setattr(SeatCalls, "scores", none)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)
    site.coordinator.score = None
    site.chain.commit = site.told.said = commit()
    site.chain.now = 251

    kept = await site.look()

    assert kept.standing is Standing.WITHHELD


async def test_without_a_chain_nothing_is_kept_or_asked(tmp_path: Path) -> None:
    settings = SimpleNamespace(settlement=None, state=tmp_path, participant=SITE)
    rounds = OwnRounds(settings, Payouts(settings))  # type: ignore[arg-type]

    await asyncio.wait_for(rounds.watch(None, None), 1)  # type: ignore[arg-type]

    assert rounds.holds() == frozenset()
    assert list(tmp_path.iterdir()) == []


async def test_a_coordinator_that_is_away_is_asked_again(site: Site) -> None:
    site.coordinator.fails["plan"] = PeerUnreachable("connection refused")

    with capture_logs():
        await site.rounds.look(site.coordinator, site.versions)  # type: ignore[arg-type]

    assert site.rounds.holds() == {1}, "what was sent stays as long as nobody knows"


async def test_dossiers_hold_no_words_of_the_contribution(site: Site) -> None:
    """Hashes and names of rounds: an upload is erased, a dossier stays."""
    site.chain.commit = site.told.said = commit()

    await site.look()

    stored = json.loads((site.folder / "dossiers" / "000001.json").read_bytes())
    assert len(json.dumps(stored)) < 5_000
