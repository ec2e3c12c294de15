"""A backup is one moment of a coordinator that goes on, and comes back whole or not at all."""

import os
import tarfile
from dataclasses import replace as but
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import create_engine, inspect, update

from coordinator.adapters.backup_file import open_backup, write_backup
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.checksums import with_checksum
from coordinator.adapters.sql.database import open_database, upgrade
from coordinator.adapters.sql.rows import read_rows
from coordinator.adapters.sql.schema import REVISIONS, documents
from coordinator.adapters.sql.store import open_store
from coordinator.build import build
from coordinator.rounds.round import decode_effect
from coordinator.rounds.state import Erase, Phase
from coordinator.upkeep import backup as backups
from coordinator.upkeep.backup import back_up, keep_also, restore
from privacy import canonical
from privacy.documents import Signed, only_by, unpack
from privacy.documents import pack as pack_signed
from privacy.errors import (
    CertificateRevoked,
    ConfigError,
    InvitationRefused,
    SchemaMismatch,
    StoreUnavailable,
)
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from privacy.plan import pack as pack_plan
from privacy.remembered import pack
from privacy.signing import Purpose, public_bytes, sign
from tests import fakes
from tests.coordinator.members.desk import Desk, Site
from tests.fakes import OPENERS, SITES, Federation, make_settings, signing_key
from veilsum.files import write_new

NOON = 1_800_000_000.0


def _now() -> float:
    return NOON


def settings_of(folder: Path, wanted: int = 3):
    """Settings whose files are there."""
    body = signing_key(COORDINATOR).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    folder.mkdir(exist_ok=True)
    write_new(folder / "signing.key", body)
    (folder / "roster.json").write_bytes(canonical.encode(fakes.make_roster()))
    return make_settings(folder, wanted=wanted)


def lived(folder: Path) -> Federation:
    """A coordinator with a released round, and one in which two of three sites have sent."""
    settings = settings_of(folder)
    made = Federation(
        settings=settings,
        store=open_store(settings.database),
        objects=open_objects(settings.state / "objects"),
    )
    round_of(made, 1)
    made.open_round(2)
    for name in SITES[:2]:
        made.contribute(name, 2)
    made.begin(SITES[2], 2)
    made.put_chunk(SITES[2], 2, 0)
    return made


def round_of(made: Federation, number: int) -> None:
    """Run a whole round."""
    made.open_round(number)
    end_round(made, number, SITES)


def end_round(made: Federation, number: int, sites) -> None:
    """Let the sites that are missing contribute, and the openers release a model."""
    for name in sites:
        made.contribute(name, number)
    made.tick(2)
    made.finish(number)
    made.tick(2)


def rows_of(url: str) -> list[object]:
    """All rows of a database, in the order of their keys."""
    engine = open_database(url)
    found = [(table, row) for table, rows in read_rows(engine) for row in rows]
    engine.dispose()
    return found


def remembers(made: Federation, *numbers: int, without: Purpose | None = None) -> bytes:
    """What a site that took part in these rounds remembers of them."""
    return pack(fakes.FEDERATION, SITES[0], _documents(made, numbers, without))


def _documents(made, numbers, without):
    for number in numbers:
        plan, signature = made.service.plan(number)
        found = [(Purpose.PLAN, Signed(pack_plan(plan), {COORDINATOR: signature}))]
        current = made.round(number)
        if current.phase is Phase.DONE:
            cohort = made.service.archive.document("cohort", current.cohort)
            found.append((Purpose.COHORT, only_by(cohort, COORDINATOR)))
            found.append((Purpose.RELEASE, made.service.models.release(number)))
        yield from ((kind, number, signed) for kind, signed in found if kind is not without)


def write(folder: Path, body: bytes, name: str = "rounds") -> Path:
    """A file with these bytes."""
    (folder / name).write_bytes(body)
    return folder / name


@pytest.fixture
def made(tmp_path):
    return lived(tmp_path / "old")


@pytest.fixture
def backup(made, tmp_path):
    back_up(made.settings, tmp_path / "backup", _now)
    return tmp_path / "backup"


