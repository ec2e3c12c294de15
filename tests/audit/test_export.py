"""A state folder becomes one file, while whoever owns it works on; the file proves itself."""

import hashlib
import sqlite3
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

from coordinator.adapters.sql.store import open_store
from participant.ledger import store
from privacy.errors import ConfigError, MissingDependency, StoreUnavailable
from privacy.evidence.bundle import LARGEST_BUNDLE, Document, Head, RowLine
from privacy.evidence.finding import Outcome
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.verify import read_bundle, verify
from privacy.ledger import RowType, read_row
from tests.audit import state_folder
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made
from veilsum.audit import mirror
from veilsum.audit import verdict as verdicts
from veilsum.audit.export import export
from veilsum.audit.standing import standing_of
from veilsum.audit.trusted import keys_text
from veilsum.cli import app


def now():
    return 1_900_000_000.0


def checked(text):
    return verify(text, made.POLICY, made.KEYS, second=lambda events, delta: None)


def rows_in(text):
    bundle, _ = read_bundle(text)
    return [read_row(line.body) for _, line in bundle.only(RowLine)]


def test_a_state_folder_becomes_a_bundle_that_is_verified(tmp_path):
    state_folder.make(tmp_path, rounds=2)

    text = export(tmp_path, now)

    verdict = checked(text)
    assert verdict.findings == ()
    (ward,) = verdict.datasets
    assert (ward.rounds, ward.released) == (2, 2)


def test_a_bundle_names_all_that_was_installed_by_one_digest(tmp_path, monkeypatch):
    """In whatever order it is found and however it is spelt; another version is another digest."""
    state_folder.make(tmp_path)

    def exported(**packages):
        found = [SimpleNamespace(metadata={"Name": n}, version=v) for n, v in packages.items()]
        monkeypatch.setattr("veilsum.audit.export.distributions", lambda: found)
        return read_bundle(export(tmp_path, now))[0].head.software["installed"]

    one = exported(Zstd_y="1.0", abc="2")

    assert one == hashlib.sha256(b"abc==2\nzstd-y==1.0\n").hexdigest()
    assert exported(abc="2", **{"zstd.y": "1.0"}) == one
    assert exported(abc="2", zstd_y="1.1") != one


def test_an_export_marks_the_ledger_while_its_site_is_at_work(tmp_path):
    """The site writes before and after; each bundle begins as the one before."""
    state_folder.make(tmp_path, rounds=1)
    ledger = made.open_ledger(tmp_path)

    first = export(tmp_path, now)
    made.spend(ledger, 2)
    second = export(tmp_path, now)
    ledger.close()

    assert rows_in(first)[-1].type is rows_in(second)[-1].type is RowType.CHECKPOINT
    assert rows_in(second)[: len(rows_in(first))] == rows_in(first)


def test_a_ledger_that_another_process_holds_is_exported_as_it_is(tmp_path, monkeypatch):
    """Evidence does not wait for a process that hangs; only the new CHECKPOINT is missing."""
    state_folder.make(tmp_path)
    monkeypatch.setattr(store, "_LOCK_TIMEOUT_SECONDS", 0.05)
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    text = export(tmp_path, now)
    other.close()

    assert rows_in(text)[-1].type is RowType.RELEASE
    assert checked(text).outcome is Outcome.OK


def test_a_bundle_says_neither_how_many_patients_nor_a_secret(tmp_path):
    """The site's file caps its records at 100; no entry may say so, nor where its keys are."""
    state_folder.make(tmp_path)

    text = export(tmp_path, now)

    assert b'records"' not in text.replace(b'"max_records_per_unit"', b"")
    assert str(tmp_path).encode() not in text
    assert b"PRIVATE" not in text
    assert (tmp_path / "keys" / "sealing.key").read_bytes().hex().encode() not in text


def test_a_folder_without_settings_or_ledger_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="--config"):
        export(tmp_path, now)

    state_folder.make(tmp_path / "site")
    (tmp_path / "site" / "ledger.sqlite").unlink()
    with pytest.raises(ConfigError, match="no privacy ledger"):
        export(tmp_path / "site", now)
    assert not (tmp_path / "site" / "ledger.sqlite").exists()


# -- the commands -----------------------------------------------------------------------------

