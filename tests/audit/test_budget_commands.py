"""What officers and operators do to a budget, typed as they type it, on a real ledger."""

import json
import stat
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from coordinator.keys import load_signing_key
from participant.keys import load_keys
from participant.memory import Memory
from privacy.budget import costs_of
from privacy.errors import BudgetExhausted
from privacy.events import Events, Gaussian
from privacy.ledger import RowType
from privacy.signing import public_bytes
from tests.audit import state_folder
from tests.privacy.evidence import example_bundle as made
from veilsum.audit.budget import opened
from veilsum.audit.folder import site_of
from veilsum.cli import app

STATUS, FORECAST = ("audit", "status"), ("budget", "forecast")


def typed(*words, answer=""):
    """Run a command; its exit status and what it printed, stdout alone where that is JSON."""
    done = CliRunner().invoke(app, list(map(str, words)), input=answer)
    whole = "--json" not in words or done.exit_code
    return done.exit_code, done.output if whole else done.stdout


def site(folder, rounds=2):
    """A state folder whose site has recorded two officers and 60, and then wrote 90 in its file."""
    state_folder.make(folder, rounds)
    lines = [officer(folder, name) for name in ("alice", "bob", "carol")]
    text = (folder / "site.toml").read_text() + "\n[policy.officers]\n" + "".join(lines[:2])
    (folder / "site.toml").write_text(text)
    with at_work(folder) as ledger:
        ledger.set_policy(site_of(folder, None).policy.officers)
    (folder / "site.toml").write_text(text.replace('life = "60"', 'life = "90"'))
    return folder


def at_work(folder):
    """The ledger, as the site's agent holds it."""
    return opened(site_of(folder, None), lambda: 1_800_000_100.0, "agent")


def officer(folder, name):
    """Make an officer's key, and return the line for the site's file."""
    code, line = typed("budget", "officer", "--out", folder / f"{name}.key")
    assert code == 0
    return line


def signed_by(folder, name):
    return ("--state", folder, "--officer", name, "--key", folder / f"{name}.key")


def in_force(folder):
    with at_work(folder) as ledger:
        return ledger.limits()


def test_an_officers_key_is_private_and_its_line_fits_the_sites_file(tmp_path):
    line = officer(tmp_path, "alice")

    mode = stat.S_IMODE((tmp_path / "alice.key").stat().st_mode)
    assert mode == 0o600
    assert line.startswith('alice = "')
    assert len(line.strip()) == len('alice = ""') + 64
    assert "PRIVATE" not in line


def test_an_officers_key_is_never_overwritten(tmp_path):
    officer(tmp_path, "alice")
    before = (tmp_path / "alice.key").read_bytes()

    code, _ = typed("budget", "officer", "--out", tmp_path / "alice.key")

    assert code == 2
    assert (tmp_path / "alice.key").read_bytes() == before


def test_a_limit_rises_when_two_officers_agree(tmp_path):
    folder = site(tmp_path)
    raise_to = ("--epsilon-for-life", "80", "--vector-epsilon-for-life", "80", "--json")
    start = in_force(folder)

    code, text = typed("budget", "set", *signed_by(folder, "alice"), *raise_to)
    proposed = json.loads(text)
    between = in_force(folder)
    named = ("--row", proposed["row"], "--proposal", proposed["proposal"])
    approved, _ = typed("budget", "approve", *named, *signed_by(folder, "bob"))

    assert (code, approved) == (0, 0)
    assert proposed["approved"] is False
    assert between.epsilon_for_life == start.epsilon_for_life
    assert in_force(folder).epsilon_for_life == "80"


def test_one_person_cannot_raise_a_limit(tmp_path):
    """Not by approving twice, not under the other's name, not as somebody who is no officer."""
    folder = site(tmp_path)
    _, text = typed(
        "budget", "set", *signed_by(folder, "alice"), "--epsilon-for-life", "80", "--json"
    )
    proposed = json.loads(text)
    named = ("--row", proposed["row"], "--proposal", proposed["proposal"])
    before = in_force(folder)
    attempts = (
        signed_by(folder, "alice"),
        ("--state", folder, "--officer", "bob", "--key", folder / "alice.key"),
        signed_by(folder, "carol"),
    )

    codes = [typed("budget", "approve", *named, *attempt)[0] for attempt in attempts]

    assert codes == [2, 2, 2]
    assert in_force(folder) == before


