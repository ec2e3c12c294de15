"""What joining has filled in is read alone; of somebody's own file, one line is ever written."""

import stat
import tomllib

import pytest

from participant.joining.place import check_proxy, read_place, write_roster
from privacy.errors import ConfigError

PRINT = "5a10d721240d638a00c470c5ed1fcfa9d11d606b4713d76418b6ae666cf5d712"
HEAD = """\
# ours
federation = "oncology"   # a comment
participant = "amber"
state = "/var/lib/veilsum/amber"

[coordinator]
address = "veilsum.example.org:8443"
authority = "/etc/veilsum/authority.pem"
certificate = "/etc/veilsum/certificate.pem"
"""
LEFT = """
[policy]
# roster = ""
schemes = ["ckks/1"]      # ours, too
"""


def written(folder, text):
    path = folder / "site.toml"
    path.write_bytes(text.encode())
    return path


def test_a_file_whose_policy_is_missing_has_a_place(tmp_path):
    """Who has just joined looks at the roster before the data is described."""
    place = read_place(written(tmp_path, HEAD + "\n[dataset]\n"))

    assert (place.participant, place.coordinator.address) == ("amber", "veilsum.example.org:8443")
    with pytest.raises(ConfigError, match="confirm"):
        place.fingerprint()


@pytest.mark.parametrize("missing", ["federation", "state", "address"])
def test_a_line_of_the_place_that_is_missing_is_named(tmp_path, missing):
    lines = [line for line in HEAD.splitlines() if not line.startswith(missing)]

    with pytest.raises(ConfigError, match=missing):
        read_place(written(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    "text",
    [
        HEAD + LEFT,
        HEAD + LEFT.replace("# roster", "  #roster"),
        HEAD + LEFT.replace('# roster = ""\n', ""),
        HEAD + LEFT + "\n[policy.officers]\nann = 'x'\n",
        HEAD + '\n[dataset]\n# roster = "not this one"\n' + LEFT,
        HEAD,
        (HEAD + LEFT).replace("\n", "\r\n"),
        HEAD + "\n[ policy ] # ours\n",
    ],
    ids=[
        "skeleton",
        "other-spaces",
        "no-line",
        "below",
        "elsewhere-too",
        "no-table",
        "crlf",
        "odd",
    ],
)
def test_the_fingerprint_is_written_and_nothing_else_changes(tmp_path, text):
    """The file is somebody's own: comments and spaces stay as they are."""
    path = written(tmp_path, text)

    assert write_roster(path, PRINT)

    after = path.read_bytes().decode()
    wanted = tomllib.loads(text)
    wanted.setdefault("policy", {})["roster"] = PRINT
    assert tomllib.loads(after) == wanted
    assert read_place(path).roster == PRINT
    kept = [line for line in text.splitlines() if "#" in line and "roster" not in line]
    assert [line for line in after.splitlines() if line in kept] == kept


def test_the_same_again_changes_nothing(tmp_path):
    path = written(tmp_path, HEAD + LEFT)
    write_roster(path, PRINT)
    before = path.read_bytes()

    assert not write_roster(path, PRINT)
    assert path.read_bytes() == before


def test_another_fingerprint_is_never_written_over_the_first(tmp_path):
    """A coordinator that shows another roster later would otherwise only have to ask twice."""
    path = written(tmp_path, HEAD + LEFT)
    write_roster(path, PRINT)

    with pytest.raises(ConfigError, match="already"):
        write_roster(path, "0" * 64)
    assert read_place(path).roster == PRINT


def test_a_form_without_a_place_for_the_line_is_left_alone(tmp_path):
    """An inline table is TOML, too; then people write the line, which the message has."""
    text = 'policy = { schemes = ["ckks/1"] }\n' + HEAD
    path = written(tmp_path, text)

    with pytest.raises(ConfigError, match=f'write this line yourself.*"{PRINT}"'):
        write_roster(path, PRINT)
    assert path.read_text() == text


def test_who_may_read_the_file_stays_as_it_was_and_a_link_stays_a_link(tmp_path):
    """A group that deploys it reads it; configuration management links to it."""
    path = written(tmp_path, HEAD + LEFT)
    path.chmod(0o640)
    (tmp_path / "link.toml").symlink_to(path)

    write_roster(tmp_path / "link.toml", PRINT)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (tmp_path / "link.toml").is_symlink()
    assert read_place(path).roster == PRINT


@pytest.mark.parametrize(
    "proxy", ["proxy:3128", "https://proxy:3128", "http://me:pw@proxy:3128", "http://proxy"]
)
def test_a_proxy_that_cannot_stand_in_the_file_is_refused_before_anything_is_made(proxy):
    with pytest.raises(ConfigError, match="--proxy"):
        check_proxy(proxy)
    check_proxy("http://proxy.example.org:3128")
