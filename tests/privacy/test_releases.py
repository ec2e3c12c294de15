"""One minor release apart works; more is refused, and both are named."""

import pytest

from privacy.errors import ReleaseMismatch
from privacy.releases import check_together


@pytest.mark.parametrize("theirs", ["0.4.0", "0.5.0", "0.5.9", "0.6.0", "0.6.1rc2", "0.5.0.dev1"])
def test_neighbours_work_together(theirs):
    """An upgrade is one machine after the other, and never all at once."""
    check_together("0.5.0", "the coordinator", theirs, "this site")


@pytest.mark.parametrize(
    ("ours", "theirs", "who"),
    [
        ("0.5.0", "0.3.9", "the operator of this site upgrades to 0.5.0"),
        ("0.5.0", "0.7.0", "the operator of the coordinator upgrades to 0.7.0"),
        ("0.5.0", "1.5.0", "the operator of the coordinator upgrades to 1.5.0"),
        ("2.0.0", "1.9.0", "the operator of this site upgrades to 2.0.0"),
    ],
)
def test_two_apart_are_refused_by_name(ours, theirs, who):
    """Whoever reads it knows both releases, and whether it is his to act."""
    with pytest.raises(ReleaseMismatch) as refused:
        check_together(ours, "the coordinator", theirs, "this site")

    assert f"the coordinator runs Veilsum {ours}, this site {theirs}" in str(refused.value)
    assert who in str(refused.value)


@pytest.mark.parametrize("said", ["", "newest", "0", "0.5.0\n", "v0.5.0", "0.5.0" + "x" * 90])
def test_who_does_not_say_its_release_is_refused(said):
    """A peer from before releases were said understands nothing that is decided by them."""
    with pytest.raises(ReleaseMismatch, match=r"the operator of this site installs 0\.5\.0"):
        check_together("0.5.0", "the coordinator", said, "this site")
