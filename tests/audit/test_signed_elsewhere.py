"""Officers sign on machines of their own: files go to and fro, and keys stay where they are."""

import json

import pytest
from msgspec.structs import replace

from privacy.errors import ConfigError
from privacy.ledger import RowType
from tests.audit.test_budget_commands import at_work, in_force, signed_by, site, typed
from veilsum.audit import signed_elsewhere as papers

RAISE = ("--epsilon-for-life", "80", "--vector-epsilon-for-life", "80")


def draft(folder, path, name="alice", *words):
    """The site writes down what an officer wants."""
    about = ("--state", folder, "--officer", name, "--out", path)
    return typed("budget", "set", *about, *(words or RAISE))


def sign(folder, path, name):
    """An officer signs it; of the site's folder only that officer's key is there."""
    digest = papers.digest_in(papers.read(path))
    return typed("budget", "sign", path, "--key", folder / f"{name}.key", "--proposal", digest)


def submit(folder, path):
    return typed("budget", "submit", path, "--state", folder, "--json")


def rows(folder):
    with at_work(folder) as ledger:
        return ledger.rows()


def test_a_limit_rises_by_two_files_while_the_agent_goes_on(tmp_path):
    """The ledger grows meanwhile: what is signed is the policy, and what it replaces."""
    folder, asked, agreed = site(tmp_path), tmp_path / "proposal.json", tmp_path / "approval.json"
    draft(folder, asked)
    with at_work(folder) as agent:
        agent.mark()

    codes = [sign(folder, asked, "alice")[0]]
    code, text = submit(folder, asked)
    row = json.loads(text)["row"]
    between = in_force(folder).epsilon_for_life
    about = ("--state", folder, "--row", row, "--officer", "bob", "--out", agreed)
    codes += [code, typed("budget", "approve", *about)[0]]
    with at_work(folder) as agent:
        agent.mark()
    codes += [sign(folder, agreed, "bob")[0], submit(folder, agreed)[0]]

    assert codes == [0] * 5
    assert between == "60"
    assert in_force(folder).epsilon_for_life == "80"


def test_who_signs_sees_what_differs_from_what_is_agreed(tmp_path):
    folder = site(tmp_path)

    _, text = draft(folder, tmp_path / "proposal.json")

    assert "* epsilon_for_life 80 (agreed: 60)" in text
    assert "nothing is signed yet" in text


def test_one_officer_cannot_sign_both_files(tmp_path):
    folder, asked, agreed = site(tmp_path), tmp_path / "proposal.json", tmp_path / "approval.json"
    draft(folder, asked)
    sign(folder, asked, "alice")
    row = json.loads(submit(folder, asked)[1])["row"]

    typed(
        "budget", "approve", "--state", folder, "--row", row, "--officer", "alice", "--out", agreed
    )
    own, _ = sign(folder, agreed, "alice")
    typed("budget", "approve", "--state", folder, "--row", row, "--officer", "bob", "--out", agreed)
    others, _ = sign(folder, agreed, "alice")

    assert (own, others) == (2, 2)
    assert in_force(folder).epsilon_for_life == "60"


def test_what_is_not_signed_is_not_recorded(tmp_path):
    folder, asked = site(tmp_path), tmp_path / "proposal.json"
    draft(folder, asked)
    before = rows(folder)

    code, text = submit(folder, asked)

    assert code == 2
    assert "not signed" in text
    assert rows(folder) == before


def test_what_is_changed_after_it_was_signed_is_refused(tmp_path):
    """The file goes through the operator's hands."""
    folder, asked = site(tmp_path), tmp_path / "proposal.json"
    draft(folder, asked)
    sign(folder, asked, "alice")
    asked.write_text(asked.read_text().replace('"80"', '"800"'))

    code, _ = submit(folder, asked)

    assert code == 2
    assert not [
        row for row in rows(folder) if row.type is RowType.POLICY_SET and row.policy.proposer
    ]


def test_an_officer_does_not_sign_against_another_agreement_than_is_shown(tmp_path):
    """Or 80 could be shown as what is agreed, and nothing as new."""
    folder, asked = site(tmp_path), tmp_path / "proposal.json"
    draft(folder, asked)
    paper = papers.read(asked)
    shown = replace(paper, agreed=replace(paper.agreed, epsilon_for_life="80"))

    with pytest.raises(ConfigError, match="not what the proposal replaces"):
        papers.sign(shown, folder / "alice.key")


def test_a_file_that_was_signed_before_another_agreement_is_void(tmp_path):
    """What officers have lowered since must not rise by an old signature."""
    folder, old, new = site(tmp_path), tmp_path / "old.json", tmp_path / "new.json"
    for path, value in ((old, "80"), (new, "70")):
        draft(folder, path, "alice", "--epsilon-for-life", value)
        sign(folder, path, "alice")
    made = json.loads(submit(folder, new)[1])
    consent = ("--row", made["row"], "--proposal", made["proposal"])
    assert typed("budget", "approve", *consent, *signed_by(folder, "bob"))[0] == 0

    code, text = submit(folder, old)

    assert code == 2
    assert "propose again" in text


def test_a_stranger_is_refused_before_a_row_is_written(tmp_path):
    folder = site(tmp_path)
    before = rows(folder)

    draft_code, _ = draft(folder, tmp_path / "proposal.json", "carol")
    set_code, _ = typed("budget", "set", *signed_by(folder, "carol"), *RAISE)

    assert (draft_code, set_code) == (2, 2)
    assert rows(folder) == before
    assert not (tmp_path / "proposal.json").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "proposal"}', "\x00"])
def test_what_is_no_such_file_is_said_to_be_none(tmp_path, text):
    (tmp_path / "paper.json").write_text(text)

    with pytest.raises(ConfigError, match="no proposal and no approval"):
        papers.read(tmp_path / "paper.json")


def test_a_key_or_a_file_is_asked_for(tmp_path):
    folder = site(tmp_path)

    code, text = typed("budget", "set", "--state", folder, "--officer", "alice", *RAISE)

    assert code == 2
    assert "--out" in text
