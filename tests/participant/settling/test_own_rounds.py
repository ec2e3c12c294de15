"""A site looks at each of its rounds in its window, keeps what it needs, and says what is wrong."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from participant.config import SettlementAccess
from participant.kept import FOLDER as KEPT
from participant.kept import Kept
from participant.sending.outbox import Outbox
from participant.settling import own_rounds
from participant.settling.dossier import Dossier, Standing
from participant.settling.own_round import OwnRound
from participant.settling.own_rounds import OwnRounds
from participant.settling.payout import Payouts
from participant.view import Payout
from participant.wire.commits import Promise
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.documents import Signed
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    FalseCommit,
    FalsePayout,
    MalformedMessage,
    NotYet,
    PeerUnreachable,
    UnsafeParameters,
    VeilsumError,
)
from privacy.merkle import inclusion_path, tree_root
from privacy.settlement import accusation
from privacy.settlement.commitment import Commit, Slot, receipt_digest
from privacy.settlement.payouts import Domain, Entitlement
from privacy.settlement.sum_proof import Node, Opening, Tree
from privacy.signing import Purpose
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
    released,
    scored,
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
    unsigned: bool = False

    async def commit(self, number: int) -> Commit:
        if self.said is None:
            raise NotYet("not committed")
        return self.said

    async def receipt(self, number: int) -> Promise:
        if self.away:
            raise PeerUnreachable("connection refused")
        if self.unsigned:
            raise ChainUnavailable("this coordinator's key cannot sign a receipt now")
        if self.promise is None:
            raise NotYet("not frozen")
        return self.promise


class Coordinator(Showing):
    """Shows this site a payout as well: of one part of four, unless a test says otherwise."""

    paid: Commit | None = None
    score: str | None = "1"
    payouts_asked: list[int]

    async def payout(self, number: int = 0) -> Payout:
        self.payouts_asked.append(number)
        if self.paid is None:
            raise NotYet("nothing yet")
        if self.score is None:
            return Payout(b"", DOMAIN.contract, 1, canonical.encode(self.paid))
        word, number = "ab" * 32, self.paid.round
        amounts = ("25", word, self.score, "25", word)
        one = Entitlement(DOMAIN, number, made.payout_address(SITE), *amounts, ())
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


def config(folder: Path, method: Method | None = Method.PARTICIPATION) -> Any:
    access = SettlementAccess(
        rpc="http://127.0.0.1:1",
        chain_id=DOMAIN.chain_id,
        contract=DOMAIN.contract,
        payee=made.payout_address(SITE),
        programme=DOMAIN.programme,
        method=method,
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
    coordinator.payouts_asked = []
    coordinator.shows(ROUND)
    coordinator.releases[1] = released()
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


async def test_a_receipt_that_cannot_be_signed_yet_is_asked_for_again(site: Site) -> None:
    """Its operator sees that there is none; the commit is looked at all the same."""
    site.told.unsigned, site.told.promise = True, promise()
    with capture_logs() as logs:
        for _ in range(3):
            unsigned = await site.look()
    site.told.unsigned = False

    signed = await site.look()

    later = [line["reason"] for line in logs if line["event"] == "receipt_later"]
    assert later == ["this coordinator's key cannot sign a receipt now"]
    assert (unsigned.receipt, signed.receipt is None) == (None, False)


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


async def test_a_false_receipt_blinds_nobody_and_a_right_one_is_kept_later(site: Site) -> None:
    """It once ended each look at the round: its commit was never compared with anything."""
    trees = Trees({(1, 7, 0, SLOT): off_by_one})
    site.told.trees, site.told.promise = trees, promise(key=type(KEY)(b"d" * 32))
    with capture_logs() as logs:
        await site.look()
    site.chain.commit = site.told.said = commit(trees)

    found = await site.look()

    assert [line["event"] for line in logs] == ["no_receipt"]
    assert found.standing is Standing.FALSE


@pytest.mark.parametrize("error", [MalformedMessage("no roots"), UnsafeParameters("no number")])
async def test_whatever_is_shown_for_a_receipt_the_commit_is_looked_at(
    site: Site, error: VeilsumError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next look asks again."""
    right = site.told.receipt

    async def malformed(number: int) -> Promise:
        raise error

    monkeypatch.setattr(site.told, "receipt", malformed)
    site.chain.commit = site.told.said = commit()
    site.coordinator.paid = None
    first = await site.look()
    monkeypatch.setattr(site.told, "receipt", right)
    site.told.promise, site.coordinator.paid = promise(), commit()

    last = await site.look()

    assert (first.commit, first.receipt) == (commit(), None)
    assert (last.standing, last.receipt is None) == (Standing.SOUND, False)