def test_a_stranger_cannot_propose(tmp_path):
    folder = site(tmp_path)

    code, _ = typed("budget", "set", *signed_by(folder, "carol"), "--epsilon-for-life", "80")

    assert code == 2


def test_a_lower_limit_counts_at_once(tmp_path):
    """To protect more, nobody has to wait."""
    folder = site(tmp_path)

    code, text = typed("budget", "set", *signed_by(folder, "bob"), "--epsilon-for-life", "20")

    assert code == 0
    assert "another officer must act" in text
    assert in_force(folder).epsilon_for_life == "20"


def test_a_site_without_officers_is_told_where_its_limits_are_set(tmp_path):
    state_folder.make(tmp_path)
    officer(tmp_path, "alice")

    code, text = typed("budget", "set", *signed_by(tmp_path, "alice"), "--delta", "0.0001")

    assert code == 2
    assert "policy.officers" in text


def test_a_change_of_nothing_is_no_proposal(tmp_path):
    code, text = typed("budget", "set", *signed_by(site(tmp_path), "alice"))

    assert code == 2
    assert "epsilon_for_life" in text


def with_officers_in_file(folder, *names):
    """What Eve does, who may edit the site's file and nothing else."""
    text = (folder / "site.toml").read_text()
    before = text[: text.index("[policy.officers]")]
    lines = (f'{name} = "{public(folder, name)}"' for name in names)
    (folder / "site.toml").write_text(before + "[policy.officers]\n" + "\n".join(lines) + "\n")


def public(folder, name):
    """An officer's public key in hex; the key is made if there is none."""
    path = folder / f"{name}.key"
    if not path.exists():
        officer(folder, name)
    return public_bytes(load_signing_key(path)).hex()


def test_who_edits_the_file_does_not_become_two_officers(tmp_path):
    """Alice lowers a limit, bob approves it, and Eve has written two names of hers in between."""
    folder = site(tmp_path)
    with_officers_in_file(folder, "alice", "bob", "eve1", "eve2")
    lower = ("--epsilon-for-life", "20", "--json")
    _, text = typed("budget", "set", *signed_by(folder, "alice"), *lower)
    proposed = json.loads(text)
    named = ("--row", proposed["row"], "--proposal", proposed["proposal"])
    approved, _ = typed("budget", "approve", *named, *signed_by(folder, "bob"))
    with_officers_in_file(folder, "eve1", "eve2")

    code, why = typed("budget", "set", *signed_by(folder, "eve1"), "--epsilon-for-life", "90")

    assert (approved, code) == (0, 2)
    assert set(proposed["officers"]) == {"alice", "bob"}
    assert "eve1: not one of the officers (alice, bob)" in why
    with at_work(folder) as ledger:
        assert set(ledger.state().standing.officers()) == {"alice", "bob"}


def test_other_officers_are_asked_for_and_shown_to_both_before_they_sign(tmp_path):
    """With their keys, and with a mark at what is not as agreed."""
    folder = site(tmp_path)
    with_officers_in_file(folder, "alice", "carol")
    asked = ("budget", "set", *signed_by(folder, "alice"), "--officers-from-site-toml")

    _, shown = typed(*asked)
    with at_work(folder) as ledger:
        ((row, _),) = ledger.state().standing.proposed.items()
    asked = ("budget", "approve", "--row", row, *signed_by(folder, "bob"))
    code, again = typed(*asked, answer="y\n")

    for text in (shown, again):
        before, _, after = text.partition("row ")
        assert f"* officer carol {public(folder, 'carol')} (agreed: none)" in before
        assert f"* officer bob none (agreed: {public(folder, 'bob')})" in before
        assert f"  officer alice {public(folder, 'alice')}" in before
        assert "  epsilon_for_life 60" in before
        assert after
    assert code == 0
    with at_work(folder) as ledger:
        assert set(ledger.state().standing.officers()) == {"alice", "carol"}


def test_an_approval_names_what_it_approves(tmp_path):
    """By a digest that alice has told bob, or by bob's answer; else nothing is signed."""
    folder = site(tmp_path)
    _, text = typed(
        "budget", "set", *signed_by(folder, "alice"), "--epsilon-for-life", "80", "--json"
    )
    proposed = json.loads(text)
    approve = ("budget", "approve", "--row", proposed["row"], *signed_by(folder, "bob"))

    other, why = typed(*approve, "--proposal", "0" * 64)
    nobody, words = typed(*approve)
    no, _ = typed(*approve, answer="n\n")
    before = in_force(folder).epsilon_for_life
    code, _ = typed(*approve, "--proposal", proposed["proposal"])

    assert (other, nobody, no, before) == (2, 2, 2, "60")
    assert f"proposes {proposed['proposal']}, not 0000" in why
    assert f"--proposal {proposed['proposal']}" in words
    assert (code, in_force(folder).epsilon_for_life) == (0, "80")


