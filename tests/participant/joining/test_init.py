"""A site begins with keys made on the site; what others need is public."""

import stat

import pytest

from participant.joining.init import init
from participant.keys import load_keys
from privacy import canonical
from privacy.errors import ConfigError
from privacy.roster import Member, Role


def begin(folder, name="amber", *, chain=False):
    return init(folder, "oncology", name, "Amber hospital", chain=chain)


def test_the_entry_is_that_of_the_keys(tmp_path):
    """A trainer, and no more."""
    entry, request = begin(tmp_path)

    member, keys = canonical.decode(entry.read_bytes(), Member), load_keys(tmp_path / "keys")
    assert member.roles == (Role.TRAINER,)
    assert member.signing_key == keys.signing_public
    assert member.sealing_key == keys.sealing_public
    assert request.read_bytes().startswith(b"-----BEGIN CERTIFICATE REQUEST")


def test_the_public_files_hold_no_private_key(tmp_path):
    """They are sent around."""
    paths = begin(tmp_path)
    keys = load_keys(tmp_path / "keys")
    secrets = (keys.signing.private_bytes_raw(), keys.sealing.seed)

    for path in paths:
        body = path.read_bytes()
        for secret in secrets:
            assert secret not in body
            assert secret.hex().encode() not in body


def test_keys_are_never_overwritten(tmp_path):
    """A second init would orphan what is sealed to the first."""
    begin(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(ConfigError):
        begin(tmp_path)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("names", "option", "rule"),
    [
        (("Oncology", "amber", "Amber"), "--federation", "1 to 63 of a-z, 0-9 and hyphen"),
        (("", "amber", "Amber"), "--federation", "1 to 63"),
        (("oncology", "../amber", "Amber"), "--participant", "1 to 63 of a-z, 0-9 and hyphen"),
        (("oncology", "-amber", "Amber"), "--participant", "begins with a letter or digit"),
        (("oncology", "coordinator", "Amber"), "--participant", "no member may be called"),
        (("oncology", "amber", " "), "--organisation", "1 to 100 characters"),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_made(tmp_path, names, option, rule):
    """It would stand in a certificate; keys made for it would be in the way of the right one."""
    with pytest.raises(ConfigError, match=rule) as refused:
        init(tmp_path / "state", *names)

    assert str(refused.value).startswith(f"{option}: ")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("place", ["file", "file/state"])
def test_a_state_that_is_no_folder_is_refused_by_name(tmp_path, place):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(ConfigError, match=r"--state: .*file"):
        begin(tmp_path / place)

    assert (tmp_path / "file").read_text() == "mine"


def test_a_payees_keys_are_the_sites_own(tmp_path):
    """The payout address is public; its key and passphrase are not."""
    entry, _ = begin(tmp_path, chain=True)

    member = canonical.decode(entry.read_bytes(), Member)
    assert member.payout_address.startswith("0x")
    for name in ("passphrase", "gas.json", "payout.key.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_an_auditor_is_an_auditor_and_no_more(tmp_path):
    """The same keys and files; its entry has one role, and no chain pays it."""
    entry, request = init(tmp_path, "oncology", "watch", "Watch office", role=Role.AUDITOR)

    member, keys = canonical.decode(entry.read_bytes(), Member), load_keys(tmp_path / "keys")
    assert member.roles == (Role.AUDITOR,)
    assert (member.participant, member.organisation) == ("watch", "Watch office")
    assert member.signing_key == keys.signing_public
    assert member.payout_address == ""
    assert b"CERTIFICATE REQUEST" in request.read_bytes()
