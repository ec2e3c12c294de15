"""A site's own file: every key known, every value of its type."""

from pathlib import Path

import msgspec
import pytest

from participant.config import Policy, SiteConfig, ledger_of, limits_of, read, with_site
from privacy.errors import ConfigError

TEXT = """
federation = "oncology"
participant = "amber"
state = "state"
[coordinator]
address = "127.0.0.1:1"
authority = "authority.pem"
certificate = "certificate.pem"
[dataset]
id = "ward"
site = "ward.site:Ward"
records = 100
[policy]
roster = "{roster}"
openers = ["amber", "birch", "cedar"]
first_model = "first"
schemes = ["ckks/1"]
smallest_cohort = 3
epsilon_per_round = "1.5"
epsilon_for_life = "3"
delta = "0.001"
unit = "patient"
neighbouring = "add_remove"
releases = ["participation"]
""".replace("{roster}", "0" * 64)


def written(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    return path


def test_a_file_is_read_into_one_value(tmp_path):
    """What is not said has the stricter default: no plan without an auditor."""
    config = read(written(tmp_path, TEXT))

    assert config.policy.smallest_cohort == 3
    assert config.policy.without_auditor is False
    assert config.settlement is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("smallest_cohort = 3", "smallest_cohort = 1", "smallest_cohort"),
        ("smallest_cohort = 3", "smallest_cohort = 3\nsmalest_cohort = 9", "smalest_cohort"),
        ('delta = "0.001"', "", "delta"),
        ('delta = "0.001"', 'delta = "nan"', "delta"),
        ('delta = "0.001"', "delta = 0.001", "delta"),
        ('epsilon_for_life = "3"', 'epsilon_for_life = "1e9"', "epsilon_for_life"),
        ('epsilon_for_life = "3"', 'epsilon_for_life = "inf"', "epsilon_for_life"),
        ('unit = "patient"', 'unit = "hospital"', "unit"),
        ("records = 100", "records = 0", "records"),
        ('participant = "amber"', 'participant = "../amber"', "participant"),
        ("0" * 64, "0" * 63, "roster"),
        ("records = 100", "records = ", "site.toml"),
        ('openers = ["amber", "birch", "cedar"]', "", "openers"),
        ('"birch", "cedar"', '"Birch Hospital"', "openers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, named):
    """An operator who mistypes a limit must not run without it."""
    assert TEXT.count(old) == 1

    with pytest.raises(ConfigError, match=named):
        read(written(tmp_path, TEXT.replace(old, new)))


def test_the_ledger_is_in_the_state_folder_or_where_the_file_says(tmp_path):
    """A dataset that is in two federations names one ledger in both files."""
    own = read(written(tmp_path, TEXT))
    shared = read(
        written(tmp_path, TEXT.replace("records = 100", 'records = 100\nledger = "w.db"'))
    )

    assert ledger_of(own) == Path("state/ledger.sqlite")
    assert ledger_of(shared) == Path("w.db")


def test_a_missing_file_is_the_operators_error(tmp_path):
    """Not a traceback."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read(tmp_path / "none.toml")


def test_the_command_line_may_name_another_site(tmp_path):
    """`--site` brings other data, and changes no line of the policy."""
    config = read(written(tmp_path, TEXT))

    changed = with_site(config, "other:Site")

    assert changed.dataset.site == "other:Site"
    assert changed.policy == config.policy
    assert with_site(config, "") is config


def test_no_setting_names_what_protects_an_update():
    """A setting that chose a protector could choose one that protects nothing."""
    names = set()
    pending = [SiteConfig]
    while pending:
        for field in msgspec.structs.fields(pending.pop()):
            name, kind = field.name, field.type
            names.add(name)
            pending += [k for k in (kind, *getattr(kind, "__args__", ())) if is_settings(k)]

    assert {"schemes", "keystore", "site"} <= names
    assert not [n for n in names if any(w in n for w in ("protect", "plain", "debug", "witness"))]


def is_settings(kind):
    return isinstance(kind, type) and kind.__module__ == Policy.__module__


OFFICERS = f"""[policy.officers]
alice = "{"1" * 64}"
bob = "{"2" * 64}"
"""


def test_officers_are_named_with_their_keys(tmp_path):
    """Two of them, or none; who is not named cannot approve."""
    config = read(written(tmp_path, TEXT + OFFICERS))

    assert config.policy.officers == {"alice": "1" * 64, "bob": "2" * 64}
    assert read(written(tmp_path, TEXT)).policy.officers == {}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('bob = "' + "2" * 64 + '"', "", "at least two"),
        ("2" * 64, "1" * 64, "at least two"),
        ("2" * 64, "2" * 63, "officers"),
        ("bob", '"b b"', "officers"),
    ],
)
def test_one_officer_is_refused(tmp_path, old, new, named):
    """He would approve what he proposed."""
    text = TEXT + OFFICERS
    assert text.count(old) == 1

    with pytest.raises(ConfigError, match=named):
        read(written(tmp_path, text.replace(old, new)))


def test_limits_of_the_vectors_view_are_those_of_sums_unless_said(tmp_path):
    """And each can be said by itself."""
    said = TEXT.replace('delta = "0.001"', 'delta = "0.001"\nvector_epsilon_for_life = "9"')

    silent, spoken = (limits_of(read(written(tmp_path, text)).policy) for text in (TEXT, said))

    assert (silent.vector_epsilon_for_life, silent.vector_epsilon_per_round) == ("3", "1.5")
    assert (spoken.vector_epsilon_for_life, spoken.vector_epsilon_per_round) == ("9", "1.5")


SETTLED = f"""
[settlement]
rpc = "http://127.0.0.1:8545"
chain_id = 1
contract = "0x{"11" * 20}"
payee = "0x{"22" * 20}"
keystore = "gas.json"
passphrase = "passphrase"
"""


def paid(folder: Path, releases: str, method: str) -> SiteConfig:
    """The settings of a site whose policy accepts these releases, paid by that method."""
    named = f'method = "{method}"\n' if method else ""
    text = TEXT.replace('releases = ["participation"]', f"releases = {releases}")
    return read(written(folder, text + SETTLED + named))


@pytest.mark.parametrize(
    ("releases", "method"),
    [
        ('["participation"]', ""),
        ('["participation"]', "participation/1"),
        ('["participation", "alignment"]', "participation/1"),
        ('["participation", "alignment"]', "alignment/1"),
        ('["squared-norm", "alignment"]', "cosine/1"),
    ],
)
def test_a_site_names_a_method_by_which_it_can_be_paid(tmp_path, releases, method):
    """Where no plan that it accepts opens scores, there is one alone, and none need be named."""
    config = paid(tmp_path, releases, method)

    assert config.settlement is not None
    assert (config.settlement.method or "") == method


@pytest.mark.parametrize(
    ("releases", "method", "said"),
    [
        ('["alignment"]', "", r"settlement\.method: .* name the one .*: participation/1, align"),
        ('["participation"]', "alignment/1", "alignment/1 needs alignment, which policy.releases"),
        ('["alignment"]', "norm/1", "norm/1 needs squared-norm, which policy.releases does not"),
        ('["alignment"]', "shapley/1", "shapley"),
    ],
)
def test_a_site_that_could_be_paid_by_any_method_does_not_start(tmp_path, releases, method, said):
    """It would take whatever the coordinator pays by; or it would never be paid."""
    with pytest.raises(ConfigError, match=said):
        paid(tmp_path, releases, method)
