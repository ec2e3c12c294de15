"""Which gRPC status each error becomes: one table for the whole server."""

from collections.abc import Mapping
from typing import Final

import grpc

from privacy import errors
from privacy.errors import VeilsumError

STATUSES: Final[Mapping[type[VeilsumError], grpc.StatusCode]] = {
    errors.VeilsumError: grpc.StatusCode.INTERNAL,
    errors.ConfigError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidSignature: grpc.StatusCode.UNAUTHENTICATED,
    errors.WrongIdentity: grpc.StatusCode.PERMISSION_DENIED,
    errors.WrongContext: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ConflictingContribution: grpc.StatusCode.ALREADY_EXISTS,
    errors.IllegalEvent: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PrivacyError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.NotYet: grpc.StatusCode.NOT_FOUND,
}


def status_of(error: VeilsumError) -> grpc.StatusCode:
    """Return the status of the error's own class, or of the nearest class above it."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