def renamed(folder, name):
    """One line of the site's file, edited."""
    text = (folder / "site.toml").read_text()
    (folder / "site.toml").write_text(text.replace('id = "ward"', f'id = "{name}"'))


def test_a_dataset_is_begun_by_a_command_and_not_by_a_name(tmp_path):
    """Where no officers stand behind the limits, whoever types it stands in the row."""
    state_folder.make(tmp_path, 1)
    renamed(tmp_path, "lungs")

    code, text = typed("budget", "dataset", "--state", tmp_path, "--json")

    assert code == 0
    assert [one["dataset"] for one in json.loads(text)["datasets"]] == ["lungs", "ward"]
    with at_work(tmp_path) as ledger:
        begun = [row for row in ledger.rows() if row.type is RowType.DATASET_REGISTER]
    assert [(row.dataset.id, row.actor) for row in begun][1:] == [("lungs", "operator")]


def test_a_dataset_is_begun_by_two_officers_where_there_are_some(tmp_path):
    """A new budget is a higher limit."""
    folder = site(tmp_path)
    renamed(folder, "lungs")
    begin = ("budget", "dataset", "--state", folder)
    refused, why = typed(*begin)
    _, text = typed("budget", "set", *signed_by(folder, "alice"), "--dataset", "lungs", "--json")
    proposed = json.loads(text)
    alone, _ = typed(*begin)
    approve = ("budget", "approve", "--row", proposed["row"], *signed_by(folder, "bob"))

    _, shown = typed(*approve, "--proposal", proposed["proposal"])

    assert (refused, alone, proposed["datasets"]) == (2, 2, ["lungs"])
    assert "two officers agree to it: veilsum budget set --dataset lungs" in why
    assert "* dataset lungs may begin a budget (agreed: none)" in shown
    assert typed(*begin)[0] == 0


def commands(folder):
    """Every command that writes to a ledger."""
    noise = ("--noise-multiplier", "20", "--text", "why")
    return (
        ("budget", "preprocess", "--state", folder, *noise),
        ("budget", "adjust", "--state", folder, *noise),
        ("budget", "set", *signed_by(folder, "alice"), "--epsilon-for-life", "50"),
        ("audit", "export", "--state", folder, "--out", folder / "out.bundle"),
    )


@pytest.mark.parametrize("at", range(4))
def test_what_a_command_writes_the_site_remembers(tmp_path, at):
    """Else an older copy that is put back is not noticed, and a use of the data is forgotten."""
    folder = site(tmp_path, 1)

    code, _ = typed(*commands(folder)[at])

    memory = Memory(folder)
    with at_work(folder) as ledger:
        assert (code, memory.ledger_seen()) == (0, ledger.checkpoint())
    memory.close()


@pytest.mark.parametrize("at", range(4))
def test_no_command_writes_to_an_older_copy(tmp_path, at):
    """It would go on from there, and both be lost."""
    folder = site(tmp_path, 1)
    old = (folder / "ledger.sqlite").read_bytes()
    typed(*commands(folder)[0])
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    (folder / "ledger.sqlite").write_bytes(old)
    (folder / "ledger.sqlite").chmod(0o600)

    code, why = typed(*commands(folder)[at])

    assert code != 0
    assert "ledger_rolled_back" in why


def test_status_says_what_the_ledger_says(tmp_path):
    state_folder.make(tmp_path, 2)
    spent = costs_of(made.EVENTS).times(2)

    code, text = typed("audit", "status", "--state", tmp_path, "--json")

    status = json.loads(text)
    (one,) = status["datasets"]
    assert (code, status["mirror"], one["rounds"]) == (0, False, 2)
    for view in ("sums", "vector"):
        expected = getattr(spent, view).epsilon(0.001)
        assert one[view]["committed"] == pytest.approx(expected, rel=1e-9)
        assert one[view]["limit"] == 60.0
        assert one[view]["remaining"] == pytest.approx(60.0 - expected, rel=1e-9)
    with at_work(tmp_path) as ledger:
        head = ledger.checkpoint()
    assert (status["size"], status["root"]) == (head.size, head.root)


