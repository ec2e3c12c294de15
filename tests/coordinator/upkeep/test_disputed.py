"""A coordinator that is restored answers for what it has committed, and commits what it has not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from coordinator import config
from coordinator import object_names as names
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.rounds.state import Phase
from coordinator.settling.settlement import End
from coordinator.settling.unknown import OnChain, Unknown
from coordinator.upkeep.backup import back_up, restore
from coordinator.upkeep.kept import Kind
from privacy import canonical
from privacy.errors import ChainUnavailable, VeilsumError
from privacy.identifiers import COORDINATOR
from privacy.settlement.sum_proof import Node, Tree
from privacy.settlement.sum_verdict import Context, opens
from tests.coordinator.settling.settled_round import DOMAIN, SettledRound, roster
from tests.coordinator.settling.test_settlement import FakeChain
from tests.fakes import SITES, Federation, make_settings, signing_key
from veilsum.files import write_new

LEAVES = 32
NOON = 1_800_000_000.0
NODES = (
    Node(Tree.COHORT, index=2),
    Node(Tree.SUM_TREES, 1, 31, 1, 0),
    Node(Tree.PUBLISHED_SUM, 1, 31),
    Node(Tree.CONTRIBUTION, 0, 5, 0, 3),
)


def settings_of(folder: Path, *, settles: bool = True):
    """Settings of a programme that is settled, whose files are there."""
    body = signing_key(COORDINATOR).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    folder.mkdir(exist_ok=True)
    write_new(folder / "signing.key", body)
    (folder / "roster.json").write_bytes(canonical.encode(roster()))
    settlement = config.SettlementSettings(
        rpc="http://127.0.0.1:1",
        chain_id=DOMAIN.chain_id,
        keystore=folder / "keystore.json",
        passphrase=folder / "passphrase",
        contract=DOMAIN.contract,
        programme=DOMAIN.programme,
        escrow="1000",
    )
    settings = make_settings(folder)
    return msgspec.structs.replace(settings, settlement=settlement) if settles else settings


def started(settings, chain) -> SettledRound:
    """A coordinator on what is stored in the folder of these settings."""
    federation = Federation(
        settings=settings,
        roster=roster(),
        store=open_store(settings.database),
        objects=open_objects(settings.state / "objects"),
    )
    return SettledRound(federation=federation, chain=chain)


@dataclass
class Lived:
    """A coordinator with one round that is done, and where it comes back to."""

    folder: Path
    chain: FakeChain = field(default_factory=FakeChain)

    def __post_init__(self) -> None:
        self.made = started(settings_of(self.folder / "old"), self.chain)
        self.made.freeze()

    def restored(self) -> SettledRound:
        back_up(self.made.federation.settings, self.folder / "backup", lambda: NOON)
        empty = settings_of(self.folder / "new")
        restore(empty, self.folder / "backup")
        return started(empty, self.chain)


@pytest.fixture
def lived(tmp_path):
    return Lived(tmp_path)


def context(done):
    digest = done.added().plan.arithmetic.digest()
    return Context(
        DOMAIN, "0x" + "aa" * 20, digest, LEAVES, LEAVES, bytes(32), done.commit(), lambda *_: None
    )


def test_a_restored_coordinator_answers_every_demand(lived):
    """One that cannot loses its bond, whoever asks, though it added honestly."""
    lived.made.finish()

    again = lived.restored()

    for node in NODES:
        assert opens(context(again), node, again.openings.of(again.commit(), node)), node


def test_a_restored_coordinator_commits_what_was_done_and_not_committed(lived):
    """The commit names the sum trees, which are made from contributions."""
    lived.chain.down = True
    with pytest.raises(ChainUnavailable):
        lived.made.finish()
    again = lived.restored()
    lived.chain.down = False

    again.settlement.run(again.federation.service.rounds.all())

    assert [again.commit().digest()] == lived.chain.commits


def test_what_opens_a_contribution_is_not_in_the_backup_of_a_round_that_is_over(lived):
    """Demands are answered with ciphertexts; a mask or the key would open single updates."""
    lived.made.finish()

    objects = lived.restored().federation.objects.names()

    contributions = [name for name in objects if "/contributions/" in name]
    assert len(contributions) == 2 * len(SITES)
    assert not [name for name in objects if "/masks" in name or "/keys" in name]


def test_what_can_be_disputed_no_more_is_in_no_backup(lived):
    """A file that nobody erases holds no more than is needed."""
    lived.made.finish()
    lived.made.settlement.close(1, End.MATURED)

    objects = lived.restored().federation.objects.names()

    assert not [name for name in objects if "/contributions/" in name or "/sum/" in name]


def test_a_backup_says_that_contributions_of_a_disputable_round_are_in_it(lived):
    lived.made.finish()

    found = back_up(lived.made.federation.settings, lived.folder / "other", lambda: NOON)

    assert found.live == (1,)


def test_a_round_under_way_is_given_up_where_receipts_may_have_been_given_for_it(lived):
    """Frozen anew with another cohort, it would let an honest receipt slash the coordinator."""
    lived.made.finish()
    plan = lived.made.federation.open_round(2)
    lived.made.federation.contribute(SITES[0], 2)

    again = lived.restored().federation

    assert again.round(2).phase is Phase.ABORTED
    assert again.round(2).plan == plan.digest()
    assert not again.objects.names("rounds/000002")
    assert again.open_round(3).terms.round == 3


def test_without_settlement_a_round_under_way_goes_on(lived):
    """Nobody has promised anything on a chain, and what was sent is there."""
    federation = lived.made.federation
    lived.made.finish()
    federation.open_round(2)
    back_up(federation.settings, lived.folder / "backup", lambda: NOON)
    empty = settings_of(lived.folder / "new", settles=False)

    found = restore(empty, lived.folder / "backup")

    assert found.relearnt.forgotten == ()
    assert started(empty, lived.chain).federation.round(2).phase is Phase.OPEN


def flip(name, folder):
    """Change one bit of an object on the disk."""
    path = folder / "objects" / name
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.chmod(0o600)
    path.write_bytes(bytes(body))


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_sum_that_a_disk_has_changed_after_the_release_is_added_up_again(lived, is_gone):
    """Or no demand for it is answered, and an honest coordinator loses its bond."""
    lived.made.finish()
    service, objects = lived.made.federation.service, lived.made.federation.objects
    name, node = names.sum_chunk(1, 1), Node(Tree.PUBLISHED_SUM, 1, 31)
    whole = objects.get(name)
    objects.delete_prefix(name) if is_gone else flip(name, lived.made.federation.settings.state)
    assert not is_answered(lived.made, node)

    with capture_logs() as said:
        report = service.scrub.look()

    assert (report.damaged, report.mended) == ((), 1)
    assert [each["event"] for each in said] == ["sum_added_again"]
    assert objects.get(name) == whole
    assert is_answered(lived.made, node)


def test_a_sum_whose_contributions_are_damaged_too_is_not_made_up(lived):
    """What to do first is said: with the contribution back, the next look adds the sum again."""
    lived.made.finish()
    service, objects = lived.made.federation.service, lived.made.federation.objects
    folder, name = lived.made.federation.settings.state, names.sum_chunk(1, 1)
    contribution = names.contribution_chunk(1, SITES[1], 0, 1)
    whole, sent = objects.get(name), objects.get(contribution)
    for each in (name, contribution):
        flip(each, folder)

    with capture_logs() as said:
        found = service.scrub.look().damaged
    (folder / "objects" / contribution).write_bytes(sent)
    after = service.scrub.look()

    assert [each.kind for each in found] == [Kind.CHUNK, Kind.SUM]
    actions = {each["kind"]: each["action"] for each in said if each["event"] == "object_damaged"}
    assert "put back the contributions that are damaged" in actions[Kind.SUM]
    assert (after.damaged, objects.get(name)) == ((), whole)


def test_of_a_round_that_can_be_disputed_no_more_no_sum_is_made(lived):
    """It has gone on purpose."""
    lived.made.finish()
    lived.made.settlement.close(1, End.MATURED)
    lived.made.federation.tick()

    report = lived.made.federation.service.scrub.look()

    assert (report.mended, report.damaged) == (0, ())
    assert not lived.made.federation.objects.exists(names.sum_chunk(1, 1))


@dataclass
class Newest:
    """What the contract keeps, as the door to it tells."""

    chain: FakeChain

    def newest(self, _):
        digest = self.chain.commits[-1]
        yield OnChain(1, digest, int(NOON) + 3600)


@pytest.mark.parametrize("when", ["before its commit", "after it"])
def test_a_coordinator_from_a_backup_that_is_too_old_says_which_commit_it_lacks(lived, when):
    """It answers no demand for it: whoever looks after it must know before anybody demands."""
    before, folder = lived.made.federation.settings, lived.folder / "backup"
    if when == "before its commit":
        back_up(before, folder, lambda: NOON)
    lived.made.finish()
    if when == "after it":
        back_up(before, folder, lambda: NOON)
    empty = settings_of(lived.folder / "new")
    restore(empty, folder)
    again = started(empty, lived.chain).settlement

    unknown = Unknown(DOMAIN.programme, again, lambda: Newest(lived.chain), lambda: NOON)
    with capture_logs() as said:
        unknown.look()

    is_old = when == "before its commit"
    assert [each["event"] for each in said] == ["commit_unknown"] * is_old
    assert unknown.rounds == ((1,) if is_old else ())


def is_answered(done, node):
    """Whether the opening that answers a demand is one, and leads to the commit."""
    try:
        return opens(context(done), node, done.openings.of(done.commit(), node))
    except VeilsumError:
        return False


def test_damage_to_what_demands_are_answered_from_is_found(lived):
    """In time to put it back, and not when the first demand comes."""
    lived.made.finish()
    service, objects = lived.made.federation.service, lived.made.federation.objects
    name = objects.names(f"rounds/000001/contributions/{SITES[1]}")[0]
    assert not service.scrub.look().damaged
    objects.delete_prefix(name)

    [damaged] = service.scrub.look().damaged

    assert (damaged.name, damaged.kind, damaged.whose) == (name, Kind.CHUNK, SITES[1])