async def test_a_false_receipt_leads_to_no_other_programme(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it names is believed once its signature holds."""
    at_first = site.rounds.config
    at_first.settlement = replace(at_first.settlement, programme=None)  # type: ignore[misc, type-var]
    other = Chain(word=bytes(32))
    monkeypatch.setattr(OwnRounds, "_programme_of", lambda rounds, named: other)
    site.told.promise = promise(
        domain=Domain(7, DOMAIN.contract, "00" * 32), key=type(KEY)(b"d" * 32)
    )
    site.chain.commit = site.told.said = commit()
    await site.look()

    kept = await site.look()

    assert site.rounds._programme is site.chain  # type: ignore[comparison-overlap]
    assert kept.standing is Standing.SOUND


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


async def test_each_thing_to_demand_is_said_and_what_repeats_is_not(site: Site) -> None:
    """A search by halves goes on from each answer: its operator must know which slot is next."""
    for reason in ("demand 4", "demand 4", "demand 2", "demand 4"):
        with capture_logs() as logs:
            site.rounds._say(1, "commit_withheld", reason=reason)
        said = [line["reason"] for line in logs]
        assert said in ([], [reason])
    with capture_logs() as logs:
        for at in range(1000):
            site.rounds._say(2, "commit_withheld", reason=f"demand {at % 3}")
            site.rounds._say(3, "commit_withheld", reason=f"refused at {at}")

    assert [line["reason"] for line in logs if line["round"] == 2] == [
        "demand 0", "demand 1", "demand 2",
    ]  # fmt: skip
    assert len([line for line in logs if line["round"] == 3]) == own_rounds._MOST_SAID


async def test_of_another_cohort_each_slot_that_is_to_be_demanded_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads the log alone would have demanded the first one, and waited."""
    slots = [Slot(at, bytes([at]) * 32) for at in range(10) if at != SLOT]
    nodes, answered = [each.node() for each in slots], dict[Node, Opening]()
    monkeypatch.setattr(own_rounds, "_answers", lambda *_: answered)
    site.told.promise = promise()
    site.chain.commit = site.told.said = commit(cohort=tree_root(nodes).hex(), slots=9)
    with capture_logs() as logs:
        while (kept := await site.look()).standing is Standing.WITHHELD:
            at = int(kept.reason.split("--index ")[1])
            digests = (slots[at].contribution, *inclusion_path(nodes, at))
            answered[Node(Tree.COHORT, index=at)] = Opening(digests, b"", slots[at].slot_id)

    said = [line["reason"] for line in logs if line["event"] == "commit_withheld"]
    assert len(said) == len(answered) > 1
    assert kept.standing is Standing.FALSE


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


def pays_by(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: Method | None, shown: Signed | None
) -> None:
    """Let the site have agreed to a method, and signed scores be shown, or none."""

    async def scores(calls: SeatCalls, number: int) -> Signed:
        if shown is None:
            raise NotYet("round 1 has no scores: too few have signed the same")
        return shown

    monkeypatch.setattr(SeatCalls, "scores", scores)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)
    site.rounds.config = config(site.folder, method)


@pytest.mark.parametrize(
    ("mine", "score", "total", "said"),
    [
        (7, "7", 37, ""),
        (7, "6", 37, "a score of 6 of 37 in all, where alignment/1 makes a score of 7 of 37 in"),
        (7, "7", 38, "a score of 7 of 38 in all, where alignment/1 makes a score of 7 of 37 in"),
        (-7, None, 30, ""),
        (7, None, 30, "a score of 0 of 30 in all, where alignment/1 makes a score of 7 of 37 in"),
        (7, None, 37, "a score of 0 of 37 in all, where alignment/1 makes a score of 7 of 37 in"),
    ],
    ids=["right", "own-altered", "others-altered", "honest-zero", "nothing-for-some", "hidden"],
)
async def test_who_is_paid_by_other_scores_than_were_signed_is_told(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    mine: int,
    score: str | None,
    total: int,
    said: str,
) -> None:
    """No contract knows what was signed: the judges must be asked, while the round is open."""
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: mine}))
    site.coordinator.score = score
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores=str(total))

    kept = await site.look()

    assert kept.standing is (Standing.UNPROVED if said else Standing.SOUND)
    assert said in kept.reason


@pytest.mark.parametrize(
    ("agreed", "score", "total"),
    [(Method.ALIGNMENT, "1", "4"), (Method.PARTICIPATION, "7", "37"), (None, "1", "4")],
    ids=["participation-for-alignment", "alignment-for-participation", "nothing-was-agreed"],
)
async def test_another_method_than_was_agreed_is_no_excuse(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    agreed: Method | None,
    score: str,
    total: str,
) -> None:
    """It pays somebody more than was agreed; each of these commits fits one method in whole."""
    pays_by(site, monkeypatch, agreed, scored(**{SITE: 7}))
    site.coordinator.score = score
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores=total)

    with capture_logs():
        kept = await site.look()

    assert kept.standing is not Standing.SOUND
    if agreed is not None:
        assert (kept.standing, agreed in kept.reason) == (Standing.UNPROVED, True)


