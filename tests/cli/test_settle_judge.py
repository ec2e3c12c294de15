"""`veilsum settle accuse` and `judge`, as an auditor and judges type them, against a chain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner

from participant.auditing import accusing
from participant.auditing.accusing import Written
from participant.kept import FOLDER, Kept
from privacy import canonical
from privacy.errors import NotYet
from privacy.roster import SignedRoster
from privacy.settlement.verdict import SignedVerdict
from tests.chain.fake_signer import FakeSigner, served
from tests.contracts.settlement_run import LIGHT
from tests.participant import pledged
from tests.participant.settling.lied_programme import SEAT_BOND, Lied, lied
from tests.settling.settled_member import auditor_file
from veilsum.chain.digests import signer_of_digest
from veilsum.cli import app
from veilsum.demo.chain import embedded_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def case(chain: tuple[str, Path]) -> Lied:
    return lied(*chain)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["settle", *map(str, words)])


def keystore(folder: Path, name: str, key: LocalAccount) -> str:
    """The name of a file with a key of the test's."""
    path = folder / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(Account.encrypt(key.key, "of the test", iterations=LIGHT)))
        path.chmod(0o600)
    return name


def member(folder: Path, case: Lied, url: str, key: str = "gas", *, knows: bool = True) -> Path:
    """A member's file, in a folder of its own; it has seen the roster."""
    folder.mkdir()
    config = auditor_file(folder, case.run, url, key)
    if knows:
        Kept(folder / "auditor" / FOLDER).keep_rosters([SignedRoster(pledged.roster(), {})])
    return config


def judge(folder: Path, case: Lied, url: str, number: int) -> Path:
    name = keystore(case.run.folder, f"judge-{number}", pledged.JUDGES[number])
    return member(folder, case, url, name)


@pytest.fixture
def evidence(case: Lied, tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_bytes(canonical.encode(case.evidence))
    return path


def test_two_judges_and_one_command_slash_a_seat(
    case: Lied, chain: tuple[str, Path], evidence: Path, tmp_path: Path
) -> None:
    """From the auditor's file to the slashed bond: looked at, signed, carried out."""
    url, _ = chain
    files = []
    for number in (1, 0):
        config = judge(tmp_path / f"judge-{number}", case, url, number)
        out = tmp_path / f"verdict-{number}.json"
        looked = run("judge", "--config", config, "--evidence", evidence)
        assert looked.exit_code == 0, looked.output
        assert "round 1: fern lied, says watch" in looked.stdout
        assert f"{SEAT_BOND} token units to lose" in looked.stdout
        assert "Nothing is signed" in looked.stdout
        assert not out.exists()
        ended = run("judge", "--config", config, "--evidence", evidence, "--out", out)
        assert ended.exit_code == 0, ended.output
        assert f"signed     {out}" in ended.stdout
        files.append(out)
    config = member(tmp_path / "anyone", case, url)
    words = ("judge", "--config", config, "--evidence", evidence, "--submit")

    early = run(*words, "--verdict", files[0])
    done = run(*words, "--verdict", files[0], "--verdict", files[1])
    again = run(*words, "--verdict", files[1], "--verdict", files[0], "--json")

    assert early.exit_code == 3, early.output
    assert "1 of 3 judges" in early.stderr
    assert done.exit_code == 0, done.output
    assert f"slashed    {SEAT_BOND} token units, all burned" in done.stdout
    assert (json.loads(again.stdout)["slashed"], again.exit_code) == (str(SEAT_BOND), 0)


def test_a_judge_whose_key_is_elsewhere_signs_there_and_waits_for_nobody(
    case: Lied, chain: tuple[str, Path], evidence: Path, tmp_path: Path
) -> None:
    """While the signer is away the command ends with 5; later it is run again."""
    out = tmp_path / "verdict.json"
    with served(FakeSigner(key=pledged.JUDGES[2])) as signer:
        config = elsewhere(member(tmp_path / "judge", case, chain[0]), signer, pledged.JUDGES[2])
        ended = run("judge", "--config", config, "--evidence", evidence, "--out", out)
    away = run("judge", "--config", config, "--evidence", evidence, "--out", tmp_path / "none")

    assert ended.exit_code == 0, ended.output
    verdict = canonical.decode(out.read_bytes().strip(), SignedVerdict)
    accused = case.court().examine(case.evidence, pledged.roster())
    signed = bytes.fromhex(verdict.signature)
    assert signer_of_digest(accused.digest(), signed) == verdict.judge == pledged.NAMES[2]
    assert (away.exit_code, (tmp_path / "none").exists()) == (5, False), away.output


def elsewhere(config: Path, url: str, key: LocalAccount) -> Path:
    """The same file, with its key at a signer."""
    lines = [
        line
        for line in config.read_text().splitlines()
        if not line.startswith(("keystore", "passphrase"))
    ]
    signer = ["[settlement.signer]", f'url = "{url}"', f'address = "{key.address}"', ""]
    config.write_text("\n".join([*lines, *signer]))
    return config


def test_evidence_that_does_not_hold_ends_with_3(
    case: Lied, chain: tuple[str, Path], evidence: Path, tmp_path: Path
) -> None:
    """By the table: nobody signs, whoever has the key."""
    evidence.write_bytes(canonical.encode(pledged.evidence(signer=pledged.HONEST)))
    config, out = judge(tmp_path / "judge", case, chain[0], 2), tmp_path / "verdict.json"

    ended = run("judge", "--config", config, "--evidence", evidence, "--out", out)

    assert ended.exit_code == 3, ended.output
    assert not out.exists()


def test_who_has_not_seen_the_roster_judges_nobody(
    case: Lied, chain: tuple[str, Path], evidence: Path, tmp_path: Path
) -> None:
    """Whose keys are whose is never taken from the evidence."""
    config = member(tmp_path / "member", case, chain[0], knows=False)

    ended = run("judge", "--config", config, "--evidence", evidence)

    assert ended.exit_code != 0
    assert "not among those that this member has seen" in ended.stderr


@pytest.mark.parametrize(
    "words", [("--submit",), ("--verdict", "a"), ("--out", "a", "--submit", "--verdict", "b")]
)
def test_acts_that_do_not_go_together_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    ended = run("judge", "--config", tmp_path / "auditor.toml", "--evidence", "e", *words)

    assert ended.exit_code != 0
    assert "--submit" in ended.stderr


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (Written(1, "fern", "0xab", "/evidence.json"), 0, "fern: /evidence.json, against 0xab"),
        (Written(1, "fern", "", ""), 3, "fern: it has pledged nothing"),
        (NotYet("has found no seat that lied"), 5, "has found no seat that lied"),
    ],
)
def test_an_auditor_is_told_where_evidence_is(
    found: Written | NotYet,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    case: Lied,
    chain: tuple[str, Path],
    tmp_path: Path,
) -> None:
    """Or that there is none, and why."""

    async def accuse_of(config: Any, number: int) -> tuple[Written, ...]:
        if isinstance(found, NotYet):
            raise found
        return (found,)

    monkeypatch.setattr(accusing, "accuse_of", accuse_of)
    config = member(tmp_path / "auditor", case, chain[0])

    ended = run("accuse", "--config", config, "--round", 1)

    assert ended.exit_code == status, ended.output
    assert said in ended.output