POLICY = """
delta = "0.001"
epsilon_for_life = "{limit}"
unit = "patient"
neighbouring = "add_remove"
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A bundle, keys and policy in files; the second accountant agrees at once."""
    monkeypatch.setattr(verdicts, "second_opinion", lambda events, delta: None)
    state_folder.make(tmp_path, rounds=1)
    (tmp_path / "policy.toml").write_text(POLICY.replace("{limit}", "60"))
    assert run("export", "--state", tmp_path, "--out", tmp_path / "b").exit_code == 0
    keys = ("keys", "--config", tmp_path / "site.toml", "--out", tmp_path / "keys.toml")
    assert run(*keys).exit_code == 0
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def check(folder, *words):
    return run("verify", folder / "b", *words)


def test_an_officer_verifies_with_what_was_compared_and_what_is_allowed(files):
    found = check(files, "--keys", files / "keys.toml", "--policy", files / "policy.toml")

    assert found.exit_code == 0, found.output
    assert found.output.startswith("VERIFIED")


def test_each_verdict_has_its_exit_code(files):
    """What a script branches on."""
    keys = ("--keys", files / "keys.toml")
    text = (files / "b").read_bytes()

    assert check(files).exit_code == 3
    (files / "policy.toml").write_text(POLICY.replace("{limit}", "1"))
    assert check(files, *keys, "--policy", files / "policy.toml").exit_code == 1
    (files / "b").write_bytes(text[:2000] + b"x" + text[2001:])
    assert check(files, *keys).exit_code == 2


def test_what_cannot_be_read_is_not_called_tampered(files):
    """A mistyped name is no evidence against anybody."""
    assert run("verify", files / "none").exit_code == 3
    (files / "keys.toml").write_text("roster = 1")
    assert check(files, "--keys", files / "keys.toml").exit_code == 3


def test_a_verdict_as_json_has_its_numbers_in_fields(files):
    found = msgspec.json.decode(check(files, "--json").output)

    assert (found["exit"], found["verdict"]) == (3, "evidence missing")
    (ward,) = checked(made.bundle(rounds=1)).datasets
    assert found["datasets"][0]["sums"]["committed"] == ward.sums.committed


def test_keys_for_an_officer_name_the_roster_and_the_officers(tmp_path):
    """Nothing more has to be compared by telephone."""
    state_folder.make(tmp_path)

    assert f'roster = "{made.KEYS.roster}"' in keys_text(tmp_path / "site.toml")


def test_the_second_accountant_is_not_loaded_for_what_was_tampered(tmp_path, monkeypatch):
    """It takes seconds; whoever flips a byte hears of it at once."""
    state_folder.make(tmp_path)
    text = export(tmp_path, now)
    (tmp_path / "b").write_bytes(text[:2000] + b"x" + text[2001:])

    def loaded(events, delta):
        raise MissingDependency("it was asked")

    monkeypatch.setattr(verdicts, "second_opinion", loaded)

    found = verdicts.verify_files(tmp_path / "b")

    assert found.outcome is Outcome.TAMPERED
    assert "it was asked" not in verdicts.words_of(found)


def test_a_policy_has_no_key_that_is_not_asked_about():
    """A mistyped limit must not be one that nobody checks."""
    assert AuditPolicy.__struct_config__.forbid_unknown_fields
    assert Head.__struct_config__.forbid_unknown_fields
    assert Document.__struct_config__.forbid_unknown_fields


# -- what is on a disk that cannot be written, or is damaged ------------------------------------


@contextmanager
def nothing_is_written():
    """A disk that is read-only or full: SQLite cannot make the file that readers share.

    Tests may run as root, whom no permission stops.
    """
    connect = sqlite3.connect

    def refuse(path, *words, **named):
        if ".sqlite" in str(path) and not ("immutable=1" in path or "/veilsum-" in path):
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return connect(path, *words, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda path, *w, **n: refuse(str(path), *w, **n))
        yield


def test_a_ledger_on_a_read_only_disk_is_exported_and_read(tmp_path):
    """A backup that is mounted to be looked at; nothing is put beside the database."""
    state_folder.make(tmp_path)

    with nothing_is_written():
        text, standing = export(tmp_path, now), standing_of(tmp_path, None, now)

    assert rows_in(text)[-1].type is RowType.RELEASE
    assert checked(text).outcome is Outcome.OK
    assert standing.size == len(rows_in(text))
    assert [each.name for each in tmp_path.glob("ledger*")] == ["ledger.sqlite"]


