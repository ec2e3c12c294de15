"""TLS at the coordinator: certificates on both sides, version 1.3 only, names from certificates.

TLS 1.2 is shut out twice: by the cipher suites that the package sets before grpc is imported,
and here, call by call, by what the connection says of itself.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio

from coordinator import GRPC_CAME_FIRST
from privacy.anchor import check_anchor
from privacy.errors import ConfigError, WrongIdentity
from privacy.identifiers import PeerIdentity, parse_uri

TLS_VERSION = b"TLSv1.3"
KEY_EXCHANGE = b"X25519MLKEM768"
"""Hybrid: a recorded connection stays closed as long as either of the two problems is hard."""

if TYPE_CHECKING:
    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
    ServerInterceptor: TypeAlias = grpc.aio.ServerInterceptor[Any, Any]
else:
    # generic for the type checker only
    Context, Handler = grpc.aio.ServicerContext, grpc.RpcMethodHandler
    ServerInterceptor = grpc.aio.ServerInterceptor

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


def server_credentials(
    certificate_pem: bytes, key_pem: bytes, authority_pem: bytes
) -> grpc.ServerCredentials:
    """Return credentials that accept only clients certified by `authority_pem` itself.

    Raises:
        ConfigError: grpc was imported before this package, so it would accept TLS 1.2; or the
            authority can make others, which could then name members too.
    """
    if GRPC_CAME_FIRST:
        raise ConfigError("grpc was imported before coordinator and would accept TLS 1.2")
    check_anchor(authority_pem, "listen.authority")
    return grpc.ssl_server_credentials(
        [(key_pem, certificate_pem)], root_certificates=authority_pem, require_client_auth=True
    )


def joining_credentials(certificate_pem: bytes, key_pem: bytes) -> grpc.ServerCredentials:
    """Return credentials that ask callers for no certificate: they have none yet.

    Raises:
        ConfigError: grpc was imported before this package, so it would accept TLS 1.2.
    """
    if GRPC_CAME_FIRST:
        raise ConfigError("grpc was imported before coordinator and would accept TLS 1.2")
    return grpc.ssl_server_credentials([(key_pem, certificate_pem)])


def peer_identity(context: Context) -> PeerIdentity:
    """Return whom the certificate of the calling peer names, by its one URI.

    Raises:
        WrongIdentity: no certificate, not exactly one URI, or one that names nobody.
    """
    uris = _property(context, "peer_uri")
    if len(uris) != 1:
        raise WrongIdentity(f"the peer's certificate has {len(uris)} URIs, not exactly one")
    return parse_uri(uris[0].decode("utf-8", "replace"))


def weakness(context: Context) -> str:
    """Return what a connection lacks, in words, or nothing if it is as strong as required."""
    version = _property(context, "ssl_tls_version")
    group = _property(context, "ssl_negotiated_key_exchange_group")
    if version != [TLS_VERSION]:
        return f"TLS 1.3 is required, this connection has {_shown(version)}"
    if group != [KEY_EXCHANGE]:
        return f"key exchange X25519MLKEM768 is required, this connection has {_shown(group)}"
    return ""


class RefuseWeakTls(ServerInterceptor):
    """Refuses, as UNAUTHENTICATED, every call on a connection that `weakness` finds weak."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call behind the check."""
        handler = await continuation(handler_call_details)
        return handler and _behind_check(handler)


def _behind_check(handler: Handler) -> Handler:
    kind = "stream" if handler.request_streaming else "unary"
    answer = "stream" if handler.response_streaming else "unary"
    make = getattr(grpc, f"{kind}_{answer}_rpc_method_handler")
    inner = getattr(handler, f"{kind}_{answer}")
    checked: Handler = make(
        _checked(inner), handler.request_deserializer, handler.response_serializer
    )
    return checked


def _checked(inner: Callable[..., Any]) -> Callable[..., Any]:
    async def once(request: Any, context: Context) -> Any:  # noqa: ANN401
        await _refuse_if_weak(context)
        return await inner(request, context)

    async def many(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        await _refuse_if_weak(context)
        async for answer in inner(request, context):
            yield answer

    return many if inspect.isasyncgenfunction(inner) else once


async def _refuse_if_weak(context: Context) -> None:
    if found := weakness(context):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, found)


def _property(context: Context, name: str) -> list[bytes]:
    properties: Mapping[str, Any] = context.auth_context()
    return list(properties.get(name, ()))


def _shown(values: list[bytes]) -> str:
    return ", ".join(value.decode("ascii", "replace") for value in values) or "none"
