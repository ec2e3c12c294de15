"""Members enrol with links at a real coordinator, found a federation, and let others in later."""

import stat
import tomllib

import pytest

from participant.auditing import config as auditing
from participant.joining.init import ENTRY
from participant.seat import config as seat
from privacy import canonical
from privacy.roster import Member, Roster

from .enrolling import office

SITES = ("site-a", "site-b", "site-c")


def with_member(now, folder, name):
    """The version that follows, with one member more, by the entry that it enrolled with."""
    entry = canonical.decode((folder / name / ENTRY).read_bytes(), Member)
    members = tuple(sorted([*now.members, entry], key=lambda each: each.participant))
    return Roster(now.federation, now.version + 1, now.coordinator_key, members, now.digest())


def done(made, name, task):
    return [each for each in made.events(name, "done") if each["task"] == task]


@pytest.mark.slow
def test_a_federation_that_enrolled_by_links_grows_while_its_agents_run(tmp_path):
    """From nothing to rounds; then a fourth site by two of three voices, without a restart."""
    with office(tmp_path, wanted=60) as made:
        made.join(*SITES)
        fingerprint = made.found()
        made.join("site-d")
        for name in (*SITES, "site-d"):
            assert made.confirm(name, fingerprint)["confirmed"]
            made.fill_in(name, SITES)
        for name in SITES:
            made.start_site(name)
        made.wait_for("a round", lambda: len(made.events("site-a", "model_adopted")) > 0, 90)

        second = made.propose(with_member(made.roster(), tmp_path, "site-d"))
        for name in ("site-a", "site-b"):
            config = str(made.config(name))
            status = made.veilsum("participant", "status", "--config", config)
            assert status["next"].startswith("veilsum participant admit")
            said = made.veilsum("participant", "admit", "--config", config, "--fingerprint", second)
            assert said["signed"]
        made.start_site("site-d")
        made.wait_for("site-d's part", lambda: bool(done(made, "site-d", "Contribute")), 90)

        for name in SITES:
            [changed] = made.events(name, "roster_changed")
            assert changed["roster"] == second
            assert len(made.events(name, "joined")) == 1
            assert made.events(name, "declined") == []
        assert "aborted" not in (tmp_path / "logs" / "coordinator.log").read_text()


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
        again = made.begin_join("site-b", link)  # another folder, other keys: see below
        again.wait(30)
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
        assert not (tmp_path / "site-b").exists()
        certificate = tmp_path / "site-a" / "certificate.pem"
        assert stat.S_IMODE(certificate.stat().st_mode) == 0o600


@pytest.mark.slow
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