@pytest.fixture
def empty(tmp_path):
    """Settings of the same coordinator in another place."""
    return settings_of(tmp_path / "new")


def test_what_comes_back_is_what_was_backed_up(made, backup, empty):
    """Every row of every table, and every object that a round needs."""
    found = restore(empty, backup)

    assert rows_of(empty.database) == rows_of(made.settings.database)
    # who has not committed sends its seals again
    unsure = "rounds/000002/contributions/hospital-c/masks"
    live = [n for n in made.objects.names("rounds/000002") if not n.startswith(unsure)]
    model = made.objects.names("rounds/000001/model")
    objects = open_objects(empty.state / "objects")
    assert objects.names() == sorted([*live, *model])
    assert all(objects.get(name) == made.objects.get(name) for name in objects.names())
    assert (found.rounds, found.objects, found.missing) == (2, len(live) + len(model), ())


def test_a_restored_coordinator_ends_the_round_that_was_under_way(backup, empty, tmp_path):
    """What two sites had sent is there; the third goes on where it was."""
    restore(empty, backup)
    again = Federation(
        settings=empty,
        store=open_store(empty.database),
        objects=open_objects(empty.state / "objects"),
    )

    end_round(again, 2, SITES[2:])

    assert again.round(2).phase is Phase.DONE
    assert len(again.round(2).committed) == len(SITES)


def test_a_backup_is_taken_while_the_coordinator_goes_on(made, tmp_path, monkeypatch):
    """An object that is erased between the rows and itself: another moment is taken."""
    looks = []
    before = backups._kept

    def meanwhile(*arguments):
        found = before(*arguments)
        if not looks:
            end_round(made, 2, SITES[2:])  # and its contributions are erased
        looks.append(len(found))
        return found

    monkeypatch.setattr(backups, "_kept", meanwhile)

    found = back_up(made.settings, tmp_path / "backup", _now)

    assert len(looks) == 2
    assert found.missing == ()


def test_what_was_gone_before_is_named_and_stops_nothing(made, tmp_path, empty):
    """A backup of a coordinator with a damaged disk is better than none."""
    name = made.objects.names("rounds/000002/contributions/hospital-a")[0]
    made.objects.delete_prefix(name)

    found = back_up(made.settings, tmp_path / "backup", _now)

    assert found.missing == (name,)
    assert restore(empty, tmp_path / "backup").missing == (name,)


def test_no_secret_of_the_operator_is_in_a_backup(made, backup):
    """Whoever finds it finds what the coordinator sees, and not what it signs with."""
    key = (made.settings.signing_key).read_bytes()
    raw = signing_key(COORDINATOR).private_bytes_raw()

    held = backup.read_bytes()

    assert key not in held
    assert raw not in held
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {made.settings.signing_key, made.settings.roster, made.settings.listen.key} <= {
        *keep_also(made.settings)
    }


def test_a_backup_says_whose_contributions_it_holds(made, tmp_path):
    """A coordinator erases them when the round is over; a copy is the operator's to erase."""
    during = back_up(made.settings, tmp_path / "during", _now)
    end_round(made, 2, SITES[2:])
    after = back_up(made.settings, tmp_path / "after", _now)

    assert (during.live, after.live) == ((2,), ())


def test_a_backup_is_never_written_over(made, backup):
    """The older one may be the one that is needed."""
    before = backup.read_bytes()

    with pytest.raises(ConfigError, match="never written over"):
        back_up(made.settings, backup, _now)

    assert backup.read_bytes() == before


def test_a_disk_that_is_full_leaves_no_half_of_a_backup(made, tmp_path, monkeypatch):
    """What has the name is whole."""
    monkeypatch.setattr(
        "coordinator.adapters.backup_file.Draft.add",
        lambda *_: (_ for _ in ()).throw(StoreUnavailable("no space")),
    )

    with pytest.raises(StoreUnavailable):
        back_up(made.settings, tmp_path / "backup", _now)

    assert not (tmp_path / "backup").exists()
    assert not list(tmp_path.glob(".backup*"))


def test_where_no_coordinator_has_been_there_is_nothing_to_back_up(tmp_path, empty):
    """A wrong file of settings must not look like an empty federation."""
    with pytest.raises(ConfigError, match="no coordinator has made"):
        back_up(empty, tmp_path / "backup", _now)


