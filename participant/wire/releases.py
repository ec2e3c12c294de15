"""What a site says of its release with every call, and what it asks of the coordinator's."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from privacy.releases import check_together
from veilsum.release import METADATA, RELEASE

_OURS: Final = "/veilsum."


class SaysRelease(grpc.AuthMetadataPlugin):
    """Puts the release of this process on every call of a connection."""

    def __call__(self, _: Any, callback: Any) -> None:  # noqa: ANN401
        """Give gRPC what goes with a call."""
        callback(((METADATA, RELEASE),), None)


class AsksRelease(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """Believes an answer only from a coordinator whose release this one understands.

    A coordinator refuses what it does not understand by itself; one that asks nobody, because it
    is from before releases were said, is found out here. Streams follow such calls.
    """

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return the call, once its answer says which release made it.

        Raises:
            ReleaseMismatch: it is too far from ours, or not said.
        """
        call = await continuation(client_call_details, request)
        method = client_call_details.method
        name = method.decode() if isinstance(method, bytes) else method
        if name.startswith(_OURS) and await _code(call) is grpc.StatusCode.OK:
            said = dict(await call.trailing_metadata() or ()).get(METADATA, "")
            check_together(RELEASE, "this site", str(said), "the coordinator")
        return call


async def _code(call: Any) -> grpc.StatusCode:  # noqa: ANN401
    try:
        code: grpc.StatusCode = await call.code()
    except asyncio.CancelledError:
        # Who gives up has hold of this wait, and not of the call: it would go on at the other side.
        call.cancel()
        raise
    return code


def with_release(credentials: grpc.ChannelCredentials) -> grpc.ChannelCredentials:
    """Return credentials of a connection on which every call says our release."""
    return grpc.composite_channel_credentials(
        credentials, grpc.metadata_call_credentials(SaysRelease(), "release")
    )
