"""In a programme whose terms are not the plan's no commit is called sound: none can be judged."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from participant.auditing.disputing import Desk
from participant.settling import own_rounds
from participant.settling.dossier import Standing
from participant.settling.own_round import SOUND, Judged
from participant.settling.own_rounds import OwnRounds
from participant.settling.programme import Terms, commit_of, programme_at
from tests.contracts.settlement_run import settlement_run
from tests.participant.auditing.committed_round import PLAN, READER, commit
from veilsum.demo.chain import embedded_chain

TERMS = Terms(
    token="0x" + "11" * 20,
    coordinator="0x" + "22" * 20,
    end=1 << 40,
    window=10,
    response=2,
    bond=1,
    demand_bond=1,
    arithmetic=PLAN.arithmetic.digest(),
    leaves_per_chunk=READER.leaves(0),
    last_chunk_leaves=READER.leaves(PLAN.arithmetic.chunks - 1),
)
OTHERS = [
    replace(TERMS, arithmetic=b"\x01" * 32),
    replace(TERMS, leaves_per_chunk=TERMS.leaves_per_chunk + 1),
    replace(TERMS, last_chunk_leaves=TERMS.last_chunk_leaves + 1),
]


@dataclass
class Sees:
    """A site that finds every commit sound."""

    async def _seen(self, *asked: object) -> Any:
        return SimpleNamespace(plan=PLAN)

    def _own(self, *asked: object) -> Any:
        async def judge(of: object) -> Judged:
            return SOUND

        return SimpleNamespace(plan=PLAN, judge=judge)

    async def _outcome(self, *asked: object) -> Judged:
        return SOUND


def programme(terms: Terms) -> Any:
    state = SimpleNamespace(is_void=lambda _: False)
    return SimpleNamespace(terms=lambda: terms, time=lambda: 0, state=lambda: state)


def judged(terms: Terms) -> Judged:
    dossier, round_ = SimpleNamespace(round=1), SimpleNamespace(matures_at=9)
    asked = (dossier, commit(), None, None, programme(terms), round_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_rounds, "Commits", lambda _: None)
        return asyncio.run(OwnRounds._judged(Sees(), *asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("terms", OTHERS, ids=["arithmetic", "leaves", "last leaves"])
def test_a_site_says_that_nothing_could_be_proved(terms: Terms) -> None:
    """A coordinator that opened such a programme could add what it likes, and lose no bond."""
    found = judged(terms)

    assert found.standing is Standing.UNPROVED
    assert found.reason.startswith("the programme")


def test_a_site_finds_nothing_where_the_terms_are_the_plans() -> None:
    """The same commit, the same site."""
    assert judged(TERMS) is SOUND


@pytest.mark.parametrize("terms", OTHERS, ids=["arithmetic", "leaves", "last leaves"])
def test_an_auditor_says_so_too(terms: Terms) -> None:
    desk = Desk(None, None, (), None, programme(terms))  # type: ignore[arg-type]

    held = desk._unlike(commit(), PLAN)

    assert held is not None
    assert (held.finding.standing, held.accusation) == (Standing.UNPROVED, None)
    assert Desk(None, None, (), None, programme(TERMS))._unlike(commit(), PLAN) is None  # type: ignore[arg-type]


def test_a_commit_is_found_in_the_second_that_the_contract_keeps(tmp_path: Path) -> None:
    """Among rounds before and after it; by their times, and not by how far one looks back."""
    with embedded_chain() as url:
        run = settlement_run(url, tmp_path, sites=1)
        made = [run.statement(1, 10)]
        run.chain.commit(made[0])
        for number in (2, 5):
            made.append(run.statement(number, 10, made[-1]))
            run.chain.commit(made[-1])
        on_chain = programme_at(run.endpoint, str(run.chain.contract.address), run.programme)

        found = [commit_of(on_chain, number) for number in (1, 2, 5)]

        assert found == [each.commit for each in made]
        assert on_chain.committed(3) is None
