"""A coordinator whose lease is lost keeps and deletes nothing; it may still read."""

import pytest

from coordinator.replicas.lease import Lease
from coordinator.replicas.leased_objects import LeasedObjects
from privacy.errors import LeaseLost
from tests.fakes import MemoryObjects


class Free:
    """`Leases` that anybody gets."""

    def acquire(self, holder, seconds):
        return 1

    def renew(self, token, seconds):
        return True

    def release(self, token):
        pass


@pytest.fixture
def lease():
    held = Lease(Free(), "one", 5.0)
    held.take()
    return held


@pytest.fixture
def inner():
    return MemoryObjects()


def test_a_leader_has_an_object_store_like_any_other(lease, inner):
    leased = LeasedObjects(inner, lease)

    leased.put("a/b", b"body")
    leased.put("c/d", b"other")
    leased.put("e", b"damaged")
    leased.mend("e", b"whole")
    leased.delete_prefix("c")
    leased.clear_parts()

    assert leased.get("a/b") == b"body"
    assert (leased.exists("a/b"), leased.exists("c/d")) == (True, False)
    assert leased.names() == ["a/b", "e"]
    assert leased.get("e") == b"whole"
    assert leased.lengths("a") == {"a/b": 4}


def test_without_the_lease_nothing_is_kept_or_deleted(lease, inner):
    """A zombie that drops what it thinks is half a model would delete the one that counts."""
    leased = LeasedObjects(inner, lease)
    leased.put("a/b", b"body")
    lease.release()

    for change in (
        lambda: leased.put("a/c", b"x"),
        lambda: leased.mend("a/b", b"x"),
        lambda: leased.delete_prefix("a"),
        leased.clear_parts,
    ):
        with pytest.raises(LeaseLost):
            change()

    assert leased.names() == ["a/b"]
    assert leased.get("a/b") == b"body"