# -- what is refused ----------------------------------------------------------------------


def test_nothing_is_restored_over_rows(made, backup):
    """The database that is there may be the better one."""
    before = rows_of(made.settings.database)

    with pytest.raises(ConfigError, match=r"it has rows of .*; restore into an empty one"):
        restore(made.settings, backup)

    assert rows_of(made.settings.database) == before


def test_nothing_is_restored_beside_other_objects(backup, empty):
    """What lies there would be in the way of what a round stores later."""
    open_objects(empty.state / "objects").put("rounds/000009/sum/00000000", b"older")

    with pytest.raises(ConfigError, match="rounds/000009/sum/00000000, which is not in the backup"):
        restore(empty, backup)

    assert rows_of(empty.database) == []


def test_a_restore_that_was_cut_short_is_run_again(backup, empty, made, monkeypatch):
    """Objects come first and rows last: without rows nothing has happened."""

    write_rows = backups.write_rows

    def cut_short(engine, rows):
        if str(engine.url) == empty.database:
            raise StoreUnavailable("the power is gone")
        write_rows(engine, rows)

    with monkeypatch.context() as cut:
        cut.setattr(backups, "write_rows", cut_short)
        with pytest.raises(StoreUnavailable):
            restore(empty, backup)
    assert open_objects(empty.state / "objects").names()
    assert rows_of(empty.database) == []

    restore(empty, backup)

    assert rows_of(empty.database) == rows_of(made.settings.database)


def test_a_backup_of_another_coordinator_is_refused(backup, empty):
    """It would sign nothing that members know."""
    empty.signing_key.unlink()
    body = signing_key("somebody").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(empty.signing_key, body)

    with pytest.raises(ConfigError, match="not signed by this federation's coordinator"):
        restore(empty, backup)


def test_a_newer_schema_is_refused_by_name(backup, empty, monkeypatch):
    """Only the version that made it knows what all of it means."""
    monkeypatch.setattr(backups, "REVISIONS", ("0001", "0002"))

    with pytest.raises(SchemaMismatch, match=r"made by Veilsum 0\.1\.0; .* restore with that"):
        restore(empty, backup)