def test_status_can_be_asked_while_the_agent_holds_the_ledger(tmp_path):
    state_folder.make(tmp_path, 1)

    with at_work(tmp_path) as agent:
        held = agent.reserve("ward", "next", made.EVENTS, "1", 3, made.plan(2).digest())
        code, text = typed("audit", "status", "--state", tmp_path)

    assert code == 0
    assert f"{held}: 3 rounds set aside for next" in text
    assert "one opened update" in text


def test_status_of_a_proposal_says_who_must_act(tmp_path):
    folder = site(tmp_path)
    typed("budget", "set", *signed_by(folder, "alice"), "--epsilon-for-life", "80")

    _, text = typed("audit", "status", "--state", folder)

    assert "proposed by alice; another officer must act" in text


def test_nothing_is_begun_by_a_question(tmp_path):
    """A status of a site that has never run must not leave an empty ledger behind."""
    state_folder.make(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()

    asked = [typed(*words, "--state", tmp_path) for words in (STATUS, FORECAST)]

    assert [code for code, _ in asked] == [2, 2]
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_forecast_is_what_the_ledger_would_let_through(tmp_path):
    state_folder.make(tmp_path, 2)

    code, text = typed("budget", "forecast", "--state", tmp_path, "--json")

    found = json.loads(text)
    with at_work(tmp_path) as ledger:
        budgets, cost = ledger.budgets("ward"), costs_of(made.EVENTS)
    budgets.check(cost.times(found["rounds"]))
    assert code == 0
    assert found["stopped_by"] in {"sums", "vector"}
    with pytest.raises(BudgetExhausted, match="limit 60"):
        budgets.check(cost.times(found["rounds"] + 1))
    assert found["epsilon_sums"] == pytest.approx(cost.sums.epsilon(0.001))
    assert datetime.fromisoformat(found["exhausted"]) > datetime.now(UTC)


def test_a_forecast_for_another_order_needs_no_round(tmp_path):
    state_folder.make(tmp_path, 0)
    asked = ("budget", "forecast", "--state", tmp_path, "--json")
    order = ("--noise-multiplier", "20", "--vector-noise-multiplier", "10", "--steps", "5")

    none, text = typed(*asked)
    code, answer = typed(*asked, *order)

    assert none == 2
    assert "--noise-multiplier" in text
    found = json.loads(answer)
    assert code == 0
    assert found["epsilon_vector"] > found["epsilon_sums"] > 0
    assert found["stopped_by"] == "vector"
    assert found["exhausted"] is None


def test_a_use_outside_of_rounds_is_spent_and_can_be_refused(tmp_path):
    state_folder.make(tmp_path, 1)
    look = ("budget", "preprocess", "--state", tmp_path, "--text", "means of age")
    before = costs_of(made.EVENTS)

    code, text = typed(*look, "--noise-multiplier", "5", "--json")
    refused, why = typed(*look, "--noise-multiplier", "0.05")

    expected = before + costs_of(Events(Gaussian("5"), Gaussian("5")))
    (one,) = json.loads(text)["datasets"]
    assert code == 0
    assert one["sums"]["committed"] == pytest.approx(expected.sums.epsilon(0.001), rel=1e-6)
    assert refused == 4
    assert "budget_exhausted" in why


def test_a_correction_is_never_refused_and_ends_above_the_limit(tmp_path):
    state_folder.make(tmp_path, 1)
    words = ("--text", "found in an old log", "--noise-multiplier", "0.05", "--json")

    code, text = typed("budget", "adjust", "--state", tmp_path, *words)

    (one,) = json.loads(text)["datasets"]
    assert code == 0
    assert one["sums"]["committed"] > one["sums"]["limit"]
    assert one["sums"]["remaining"] == 0.0


def test_a_reservation_is_given_back_on_evidence(tmp_path):
    state_folder.make(tmp_path, 1)
    with at_work(tmp_path) as agent:
        held = agent.reserve("ward", "next", made.EVENTS, "1", 3, made.plan(2).digest())
    (tmp_path / "over.txt").write_text("the programme has ended")
    asked = ("budget", "retire", "--state", tmp_path, "--reservation", held)

    missing, _ = typed(*asked, "--evidence", tmp_path / "none.txt")
    code, text = typed(*asked, "--evidence", tmp_path / "over.txt", "--json")
    _, again = typed(*asked, "--evidence", tmp_path / "over.txt", "--json")

    (one,) = json.loads(text)["datasets"]
    assert (missing, code) == (2, 0)
    assert again == text
    assert one["open"] == []
    assert one["sums"]["reserved"] == 0.0


def test_what_is_committed_is_not_given_back(tmp_path):
    state_folder.make(tmp_path, 1)
    with at_work(tmp_path) as ledger:
        (spent,) = ledger.state().reservations
    asked = ("budget", "retire", "--state", tmp_path, "--reservation", spent)

    code, text = typed(*asked, "--evidence", tmp_path / "site.toml")

    assert code == 2
    assert "committed" in text
    assert "who must act: the operator of this process" in text


def test_rows_name_who_acted(tmp_path):
    folder = site(tmp_path)
    typed("budget", "set", *signed_by(folder, "alice"), "--epsilon-for-life", "20")
    words = ("--noise-multiplier", "9", "--text", "scales")
    typed("budget", "preprocess", "--state", folder, *words)

    with at_work(folder) as ledger:
        rows = ledger.rows()

    assert [row.actor for row in rows if row.type is RowType.POLICY_SET][-1] == "alice"
    assert [row.actor for row in rows if row.type is RowType.PREPROC] == ["operator"]
    assert {row.key for row in rows} == {public_bytes(load_keys(folder / "keys").signing).hex()}


def test_a_report_from_a_state_folder_is_written_and_ends_as_verify_does(tmp_path):
    state_folder.make(tmp_path / "site", 2)
    out = tmp_path / "out"

    code, text = typed("audit", "report", "--state", tmp_path / "site", "--out", out)

    assert code == 3
    assert "evidence missing" in text
    names = sorted(path.name for path in out.iterdir())
    assert names == ["registry.json", "report.html", "report.json", "report.pdf"]


def test_a_report_on_a_bundle_with_keys_and_policy_is_verified(tmp_path):
    (tmp_path / "amber.evidence").write_bytes(made.bundle())
    (tmp_path / "keys.toml").write_text(f'roster = "{made.KEYS.roster}"\n')
    given = ("--keys", tmp_path / "keys.toml", "--release", "1", "--out", tmp_path / "out")

    code, text = typed("audit", "report", tmp_path / "amber.evidence", *given)

    assert code == 0, text
    assert text.startswith("verified")
    numbers = json.loads((tmp_path / "out" / "report.json").read_text())
    assert numbers["release"]["round"] == 1


@pytest.mark.parametrize("words", [(), ("none.evidence",)])
def test_a_report_on_nothing_says_who_must_act(tmp_path, words):
    code, text = typed("audit", "report", *words, "--out", tmp_path / "out")

    assert code == 3
    assert "who must act" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("forecast",), ("preprocess", "--text", "x")])
