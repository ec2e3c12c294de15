"""The auditor holds the chain's commit against contributions, and writes what proves it false."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from participant.auditing import disputing, run
from participant.auditing.config import AuditedProgramme
from participant.auditing.disputing import Desk, status_of, words_of
from participant.auditing.run import look_at_both, text_of
from participant.settling.dossier import FOLDER, Dossiers, Standing
from participant.wire.seat_calls import SeatCalls
from privacy.contribution.scores import Method
from privacy.documents import Signed
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    IllegalEvent,
    NotYet,
    PolicyRefusal,
    WrongContext,
)
from privacy.settlement import accusation
from privacy.settlement.commitment import Commit
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.auditing.committed_round import (
    DOMAIN,
    PLAN,
    READER,
    ROUND,
    Shown,
    Trees,
    commit,
    off_by_one,
    released,
    scored,
)

PARTICIPATION, ALIGNMENT = Method.PARTICIPATION, Method.ALIGNMENT
FALSE = Trees({(1, 4, 1, 0): off_by_one})


class Chain:
    """A programme in which round 1 is committed as a test says."""

    def __init__(self, of: Commit | None) -> None:
        self.commit = of

    def round(self, number: int) -> Any:
        if self.commit is None:
            return None
        return SimpleNamespace(commit=self.commit.digest(), matures_at=1000)

    def committed(self, number: int) -> Commit | None:
        return self.commit

    def terms(self) -> Any:
        leaves = {"leaves_per_chunk": READER.leaves(0), "last_chunk_leaves": READER.leaves(1)}
        return SimpleNamespace(arithmetic=PLAN.arithmetic.digest(), **leaves)


class Told(Shown):
    async def commit(self, number: int) -> Commit:
        raise NotYet("it says nothing")


@pytest.fixture
def coordinator() -> work.Audited:
    found = work.Audited()
    found.audits(ROUND)
    found.releases[1] = released()
    return found


def settings(folder: Path, name: str = "watch", method: Method | None = PARTICIPATION) -> Any:
    """An auditor's settings, with a programme whose sites have agreed to a method."""
    access = AuditedProgramme(
        rpc="http://127.0.0.1:1",
        chain_id=DOMAIN.chain_id,
        contract=DOMAIN.contract,
        programme=DOMAIN.programme,
        keystore=folder / "key",
        passphrase=folder / "word",
        method=method,
    )
    return replace(work.config(folder, name), settlement=access)


def desk(
    folder: Path,
    coordinator: work.Audited,
    of: Commit | None,
    out: Path | None = None,
    rosters: Any = None,
    name: str = "watch",
    method: Method | None = PARTICIPATION,
) -> Desk:
    return Desk(
        settings(folder, name, method),
        coordinator,  # type: ignore[arg-type]
        rosters or [made.roster()],
        work.NoPatience(),
        Chain(of),  # type: ignore[arg-type]
        out,
    )


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the coordinator shows under its commits; of the commits themselves nothing."""
    told = Told(Trees())
    monkeypatch.setattr(disputing, "Commits", lambda _: told)
    monkeypatch.setattr("participant.settling.demand.answers_of", lambda *_: {})
    return told


async def test_an_honest_commit_is_sound_and_its_dossier_is_kept(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    """With it a node can be demanded when the coordinator is away."""
    finding = await desk(tmp_path, coordinator, commit()).look(1)

    assert (finding.standing, status_of(finding)) == (Standing.SOUND, 0)
    kept = Dossiers(tmp_path / FOLDER).of(1)
    assert kept is not None
    assert (kept.commit, kept.arithmetic) == (commit(), PLAN.arithmetic.encode().hex())


@pytest.mark.parametrize("named", [True, False])
async def test_a_false_commit_ends_with_2_and_a_file_to_challenge_with(
    tmp_path: Path, coordinator: work.Audited, shown: Told, named: bool
) -> None:
    """Where it was told to, or in the state folder."""
    shown.trees, false = FALSE, commit(FALSE)
    path = tmp_path / ("mine.json" if named else "proof-1.json")

    finding = await desk(tmp_path, coordinator, false, path if named else None).look(1)

    assert (finding.standing, status_of(finding), finding.file) == (Standing.FALSE, 2, str(path))
    assert accusation.decode(path.read_bytes()).commit == false
    assert f"proof of bad_sum: {path}" in words_of(finding)


async def test_what_is_withheld_ends_with_3_and_the_command_to_demand_it(
    tmp_path: Path, coordinator: work.Audited, shown: Told
) -> None:
    shown.trees, shown.withheld = FALSE, ("levels",)

    finding = await desk(tmp_path, coordinator, commit(FALSE)).look(1)

    assert (finding.standing, status_of(finding)) == (Standing.WITHHELD, 3)
    assert (
        "veilsum settle demand --round 1 --tree sum_trees --chunk 1 --leaf 4 --level 0 --index 0"
        in words_of(finding)
    )
    assert Dossiers(tmp_path / FOLDER).of(1) is not None


async def test_who_shows_all_is_audited_though_the_endpoint_tells_no_events(
    tmp_path: Path, coordinator: work.Audited, shown: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers on the chain are asked for only where the coordinator shows too little."""

    def none(*_: object) -> Any:
        raise ChainUnavailable("no endpoint tells the events Demanded")

    monkeypatch.setattr("participant.settling.demand.answers_of", none)
    sound = await desk(tmp_path, coordinator, commit()).look(1)
    shown.trees, shown.withheld = FALSE, ("levels",)

    with pytest.raises(ChainUnavailable, match="tells the events"):
        await desk(tmp_path, coordinator, commit(FALSE)).look(1)

    assert sound.standing is Standing.SOUND


