"""Which status each error becomes."""

import grpc
import pytest

from coordinator.wire.status import STATUSES, status_of
from privacy import errors
from privacy.errors import BudgetExhausted, VeilsumError


def leaves(kind=VeilsumError):
    yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


def test_every_error_has_a_status_and_a_code_of_its_own():
    """A new error without a line in the table takes that of its family, never UNKNOWN."""
    ours = [kind for kind in leaves() if kind.__module__ == errors.__name__]
    made = [
        kind(spent=1, cost=1, limit=1) if kind is BudgetExhausted else kind("x") for kind in ours
    ]

    assert all(status_of(each) is not grpc.StatusCode.UNKNOWN for each in made)
    assert len({each.code for each in made}) == len(ours)
    assert set(STATUSES) <= set(ours)
    ours_to_mend = {VeilsumError, *leaves(errors.InternalError)}
    assert {status_of(each) for each in made if type(each) not in ours_to_mend}.isdisjoint(
        {grpc.StatusCode.INTERNAL, grpc.StatusCode.OK}
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidSignature, "UNAUTHENTICATED"),
        (errors.WrongIdentity, "PERMISSION_DENIED"),
        (errors.RootMismatch, "INVALID_ARGUMENT"),
        (errors.ConflictingContribution, "ALREADY_EXISTS"),
        (errors.CohortTooSmall, "FAILED_PRECONDITION"),
        (errors.StoreUnavailable, "UNAVAILABLE"),
        (errors.NotYet, "NOT_FOUND"),
        (errors.SchemaMismatch, "FAILED_PRECONDITION"),
    ],
)
def test_a_status_says_whether_to_try_again(error, status):
    """Only what time may mend is UNAVAILABLE: grpc retries that by itself."""
    assert status_of(error("x")).name == status
