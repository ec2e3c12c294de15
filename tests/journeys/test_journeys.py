"""The pages for people are typed as they stand: from nothing to a model and its evidence."""

import pytest

from tests.journeys.pages import LEFT_OUT, Written, choices, numbered, steps
from tests.journeys.people import People, chosen, holds, places

HEARD = {"LINK", "four words from hospital-a"}


@pytest.fixture
def everybody(tmp_path):
    """People in empty folders; what they leave running ends with them."""
    made = People(tmp_path, chosen())
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_the_pages_say_leads_from_nothing_to_a_model_and_its_evidence(everybody):
    """Three hospitals, an auditor and an operator; every command, answer and setting is theirs."""
    for step in steps():
        for place in places(step):
            for act in step.acts:
                everybody.does(place, act)

    ended = everybody.wait_for_all()

    assert set(ended.values()) == {0}
    assert {"operator", "auditor", "hospital-a", "hospital-b", "hospital-c"} == set(ended)


def test_no_step_stands_on_a_page_that_nobody_takes():
    """A heading that the table leaves out would be typed by no test."""
    taken = [step.number for step in steps()]

    assert taken == list(range(1, len(taken) + 1))
    assert taken == numbered()
    assert all(step.acts for step in steps())


def test_nothing_is_replaced_that_the_pages_do_not_leave_to_the_reader():
    assert choices() == set(chosen()) | HEARD


def test_the_model_that_one_page_computes_is_the_one_that_another_sets():
    """Nobody copies it in the test: the two pages must agree by themselves."""
    acts = [act for step in steps() for act in step.acts]
    computed = next(a.shown for a in acts if getattr(a, "command", "").endswith("two_numbers.py"))
    [plan] = [a.body for a in acts if isinstance(a, Written) and "[model]" in a.body]

    assert all(line.split()[1] in plan for line in computed)


@pytest.mark.parametrize(
    "seen",
    [
        ["roster of oncology, version 0", "trainers of 3 organisations", "fingerprint  hidden"],
        ["roster of oncology, version 0", "fingerprint  4607eca1fee41557"],
        ["trainers of 3 organisations", "roster of oncology, version 0"],
        [],
    ],
    ids=["another word", "a line too few", "another order", "nothing"],
)
def test_a_screen_that_differs_in_more_than_numbers_is_not_what_was_promised(seen):
    promised = [
        "roster of oncology, version 0",
        "trainers of 3 organisations",
        "fingerprint  ab12cd34ab12cd34",
    ]

    assert not holds(promised, seen, whole=True)


def test_numbers_digests_and_lines_that_are_left_out_may_differ():
    promised = ["roster, version 0", LEFT_OUT, "fingerprint  ab12cd34ab12cd34"]
    seen = ["roster, version 12", "of three", "fingerprint  0123456789abcdef"]

    assert holds(promised, seen, whole=True)
    assert not holds(promised, [*seen, "and more"], whole=True)
    assert holds(promised, [*seen, "and more"], whole=False)
