"""Members enrol with links at a real coordinator, found a federation, and let others in later."""

import signal
import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from coordinator.adapters.sql.store import open_store
from coordinator.ports import Issued
from participant.auditing import config as auditing
from participant.keys import load_renewed
from participant.seat import config as seat
from privacy.identifiers import sha256_hex

from .enrolling import office

SITES = ("site-a", "site-b", "site-c")


@pytest.mark.slow
def test_a_federation_that_enrolled_by_links_grows_and_shrinks_while_its_agents_run(tmp_path):
    """By the commands that people type: a fourth site by two of three voices, then shut out."""
    with office(tmp_path, wanted=200) as made:
        made.join(*SITES)
        fingerprint = made.operate("found")["fingerprint"]
        for name in confirmed(made, SITES, fingerprint):
            made.start_site(name)
        made.join("site-d")
        confirmed(made, ("site-d",), fingerprint)
        made.wait_for("a round", lambda: len(made.events("site-a", "model_adopted")) > 0, 90)

        second = made.operate("propose", "--add", "site-d")["fingerprint"]
        for name in ("site-a", "site-b"):
            config = str(made.config(name))
            said = made.veilsum("participant", "admit", "--config", config, "--fingerprint", second)
            assert said["signed"]
        made.start_site("site-d")
        made.wait_for("site-d to count", lambda: bool(counted(made, "site-d")), 90)
        made.operate("revoke", "site-d", "--reason", "a stolen laptop")
        [revoked] = made.events("coordinator", "member_revoked")
        thief = made.family.running.pop("site-d")
        made.wait_for("its open call to end", lambda: bool(ended(made, "site-d")), 6)
        made.wait_for("a round without it", lambda: since(made, "site-a", revoked) > 0, 60)

        thief.terminate()
        thief.wait(10)
        for name in SITES:
            [changed] = made.events(name, "roster_changed")
            assert changed["roster"] == second
            assert len(made.events(name, "joined")) == 1
            assert made.events(name, "declined") == []
        # what was on its way when the operator said so may have arrived
        assert time_of(counted(made, "site-d")[-1]) - time_of(revoked) < timedelta(seconds=1)
        [shut_out] = [each for each in made.operate("members")["members"] if each["revoked"]]
        assert (shut_out["participant"], shut_out["revoked"]) == ("site-d", "a stolen laptop")
        told = made.veilsum("participant", "status", "--config", str(made.config("site-d")))
        assert told["revoked"]
        assert "a stolen laptop" in told["link"]
        assert told["next"].startswith("call the operator who revoked this member")


def confirmed(made, names, fingerprint):
    """Confirm the roster at each of these sites, and fill in the rest of its file."""
    with ThreadPoolExecutor() as people:
        said = people.map(lambda name: made.confirm(name, fingerprint), names)
        assert all(each["confirmed"] for each in said)
    for name in names:
        made.fill_in(name, SITES)
    return names


def counted(made, who):
    """The contributions of a member that the coordinator has counted."""
    found = made.events("coordinator", "contribution_accepted")
    return [each for each in found if each["participant"] == who]


def ended(made, who):
    """The calls of a member that were ended, or refused, since it was shut out."""
    found = made.events("coordinator", "call_refused")
    return [e for e in found if (e["participant"], e["code"]) == (who, "certificate_revoked")]


def since(made, who, event):
    """How many models a site has adopted since an event."""
    found = made.events(who, "model_adopted")
    return len([each for each in found if time_of(each) > time_of(event)])


def time_of(event):
    return datetime.fromisoformat(event["timestamp"])