@pytest.mark.parametrize(
    ("shown", "later"),
    [(None, Standing.WITHHELD), (scored(void="seat-2 was away"), Standing.SOUND)],
    ids=["hidden", "void"],
)
async def test_a_round_that_pays_nobody_is_right_only_if_somebody_has_signed_so(
    site: Site, monkeypatch: pytest.MonkeyPatch, shown: Signed | None, later: Standing
) -> None:
    """Who hides the scores would keep a round's budget; nobody is accused of it, since there may
    be none.
    """
    pays_by(site, monkeypatch, Method.ALIGNMENT, shown)
    site.coordinator.score = None
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="0")
    site.chain.now = 251

    kept = await site.look()

    assert kept.standing is later
    assert ("pays nobody, and no signed scores are shown" in kept.reason) is (shown is None)


async def test_a_second_cohort_is_asked_for_by_nobody(site: Site) -> None:
    """A coordinator signs as many as it likes: one in which the friend is alone fitted what it
    paid.
    """
    friend = next(name for name in made.TRAINERS if name != SITE)
    body, _, _ = made.Round(PLAN, (friend,)).parts()
    honest, asked = site.coordinator.cohort, list[int]()

    async def cohort(number: int) -> Any:
        asked.append(number)
        return await honest(number) if len(asked) == 1 else (body, [])

    site.coordinator.cohort = cohort  # type: ignore[method-assign]
    site.coordinator.score = None
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="1")

    kept = await site.look()

    assert kept.standing is Standing.UNPROVED
    assert asked == [1]


async def test_scores_are_held_against_the_committed_cohort_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever came before says of the cohort that is shown."""

    async def sound(*_: Any) -> Any:
        return own_rounds.SOUND

    monkeypatch.setattr(OwnRound, "judge", sound)
    site.chain.commit = site.told.said = site.coordinator.paid = commit(cohort="ab" * 32)
    site.chain.now = 251

    kept = await site.look()

    assert kept.standing is Standing.WITHHELD
    assert "another cohort than was committed" in kept.reason


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("payout", "it could not be looked at to the end: a number"),
        ("release", "it could not be looked at to the end: release-1: damaged"),
    ],
)
async def test_what_cannot_be_judged_leaves_no_round_open_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch, shown: str, said: str
) -> None:
    """Who shows numbers out of range was asked again until its round had matured, unsaid."""

    def unsafe(*_: Any) -> None:
        raise (
            UnsafeParameters("a number") if shown == "payout" else ConfigError("release-1: damaged")
        )

    monkeypatch.setattr(*((Payouts, "check") if shown == "payout" else (Kept, "of")), unsafe)
    site.chain.commit = site.told.said = commit()
    at_first = await site.look()
    site.chain.now = 251

    later = await site.look()
    site.chain.now = 1000

    assert (at_first.standing, later.standing) == (Standing.OPEN, Standing.WITHHELD)
    assert later.reason == said
    assert site.rounds.holds() == frozenset(), "its upload goes when it has matured"


async def test_under_participation_nobody_of_the_cohort_earns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part is paid to somebody else; no scores need be shown to see that."""
    pays_by(site, monkeypatch, Method.PARTICIPATION, None)
    site.coordinator.score = None
    site.chain.commit = site.told.said = commit()

    kept = await site.look()

    assert kept.standing is Standing.UNPROVED
    assert "where participation/1 makes a score of 1 of 4 in all" in kept.reason


async def test_a_score_that_is_too_small_to_earn_anything_accuses_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 units in all 7 of 3,000,007 get none, and who has earned none is shown no leaf."""
    others = dict.fromkeys(set(made.TRAINERS) - {SITE}, 1_000_000)
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: 7}, **others))
    site.coordinator.score = None
    site.chain.commit = site.coordinator.paid = commit(scores="3000007")

    kept = await site.look()

    assert kept.standing is Standing.SOUND


@pytest.mark.parametrize(("score", "standing"), [("7", "sound"), ("6", "unproved")])
async def test_a_commit_that_came_soon_after_hides_no_score(
    site: Site, monkeypatch: pytest.MonkeyPatch, score: str, standing: str
) -> None:
    """Who waited for the next round paid a friend out of this site's part, under the right sum."""
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: 7}))
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="37")
    site.coordinator.score = score
    paid = site.coordinator.payout

    async def payout(number: int = 0) -> Payout:
        """The newest, which is round 2 by now, unless it is asked for a round."""
        if number == 0:
            site.coordinator.paid = commit(round=2)
        return await paid(number)

    monkeypatch.setattr(site.coordinator, "payout", payout)

    kept = await site.look()

    assert kept.standing is Standing(standing)
    assert site.coordinator.payouts_asked == [1]


