"""Why a stream ended, in the words of its other side, whatever was under way at that moment."""

from collections.abc import Coroutine
from typing import Any, Final

import grpc
import grpc.aio

_NOT_SAID: Final = "Internal error from Core"
"""What gRPC puts over the reason where a message that is still being written meets the end."""


class Ending:
    """Keeps what the coordinator said when it ended a stream.

    Who sends several messages without waiting would mostly learn INTERNAL, and no reason, since
    one of them is still under way when the refusal comes.
    """

    def __init__(self, call: Any) -> None:  # noqa: ANN401
        self.error: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._note)

    def of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return the error that the coordinator named, or this one if it named none."""
        return self.error or error

    def _note(self, call: Any) -> None:  # noqa: ANN401
        # In this very step: in the next one, gRPC may have put its own words over it.
        code, details = _at_once(call.code()), _at_once(call.details())
        if code is not grpc.StatusCode.OK and details != _NOT_SAID:
            trailing = _at_once(call.trailing_metadata())
            self.error = grpc.aio.AioRpcError(
                code, grpc.aio.Metadata(), trailing, details, _at_once(call.debug_error_string())
            )


def _at_once(answer: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    """Return what a call that has ended says of itself, which it need not wait for."""
    try:
        answer.send(None)
    except StopIteration as said:
        return said.value
    answer.close()
    raise AssertionError("a call that has ended knows how")