def test_a_number_that_is_none_is_the_typists_to_mend(tmp_path, words):
    """No peer has sent it."""
    state_folder.make(tmp_path, 1)

    asked = ("budget", *words, "--state", tmp_path, "--noise-multiplier", "abc")
    code, text = typed(*asked)

    assert code == 2
    assert "--noise-multiplier 'abc'" in text
    assert "who must act: the operator of this process" in text


def test_a_forecast_with_no_round_left_says_so(tmp_path):
    state_folder.make(tmp_path, 2)
    words = ("--text", "found in an old log", "--noise-multiplier", "0.05")
    typed("budget", "adjust", "--state", tmp_path, *words)

    code, text = typed("budget", "forecast", "--state", tmp_path)

    assert code == 0
    assert "no round is left" in text
    assert "until" not in text


def test_status_names_limits_of_the_file_that_do_not_count_yet(tmp_path):
    """Who edits the file must not believe that it counts before the agent has read it."""
    state_folder.make(tmp_path, 1)
    path = tmp_path / "site.toml"
    path.write_text(path.read_text().replace('life = "60"', 'life = "90"'))

    _, before = typed("audit", "status", "--state", tmp_path)
    typed("budget", "preprocess", "--state", tmp_path, "--noise-multiplier", "9", "--text", "x")
    _, after = typed("audit", "status", "--state", tmp_path)

    assert "site.toml says epsilon_for_life = 90; it counts once the agent has started" in before
    assert "site.toml says" not in after
    assert in_force(tmp_path).epsilon_for_life == "90"