@pytest.mark.parametrize(
    ("method", "total", "standing"),
    [
        (PARTICIPATION, "4", Standing.SOUND),
        (PARTICIPATION, "37", Standing.UNPROVED),
        (ALIGNMENT, "37", Standing.SOUND),
        (ALIGNMENT, "38", Standing.UNPROVED),
        (ALIGNMENT, "4", Standing.UNPROVED),
        (ALIGNMENT, "0", Standing.UNPROVED),
    ],
)
async def test_the_sum_of_scores_is_held_against_the_method_that_is_named(
    tmp_path: Path,
    coordinator: work.Audited,
    monkeypatch: pytest.MonkeyPatch,
    method: Method,
    total: str,
    standing: Standing,
) -> None:
    """Who pays by another method, or pays somebody besides, divides by another sum."""
    shows_scores(monkeypatch, scored(birch=7))

    finding = await desk(tmp_path, coordinator, commit(scores=total), method=method).look(1)

    assert finding.standing is standing
    if standing is Standing.UNPROVED:
        right = "37" if method is ALIGNMENT else "4"
        assert finding.reason.startswith(
            f"it pays by scores of {total} in all, where {method} makes scores of {right} in all"
        )
        assert status_of(finding) == 3


async def test_where_plans_open_scores_the_method_must_be_named(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    """Any of them would fit some commit, and so none is taken for granted."""
    with pytest.raises(ConfigError, match=r"settlement\.method: scores are opened in round 1"):
        await desk(tmp_path, coordinator, commit(), method=None).look(1)

    assert Dossiers(tmp_path / FOLDER).of(1) is not None, "with it a node can be demanded"


@pytest.mark.parametrize("signed", [None, scored("amber", birch=7)], ids=["none", "of-one-opener"])
async def test_scores_that_are_not_shown_are_withheld_and_no_node_is_to_be_demanded(
    tmp_path: Path,
    coordinator: work.Audited,
    monkeypatch: pytest.MonkeyPatch,
    signed: Signed | None,
) -> None:
    """No contract keeps scores; what cannot be compared is neither right nor wrong."""
    shows_scores(monkeypatch, signed)

    finding = await desk(tmp_path, coordinator, commit(scores="37"), method=ALIGNMENT).look(1)

    assert (finding.standing, finding.demand, status_of(finding)) == (Standing.WITHHELD, None, 3)
    assert "no signed scores" in words_of(finding)
    assert "is wrong" not in words_of(finding)


async def test_another_model_than_was_released_is_said_to_be_committed(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    """Whoever takes it from the registry has another model than openers have made."""
    finding = await desk(tmp_path, coordinator, commit(model="ab" * 32)).look(1)

    assert (finding.standing, status_of(finding)) == (Standing.UNPROVED, 3)
    assert f"where openers have released {'dd' * 8}…" in finding.reason


async def test_a_release_that_is_not_shown_accuses_nobody(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    """The auditor holds none of its own; what is committed has one, so it can be shown."""
    coordinator.releases.clear()

    finding = await desk(tmp_path, coordinator, commit()).look(1)

    assert (finding.standing, finding.demand) == (Standing.WITHHELD, None)


async def test_what_can_be_proved_is_said_before_what_cannot(
    tmp_path: Path, coordinator: work.Audited, shown: Told
) -> None:
    """A wrong sum costs the bond; a wrong model is for the judges."""
    shown.trees = FALSE

    finding = await desk(tmp_path, coordinator, commit(FALSE, model="ab" * 32)).look(1)

    assert finding.standing is Standing.FALSE


async def test_a_round_that_is_not_committed_is_said_to_be(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    finding = await desk(tmp_path, coordinator, None).look(1)

    assert (finding.standing, status_of(finding)) == (Standing.NONE, 0)
    assert "not committed to the chain" in words_of(finding)


async def test_a_plan_under_a_roster_that_nobody_admitted_is_refused(
    tmp_path: Path, coordinator: work.Audited
) -> None:
    """Its headers could be signed by anybody."""
    with pytest.raises(WrongContext, match="under a roster nobody admitted"):
        await desk(tmp_path, coordinator, commit(), rosters=[made.roster_with(amber="x")]).look(1)


async def test_a_trainer_is_told_nothing(tmp_path: Path, coordinator: work.Audited) -> None:
    """Contributions are handed to the auditor that the plan names."""
    with pytest.raises(PolicyRefusal):
        await desk(tmp_path, coordinator, commit(), name="amber").look(1)


async def test_with_a_chain_in_its_settings_the_command_says_both(
    tmp_path: Path, coordinator: work.Audited, shown: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was signed as the sum is right, and what was committed is not."""
    shown.trees = FALSE
    config = _with_chain(tmp_path, monkeypatch, commit(FALSE))

    finding = await look_at_both(config, made.keys("watch"), coordinator, 1)  # type: ignore[arg-type]

    assert finding.report is not None
    assert (finding.report.code, finding.commit and finding.commit.standing) == ("", Standing.FALSE)
    assert "the sum is that of its contributions" in text_of(finding)
    assert "is false: chunk 1, leaf 4" in text_of(finding)


async def test_a_released_round_is_looked_at_without_a_report(
    tmp_path: Path, coordinator: work.Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sum is not audited any more, and this auditor was away when it was."""
    config = _with_chain(tmp_path, monkeypatch, commit())

    async def over(*_: Any) -> Any:
        raise IllegalEvent("round 1 is done")

    monkeypatch.setattr(run, "look", over)

    finding = await look_at_both(config, made.keys("watch"), coordinator, 1)  # type: ignore[arg-type]

    assert finding.report is None
    assert finding.commit is not None
    assert finding.commit.standing is Standing.SOUND


async def test_what_is_neither_audited_nor_committed_stays_an_error(
    tmp_path: Path, coordinator: work.Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _with_chain(tmp_path, monkeypatch, None)
    coordinator.payloads.clear()

    with pytest.raises(NotYet):
        await look_at_both(config, made.keys("watch"), coordinator, 1)  # type: ignore[arg-type]


def shows_scores(monkeypatch: pytest.MonkeyPatch, signed: Signed | None) -> None:
    """Let the coordinator show these scores, or none."""

    async def scores(calls: SeatCalls, number: int) -> Signed:
        if signed is None:
            raise NotYet("round 1 has no scores: too few have signed the same")
        return signed

    monkeypatch.setattr(SeatCalls, "scores", scores)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)


def _with_chain(folder: Path, monkeypatch: pytest.MonkeyPatch, of: Commit | None) -> Any:
    """An auditor's settings that name a chain, on which a round is committed like that."""

    async def programme(_: Any) -> Any:
        return Chain(of)

    monkeypatch.setattr(run, "programme_of", programme)
    return settings(folder)