@pytest.mark.parametrize("place", range(12))
def test_a_changed_byte_anywhere_is_found_before_anything_is_written(backup, empty, place):
    """Twelve places over the whole of the file; padding between parts says nothing."""
    body = bytearray(backup.read_bytes())
    with tarfile.open(backup) as tar:
        entries = [each for each in tar.getmembers() if each.size]
    entry = entries[place * len(entries) // 12]
    body[entry.offset_data + entry.size // 2] ^= 1
    backup.write_bytes(body)

    with pytest.raises(ConfigError):
        restore(empty, backup)

    assert not open_objects(empty.state / "objects").names()
    assert not (Path(empty.database.removeprefix("sqlite:///"))).exists()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_half_a_backup_is_refused(backup, empty, part):
    """A copy that was cut off is not a smaller backup."""
    body = backup.read_bytes()
    backup.write_bytes(body[: int(part * len(body))])

    with pytest.raises(ConfigError, match="backup"):
        restore(empty, backup)


def test_parts_that_nobody_signed_are_not_read(backup, empty):
    """A tar holds what anybody adds to it; names lead nowhere outside."""
    with tarfile.open(backup, "a") as tar:
        entry = tarfile.TarInfo("../../etc/cron.d/veilsum")
        entry.size = 4
        tar.addfile(entry, BytesIO(b"evil"))

    restore(empty, backup)

    assert not any("cron" in name for name in open_objects(empty.state / "objects").names())


def resigned(backup, out, *, objects=None, rows=None):
    """The same backup with another object or row in it, signed as if it had been so."""
    key = signing_key(COORDINATOR)
    with open_backup(backup, public_bytes(key)) as held:

        def write_it(made):
            for table, found in held.rows():
                made.rows(table, [(rows or (lambda _, row: row))(table, row) for row in found])
            for name in held.objects():
                body = (objects or (lambda _, body: body))(name, held.object(name))
                if body is not None:
                    made.object(name, body)
            made.finish(held.head, key)

        write_backup(out, write_it)
    return out


@pytest.mark.parametrize("body", [None, b"another"])
def test_an_object_that_no_row_names_so_is_refused(backup, empty, tmp_path, body):
    """A disk that was damaged before the backup is found before it is trusted again."""

    def change(name, held):
        return body if name.endswith("model/" + name.split("/")[3] + "/00000000") else held

    with pytest.raises(ConfigError, match=r"which round 1 needs|not what round 1 needs"):
        restore(empty, resigned(backup, tmp_path / "other", objects=change))


def test_a_cohort_that_the_coordinator_never_signed_is_refused(backup, empty, tmp_path):
    """Whoever can write a database can write its digests; not its signatures."""

    def change(table, row):
        if table != "documents" or row["kind"] != "cohort":
            return row
        signed = unpack(row["body"])
        forged = pack_signed(but(signed, signatures={COORDINATOR: bytes(64)}))
        return with_checksum(documents, {**row, "body": forged, "checksum": None})

    with pytest.raises(ConfigError, match="take an older backup"):
        restore(empty, resigned(backup, tmp_path / "other", rows=change))


def test_a_damaged_row_is_not_backed_up_as_if_it_were_whole(made, tmp_path):
    """The newest good backup must not be replaced by one of a damaged database."""
    engine = open_database(made.settings.database)
    with engine.begin() as connection:
        connection.execute(update(documents).values(body=b"damaged"))
    engine.dispose()

    with pytest.raises(ConfigError, match="damaged"):
        back_up(made.settings, tmp_path / "backup", _now)


def test_what_was_ordered_in_a_round_that_is_given_up_is_forgotten(made, empty, tmp_path):
    """A sum that nobody waits for any more is not added; another plan's round ends."""
    made.contribute(SITES[2], 2)
    made.contribute(SITES[3], 2)  # all are there: the order to add is saved, and not carried out
    back_up(made.settings, tmp_path / "ordered", _now)
    made.tick(2)
    made.finish(2)
    made.tick(2)
    made.open_round(3)
    remembered = write(tmp_path, remembers(made, 2, 3))

    restore(empty, tmp_path / "ordered", [remembered])

    again = open_store(empty.database)
    kinds = {decode_effect(each.body) for each in again.pending_effects() if each.round == 2}
    assert kinds == {Erase(2)}


def test_a_round_whose_plan_sites_know_otherwise_ends(made, backup, empty, tmp_path):
    """A coordinator that was restored before has planned that number anew."""
    plan, _ = made.service.plan(2)
    other = but(plan, terms=msgspec.structs.replace(plan.terms, clip="2"))
    signature = sign(signing_key(COORDINATOR), Purpose.PLAN, bytes.fromhex(other.digest()))
    signed = Signed(pack_plan(other), {COORDINATOR: signature})
    remembered = write(tmp_path, pack(fakes.FEDERATION, SITES[0], [(Purpose.PLAN, 2, signed)]))

    assert restore(empty, backup, [remembered]).relearnt.forgotten == (2,)


# -- whichever store ----------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_backup_of_an_older_schema_is_brought_up_to_date(made, backup, empty, tmp_path, revision):
    """An upgrade may come with a new machine."""
    older = tmp_path / "older"
    with open_backup(backup, public_bytes(signing_key(COORDINATOR))) as held:
        write_backup(older, lambda out: _as_it_was(out, held, revision, tmp_path))

    restore(empty, older)

    assert open_store(empty.database).round_numbers() == [1, 2]
    assert {name for name, _ in rows_of(empty.database)} >= {"rounds", "documents"}


def _as_it_was(out, held, revision, folder):
    url = f"sqlite:///{folder}/{revision}.db"
    upgrade(url, to=revision)
    found = inspect(create_engine(url))
    columns = {
        name: {each["name"] for each in found.get_columns(name)} for name in found.get_table_names()
    }
    for table, rows in held.rows():
        known = columns.get(table, set())
        out.rows(table, [{k: v for k, v in row.items() if k in known} for row in rows if known])
    for name in held.objects():
        out.object(name, held.object(name))
    out.finish(msgspec.structs.replace(held.head, revision=revision), signing_key(COORDINATOR))


def test_rows_go_from_sqlite_to_postgresql_and_back(made, backup, empty, postgres_url, tmp_path):
    """One format for both; what a database numbers by itself it numbers anew, in order."""
    on_postgres = msgspec.structs.replace(empty, database=postgres_url)

    restore(on_postgres, backup)
    back_up(on_postgres, tmp_path / "again", _now)
    third = settings_of(tmp_path / "third")
    restore(third, tmp_path / "again")

    assert rows_of(postgres_url) == rows_of(made.settings.database)
    assert rows_of(third.database) == rows_of(made.settings.database)
    built = build(third, Failpoints())
    built.service.store.close()
    os.close(built.held)


def test_objects_go_into_a_bucket(made, backup, empty, s3_address, s3_access):
    """A move from a folder to a bucket is a backup and a restore."""
    in_bucket = msgspec.structs.replace(empty, objects=s3_address, s3=s3_access)

    found = restore(in_bucket, backup)

    assert found.objects > 0
    again = back_up(in_bucket, empty.state.parent / "again", _now)
    assert (again.objects, again.missing) == (found.objects, ())


# -- sites have gone on since -------------------------------------------------------------


def test_a_round_that_sites_remember_is_released_again(made, backup, empty, tmp_path):
    """The next plan starts from their newest model, under a number that nobody has used."""
    end_round(made, 2, SITES[2:])
    remembered = write(tmp_path, remembers(made, 1, 2))

    found = restore(empty, backup, [remembered])

    again = Federation(
        settings=empty,
        store=open_store(empty.database),
        objects=open_objects(empty.state / "objects"),
    )
    assert (found.relearnt.released, found.relearnt.forgotten) == ((2,), ())
    assert again.round(2).phase is Phase.DONE
    assert again.round(2).release == made.round(2).release
    plan = again.open_round(3)
    assert plan.terms.release == made.round(2).release
    assert plan.terms.rounds_left == 1


def test_a_round_that_sites_have_spent_for_is_never_planned_anew(made, backup, empty, tmp_path):
    """It is over; the next one has a number above all that any site remembers."""
    end_round(made, 2, SITES[2:])
    made.open_round(3)
    remembered = write(tmp_path, remembers(made, 2, 3))

    found = restore(empty, backup, [remembered])

    assert (found.relearnt.released, found.relearnt.forgotten) == ((2,), (3,))
    again = Federation(
        settings=empty,
        store=open_store(empty.database),
        objects=open_objects(empty.state / "objects"),
    )
    assert again.round(3).phase is Phase.ABORTED
    assert again.open_round(4).terms.round == 4


def test_a_round_under_way_goes_on_if_sites_know_no_other(made, backup, empty, tmp_path):
    """What was sent for it is in the backup, and its plan is the one that sites worked under."""
    remembered = write(tmp_path, remembers(made, 1, 2))

    found = restore(empty, backup, [remembered])

    assert (found.relearnt.released, found.relearnt.forgotten) == ((), ())


def test_what_one_site_forgot_another_remembers(made, backup, empty, tmp_path):
    """A site that joined late has a release and no plan."""
    end_round(made, 2, SITES[2:])
    one = write(tmp_path, remembers(made, 2, without=Purpose.PLAN), "one")
    other = write(tmp_path, remembers(made, 2, without=Purpose.RELEASE), "other")

    found = restore(empty, backup, [one, other])

    assert found.relearnt.released == (2,)


@pytest.mark.parametrize("kind", [Purpose.PLAN, Purpose.COHORT, Purpose.RELEASE])
def test_what_nobody_signed_is_not_learnt(made, backup, empty, tmp_path, kind):
    """A member that lies is named by its file, and nothing is written."""
    end_round(made, 2, SITES[2:])
    forged = [
        (each, number, but(signed, signatures=dict.fromkeys(signed.signatures, bytes(64))))
        if each is kind
        else (each, number, signed)
        for each, number, signed in _documents(made, (2,), None)
    ]
    remembered = write(tmp_path, pack(fakes.FEDERATION, SITES[0], forged))

    with pytest.raises(ConfigError, match=r"rounds: .* leave it out"):
        restore(empty, backup, [remembered])

    assert not open_objects(empty.state / "objects").names()


def test_a_release_of_too_few_openers_is_not_learnt(made, backup, empty, tmp_path):
    """One opener alone places no model, not even through a backup."""
    end_round(made, 2, SITES[2:])
    alone = [
        (kind, number, only_by(signed, OPENERS[0]) if kind is Purpose.RELEASE else signed)
        for kind, number, signed in _documents(made, (2,), None)
    ]
    remembered = write(tmp_path, pack(fakes.FEDERATION, SITES[0], alone))

    with pytest.raises(ConfigError, match="1 signatures, 2 are needed"):
        restore(empty, backup, [remembered])


def test_what_another_federation_remembers_is_refused(backup, empty, tmp_path):
    """Numbers of its rounds say nothing of ours."""
    remembered = write(tmp_path, pack("cardiology", SITES[0], ()))

    with pytest.raises(ConfigError, match="remembers rounds of cardiology"):
        restore(empty, backup, [remembered])


def test_what_is_no_memory_is_refused(backup, empty, tmp_path):
    """A wrong file is named."""
    with pytest.raises(ConfigError, match=r"rounds: .*not what a member remembers"):
        restore(empty, backup, [write(tmp_path, b"\x80 something else")])


# -- who is shut out ---------------------------------------------------------------------


@pytest.fixture
def enrolled(made, tmp_path):
    """A backup with a member who was certified, and a link that nobody has used."""
    desk = Desk(store=made.store)
    site, token = desk.enrol("hospital-z"), desk.invite("hospital-y")
    back_up(made.settings, tmp_path / "enrolled", _now)
    return tmp_path / "enrolled", desk, site, token


def restored(desk, empty):
    return Desk(open_store(empty.database), desk.clock, desk.authority, desk.operator)


def test_nothing_is_restored_before_it_is_said_who_was_revoked_since(enrolled, empty):
    """The backup does not know; whoever was would renew, for ever."""
    backup, desk, site, _ = enrolled

    with pytest.raises(ConfigError, match="--none-revoked"):
        restore(empty, backup)

    restore(empty, backup, revoked=())
    assert restored(desk, empty).renew(site)


def test_who_was_revoked_since_the_backup_is_shut_out_of_what_comes_back(enrolled, empty):
    """With its keys, too, and a member who was not is served on."""
    backup, desk, site, _ = enrolled
    other = desk.enrol("hospital-y")

    found = restore(empty, backup, revoked=("hospital-z",), now=lambda: desk.clock.at)

    again = restored(desk, empty)
    assert found.revoked == ("hospital-z",)
    assert again.revocations.of("hospital-y") is None
    with pytest.raises(CertificateRevoked, match="restored"):
        again.renew(site)
    with pytest.raises(InvitationRefused, match="new folder"):
        again.request(site, again.invite("hospital-z"))
    assert again.request(other, again.invite("hospital-y"))


def test_links_of_the_time_of_the_backup_are_open_no_longer(enrolled, empty):
    """One that was used since would be used once more, by whoever has it."""
    backup, desk, _, token = enrolled

    restore(empty, backup, revoked=(), now=lambda: desk.clock.at)

    with pytest.raises(InvitationRefused, match="replaced"):
        restored(desk, empty).request(Site("hospital-y"), token)
    assert desk.request(Site("hospital-y"), token)


def test_a_restore_says_which_revocations_the_backup_has(made, empty, tmp_path):
    """Whoever has to name those since then begins where these end."""
    desk = Desk(store=made.store)
    desk.enrol("hospital-z")
    desk.revocations.revoke("hospital-z", "a stolen laptop", "operator")
    back_up(made.settings, tmp_path / "revoked", _now)

    with pytest.raises(ConfigError, match="it has: hospital-z"):
        restore(empty, tmp_path / "revoked")
    found = restore(empty, tmp_path / "revoked", revoked=())

    assert (found.known_revoked, found.revoked) == (("hospital-z",), ())
