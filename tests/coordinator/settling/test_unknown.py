"""A coordinator that was put back to before a commit says so: it cannot answer for it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from coordinator.settling.unknown import LOOK_SECONDS, OnChain, Unknown
from privacy.errors import ChainUnavailable

NOW = 1_800_000_000
PROGRAMME = "d4" * 32


def kept(number, seconds=3600):
    """What the contract keeps of a round that matures in so many seconds."""
    return OnChain(number, bytes([number]) * 32, NOW + seconds)


@dataclass
class Newest:
    """A contract with these rounds, the newest first; asked one by one."""

    rounds: list[OnChain]
    asked: list[int] = field(default_factory=list)
    down: bool = False

    def newest(self, programme):
        assert programme == PROGRAMME
        for each in self.rounds:
            if self.down:
                raise ChainUnavailable("down")
            self.asked.append(each.number)
            yield each


def watching(chain, *known):
    knows = {each.number: each.commit for each in known}
    settlement = SimpleNamespace(knows=lambda number, digest: knows.get(number) == digest)
    return Unknown(PROGRAMME, settlement, lambda: chain, lambda: NOW)


def look(unknown):
    with capture_logs() as said:
        assert unknown.look() == LOOK_SECONDS
    assert {each["log_level"] for each in said} <= {"error"}
    return said


def test_a_commit_that_is_not_stored_is_named_with_what_to_do_and_until_when():
    """Before anybody demands a node of it: that is all the time that there is."""
    unknown = watching(Newest([kept(9), kept(7), kept(5)]), kept(5))

    said = look(unknown)

    assert [(each["event"], each["round"]) for each in said] == [
        ("commit_unknown", 7), ("commit_unknown", 9),
    ]  # fmt: skip
    assert said[0]["commit"] == "07" * 32
    assert said[0]["disputable_until"] == "2027-01-15T09:00:00+00:00"
    assert said[0]["who_acts"] == "operator"
    assert "restore a backup that was made after that commit" in said[0]["action"]
    assert unknown.rounds == (7, 9)


def test_what_is_stored_is_said_nothing_of_and_nothing_older_is_asked_for():
    chain = Newest([kept(9), kept(7)])

    unknown = watching(chain, kept(9))

    assert look(unknown) == []
    assert unknown.rounds == ()
    assert chain.asked == [9]


def test_another_commit_of_a_round_that_is_stored_is_unknown():
    """Of somebody who has the key, and whose sum nobody here can show."""
    other = OnChain(9, b"\x01" * 32, NOW + 60)

    assert [each["round"] for each in look(watching(Newest([other]), kept(9)))] == [9]


def test_an_empty_programme_is_nothing_unknown():
    assert look(watching(Newest([]))) == []


def test_the_newest_is_unknown_even_if_it_can_be_disputed_no_more():
    """Nothing can be committed after it; those before it cost nothing any more."""
    unknown = watching(Newest([kept(9, -1), kept(7, -1)]))

    [line] = look(unknown)

    assert (line["round"], unknown.rounds) == (9, (9,))
    assert "open another programme" in line["action"]


def test_each_commit_is_said_once_and_counted_at_each_look():
    """The alarm stays; the log is not filled."""
    chain = Newest([kept(9)])
    unknown = watching(chain)
    look(unknown)

    assert look(unknown) == []
    assert unknown.rounds == (9,)
    chain.rounds = []
    look(unknown)
    assert unknown.rounds == ()


def test_a_chain_that_does_not_answer_clears_no_alarm():
    chain = Newest([kept(9)])
    unknown = watching(chain)
    look(unknown)
    chain.down = True

    with pytest.raises(ChainUnavailable):
        unknown.look()

    assert unknown.rounds == (9,)
