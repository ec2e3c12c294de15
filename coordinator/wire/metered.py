"""Around every call: which were refused, and a span for each. It changes nothing of a call."""

import inspect
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import grpc

from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import RPC_REJECTED
from veilsum.traces.tracing import Tracer

from .tls import Context, Continuation, Handler, ServerInterceptor

_ERROR_CODE: Final = "veilsum-error"


@dataclass
class Metered(ServerInterceptor):
    """Counts the calls that end with an error, and notes a span for each call."""

    book: Book
    tracer: Tracer

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call, measured; a method that nobody serves stays unknown."""
        handler = await continuation(handler_call_details)
        # What callers make up is no label: anybody could fill the memory with such.
        return handler and self._measured(handler, handler_call_details.method)

    def _measured(self, handler: Handler, method: str) -> Handler:
        kind = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        inner: Callable[..., Any] = getattr(handler, f"{kind}_{answer}")
        name, attributes = method.lstrip("/"), {"rpc.system": "grpc", "rpc.method": method}

        async def once(request: Any, context: Context) -> Any:  # noqa: ANN401
            with self.tracer.span(name, attributes):
                try:
                    return await inner(request, context)
                except Exception:
                    self._note(method, context)
                    raise

        async def many(request: Any, context: Context) -> Any:  # noqa: ANN401
            with self.tracer.span(name, attributes):
                try:
                    async with aclosing(inner(request, context)) as parts:
                        async for part in parts:
                            yield part
                except Exception:
                    self._note(method, context)
                    raise

        make = getattr(grpc, f"{kind}_{answer}_rpc_method_handler")
        measured: Handler = make(
            many if inspect.isasyncgenfunction(inner) else once,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return measured

    def _note(self, method: str, context: Context) -> None:
        trailing: Any = context.trailing_metadata() or ()
        codes = [str(value) for key, value in trailing if key == _ERROR_CODE]
        self.book.add(RPC_REJECTED, 1, method.lstrip("/"), codes[0] if codes else "internal")