async def test_a_payout_of_another_round_than_was_asked_for_is_none(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that will not show this site's score, or is too old to; that is said."""
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: 7}))
    site.chain.commit = site.told.said = commit(scores="37")
    site.coordinator.paid = commit(round=2)
    at_first = await site.look()
    site.chain.now = 251

    later = await site.look()

    assert (at_first.standing, later.standing) == (Standing.OPEN, Standing.WITHHELD)
    assert "no payout under this commit" in later.reason


async def test_a_site_with_another_address_now_accuses_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round was planned with the address of before: the leaf is of that one."""
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: 7}))
    now = site.rounds.config
    now.settlement = replace(now.settlement, payee="0x" + "99" * 20)  # type: ignore[misc, type-var]
    site.coordinator.score = None
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="37")

    kept = await site.look()

    assert kept.standing is Standing.SOUND
    assert site.coordinator.payouts_asked == []


async def test_scores_that_too_few_have_signed_are_none(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three openers must agree; with one it could have any."""
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored("amber", **{SITE: 7}))
    site.coordinator.score = "7"
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="37")
    site.chain.now = 251

    kept = await site.look()

    assert kept.standing is Standing.WITHHELD


async def test_sites_that_are_not_paid_have_no_part_of_the_scores(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site without a payout address is in the sum, and in no payout: that accuses nobody."""
    roster, unpaid = made.roster(), "delta"
    members = tuple(
        replace(each, payout_address="") if each.participant == unpaid else each
        for each in roster.members
    )
    pays_by(site, monkeypatch, Method.ALIGNMENT, scored(**{SITE: 7}))
    monkeypatch.setattr(
        own_rounds, "check_planned", lambda sent, roster, number: PLAN
    )  # the plan of this test names the other roster

    async def under(number: int, named: str) -> Any:
        return replace(roster, members=members)

    site.versions = SimpleNamespace(under=under)
    site.coordinator.score = "7"
    site.chain.commit = site.told.said = site.coordinator.paid = commit(scores="27")

    kept = await site.look()

    assert kept.standing is Standing.SOUND


# -- the model ------------------------------------------------------------------------


async def test_another_model_than_was_released_is_found(site: Site) -> None:
    """What is registered for others to use would be another than what openers made."""
    site.chain.commit = site.told.said = site.coordinator.paid = commit(model="ab" * 32)

    kept = await site.look()

    assert kept.standing is Standing.UNPROVED
    assert f"it names model {'ab' * 8}…, where openers have released {'dd' * 8}…" in kept.reason


async def test_a_release_that_this_site_keeps_counts_before_one_that_is_shown(site: Site) -> None:
    """Two openers who agree with the coordinator could sign another one afterwards."""
    Kept(site.folder / KEPT).keep(Purpose.RELEASE, 1, released())
    site.coordinator.releases[1] = released("ab" * 32)
    site.chain.commit = site.told.said = site.coordinator.paid = commit(model="ab" * 32)

    kept = await site.look()

    assert kept.standing is Standing.UNPROVED


async def test_without_a_release_no_commit_is_sound_and_none_is_accused(site: Site) -> None:
    """Only what was released is committed, so who commits has one to show."""
    del site.coordinator.releases[1]
    site.chain.commit = site.told.said = commit()
    at_first = await site.look()
    site.chain.now = 251

    later = await site.look()
    site.coordinator.releases[1] = released()
    at_last = await site.look()

    standings = [each.standing for each in (at_first, later, at_last)]
    assert standings == [Standing.OPEN, Standing.WITHHELD, Standing.SOUND]


async def test_a_payout_that_can_be_proved_false_is_said_before_another_model(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one costs the bond, the other is for the judges: who errs in both hides neither."""

    def false(*_: Any) -> None:
        raise FalsePayout("26 units for a score of 1")

    monkeypatch.setattr(Payouts, "check", false)
    site.chain.commit = site.told.said = site.coordinator.paid = commit(model="ab" * 32)

    kept = await site.look()

    assert kept.standing is Standing.FALSE


async def test_a_release_that_too_few_have_signed_is_none(site: Site) -> None:
    site.coordinator.releases[1] = released("ab" * 32, "birch")
    site.chain.commit = site.told.said = site.coordinator.paid = commit(model="ab" * 32)
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