@pytest.mark.slow
def test_a_site_that_is_cut_off_while_it_joins_goes_on(tmp_path):
    """Its process is killed, the coordinator too; the same command then ends what it began."""
    with office(tmp_path) as made:
        link = made.invite("site-a")
        first = made.begin_join("site-a", link, "--organisation", "Hospital A")
        words = made.words_shown("site-a")
        made.wait_for("the request", lambda: made.invitations()["site-a"].words != "")
        first.kill()
        first.wait()
        made.kill()
        again = made.begin_join("site-b", link)  # another folder: it waits, and makes no key yet
        waits = made.folder / "site-b.words"
        made.wait_for("that it is tried", lambda: "is tried for" in waits.read_text())
        again.kill()
        again.wait()
        made.start()
        made.decide("site-a", words)

        said = made.veilsum(
            "participant", "join", link, "--state", str(tmp_path / "site-a"), status=0
        )
        thief = made.veilsum(
            *("participant", "join", link, "--state", str(tmp_path / "thief")),
            *("--organisation", "Nobody"),
            status=3,
        )

        assert (said["participant"], said["approved_by"]) == ("site-a", "desk")
        assert thief["code"] == "invitation_refused"
        assert not (tmp_path / "site-b" / "keys").exists()
        certificate = tmp_path / "site-a" / "certificate.pem"
        assert stat.S_IMODE(certificate.stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.deep
def test_every_kind_of_member_is_left_with_a_file_that_says_what_is_missing(tmp_path):
    """The skeleton of each, with its fingerprint written, lacks policy alone."""
    kinds = {"site-a": "participant", "watch": "auditor", "seat-n": "aggregator"}
    files = {"site-a": "site.toml", "watch": "auditor.toml", "seat-n": "aggregator.toml"}
    with office(tmp_path, openers=("site-a", "site-b", "site-c")) as made:
        made.join(*SITES)
        made.join("watch", role="auditor", kind="auditor")
        made.join("seat-n", role="aggregator", kind="aggregator")
        fingerprint = made.found()

        for name, kind in kinds.items():
            path = tmp_path / name / files[name]
            before = path.read_text()
            words = (kind, "confirm", "--config", str(path), "--fingerprint")
            assert made.veilsum(*words, "0" * 64, status=3)["code"] == "wrong_context"
            assert path.read_text() == before
            assert made.veilsum(*words, fingerprint)["confirmed"]
            assert tomllib.loads(path.read_text())["policy"] == {"roster": fingerprint}
            status = made.veilsum(kind, "status", "--config", str(path))
            assert status["next"].startswith("fill in")
            assert (status["link"], status["confirmed"]) == ("connected", True)

        for name, read in (("watch", auditing.read), ("seat-n", seat.read)):
            path = tmp_path / name / files[name]
            lines = path.read_text().replace("# schemes", "schemes")
            path.write_text(lines.replace("# smallest_cohort", "smallest_cohort"))
            assert read(path).policy.roster == fingerprint


def founded(made, *names):
    """Let members join, close version 0, and have each of them sign it."""
    made.join(*names)
    fingerprint = made.found()
    for name in names:
        made.sign(name, made.folder / name)
    return fingerprint


@pytest.mark.slow
def test_a_coordinator_killed_while_a_version_is_proposed_has_proposed_nothing(tmp_path):
    """SIGKILL before it is written; the operator says it again, and trainers see it then."""
    with office(tmp_path, openers=("site-a", "site-b")) as made:
        fingerprint = founded(made, *SITES)
        made.confirm("site-a", fingerprint)
        made.kill()
        made.start("proposals.before_propose:1=kill")
        words = ("propose", "--roles", "site-c=participant")

        made.operate(*words, status=5)

        assert made.died() == -signal.SIGKILL
        made.start()
        config = ("--config", str(made.config("site-a")))
        assert made.veilsum("participant", "admit", *config)["proposal"] is None
        again = made.operate(*words)
        said = made.veilsum("participant", "admit", *config, "--fingerprint", again["fingerprint"])
        assert (said["signed"], said["proposal"]["signed_by"]) == (True, ["site-a"])


@pytest.mark.slow
def test_a_founding_that_one_member_cannot_sign_is_opened_again_by_commands(tmp_path):
    """Every member sees another fingerprint and other words, and no file is changed silently."""
    with office(tmp_path, openers=("site-a", "site-b")) as made:
        made.join(*SITES)
        first = made.operate("found")
        old = first["fingerprint"]
        made.confirm("site-a", old)
        made.sign("site-a", tmp_path / "site-a")
        config = ("--config", str(made.config("site-a")))

        why = ("--reason", "site-c has lost its keys")
        made.operate("reopen", "--fingerprint", "0" * 64, *why, status=3)
        made.operate("reopen", "--fingerprint", old, *why)

        assert made.veilsum("participant", "confirm", *config, status=5)["code"] == "not_yet"
        assert made.veilsum("participant", "status", *config)["next"].startswith("wait: ")
        made.operate("revoke", "site-c", "--reason", "it has lost its keys")
        again = made.operate("found")
        new = again["fingerprint"]
        assert new != old
        assert again["words"] != first["words"]
        assert again["members"] == ["desk", "site-a", "site-b"]
        status = made.veilsum("participant", "status", *config)
        assert status["next"].startswith("call the operator")
        refused = made.veilsum("participant", "confirm", *config, "--fingerprint", old, status=3)
        assert refused["code"] == "wrong_context"
        held = made.veilsum("participant", "confirm", *config, "--fingerprint", new, status=2)
        assert "opened version 0 again" in held["message"]
        path = made.config("site-a")
        path.write_text(path.read_text().replace(old, new))
        seen = made.confirm("site-a", new)
        assert {each["participant"]: each["signed"] for each in seen["members"]} == {
            "desk": True,
            "site-a": False,
            "site-b": False,
        }
        for name in ("site-a", "site-b"):
            made.sign(name, tmp_path / name)
        late = made.operate("reopen", "--fingerprint", new, *why, status=3)
        assert late["code"] == "roster_refused"
        assert made.confirm("site-a", new)["founded"]


@pytest.mark.slow
@pytest.mark.deep
def test_a_second_operator_joins_by_a_link_and_does_what_the_first_one_does(tmp_path):
    """Its folder, its file, its signature on version 0; and its certificate is renewed by use."""
    with office(tmp_path, certificate_seconds=600) as made:
        made.join("desk-b", role="operator", kind="operator")
        given = (tmp_path / "desk-b" / "certificate.pem").read_bytes()
        made.join(*SITES)
        fingerprint = made.operate("found")["fingerprint"]

        signed = made.operate("found", who="desk-b")
        shown = made.confirm("site-a", fingerprint)
        link = made.operate("invite", "site-d", who="desk-b")["link"]
        made.operate("revoke", "site-c", "--reason", "left", who="desk-b")

        members = {each["participant"]: each for each in shown["members"]}
        assert signed["fingerprint"] == fingerprint
        assert members["desk-b"]["roles"] == ["operator"]
        assert (members["desk-b"]["signed"], members["desk"]["signed"]) == (True, True)
        assert link.endswith(".site-d")
        [revoked] = made.events("coordinator", "member_revoked")
        assert (revoked["participant"], revoked["by"]) == ("site-c", "desk-b")
        # 600 s are less than what a command wants to be left of a certificate
        issued = made.events("coordinator", "certificate_issued")
        assert len([each for each in issued if each["participant"] == "desk-b"]) > 1
        assert load_renewed(tmp_path / "desk-b" / "keys").given == sha256_hex(given)
        assert stat.S_IMODE((tmp_path / "desk-b" / "keys").stat().st_mode) == 0o700


@pytest.mark.slow
def test_a_coordinator_that_leads_forgets_what_is_over(tmp_path):
    """Without being asked: of certificates that ended long ago the newest stays."""
    old = [Issued(f"{at}a", "site-z", "d4" * 32, float(at), at + 1.0) for at in range(1, 4)]
    database = f"sqlite:///{tmp_path / 'coordinator.sqlite'}"
    with office(tmp_path) as made:
        made.kill()
        store = open_store(database)
        for each in old:
            store.record_certificate(each)
        store.close()

        made.start()

        def left():
            store = open_store(database)
            try:
                return store.certificates("site-z")
            finally:
                store.close()

        made.wait_for("it to forget", lambda: left() == old[-1:])