def test_what_was_written_last_is_read_from_a_full_disk_too(tmp_path):
    """It stands in the file beside the database until SQLite moves it; a copy shows both."""
    state_folder.make(tmp_path)
    ledger = made.open_ledger(tmp_path)
    made.spend(ledger, 2)
    state_folder.keep(tmp_path, rounds=2)

    with nothing_is_written():
        text = export(tmp_path, now)
    beside = (tmp_path / "ledger.sqlite-wal").stat().st_size
    ledger.close()

    assert beside > 0
    assert {row.round for row in rows_in(text)} >= {1, 2}
    assert checked(text).outcome is Outcome.OK


def test_a_coordinators_copy_on_a_read_only_disk_is_exported(tmp_path, monkeypatch):
    """What opens a coordinator's database brings it up to date; a copy of it, then."""
    store = open_store(f"sqlite:///{tmp_path / 'coordinator.sqlite'}")
    store.close()

    def read_only(url, password=None):
        if str(tmp_path) in url:
            raise StoreUnavailable("attempt to write a readonly database")
        return open_store(url, password)

    monkeypatch.setattr(mirror, "open_store", read_only)
    database = f"sqlite:///{tmp_path / 'coordinator.sqlite'}"
    settings = SimpleNamespace(database=database, database_password=None)

    found = mirror.documents_of(settings, example.signing_key("coordinator"))

    assert found == []


def test_a_damaged_ledger_names_its_file_and_who_can_mend_it(tmp_path):
    """It is retried by nobody: waiting does not mend it."""
    state_folder.make(tmp_path)
    path = tmp_path / "ledger.sqlite"
    body = bytearray(path.read_bytes())
    body[100:5000] = bytes(4900)
    path.write_bytes(body)

    with pytest.raises(ConfigError, match=f"{path}: .*is damaged") as refused:
        export(tmp_path, now)

    assert refused.value.who_acts == "the operator of this process"


def test_a_damaged_document_names_its_file_and_who_can_mend_it(tmp_path):
    """No peer has sent it: the site itself has kept it, and has a backup."""
    state_folder.make(tmp_path)
    path = next((tmp_path / "kept").glob("000001/*"))
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ConfigError, match=f"{path}: .*backup"):
        export(tmp_path, now)


def test_the_settings_of_another_folder_are_refused(tmp_path):
    """Keys and documents of one site beside the ledger of another would be called tampered."""
    for name in ("one", "other"):
        state_folder.make(tmp_path / name)

    with pytest.raises(ConfigError, match="--state names"):
        export(tmp_path / "one", now, tmp_path / "other" / "site.toml")

    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert export(tmp_path / "link", now)


# -- what an exit status means ------------------------------------------------------------------


@pytest.mark.parametrize("command", ["verify", "report"])
@pytest.mark.parametrize("words", [["--no-such-option"], ["--keys"]])
def test_a_mistyped_option_is_not_called_tampered(command, words):
    """2 would say that somebody has changed the evidence; EX_USAGE says nothing of it."""
    assert run(command, "bundle", *words).exit_code == 64


def test_what_nobody_has_foreseen_is_not_called_a_breach(files, monkeypatch):
    """Python ends with 1, which would say that a policy was breached."""

    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(verdicts, "verify", fails)

    assert check(files).exit_code == 70


def test_a_file_larger_than_any_bundle_is_refused_unread(tmp_path):
    """Three gigabytes are not read to find out that they are too many; a device has no end."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(3 << 30)

    for path in (tmp_path / "huge", "/dev/zero"):
        found = run("verify", path)

        assert found.exit_code == 3
        assert f"at most {LARGEST_BUNDLE}" in found.output


def test_a_verdict_says_of_what_it_is_and_what_was_not_asked(files):
    """VERIFIED of another federation, or of an old tail, must be seen by who reads it."""
    found = check(files, "--keys", files / "keys.toml", "--policy", files / "policy.toml").output

    assert found.startswith("VERIFIED")
    assert "site amber of oncology" in found
    assert f"roster {made.KEYS.roster}" in found
    assert "dataset ward" in found
    assert "not asked: what others have seen of this ledger: no --with" in found
    assert "not asked: what was paid for: no --chain" in found
    assert "not asked: whose keys" not in found
