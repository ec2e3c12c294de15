"""Calls under way: each goes on only while its caller might begin it now.

Asked before each message, in and out, and every second of all of them, so that a stream on which
nothing moves ends too. Whoever is shut out is so at once: nobody waits for the second.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from coordinator.members.revocations import Revocations
from privacy.errors import CertificateEnded, VeilsumError

from .authorise import Callers, Permissions
from .certified import Certified
from .tls import Context

LOOK_SECONDS: Final = 1.0

Check = Callable[[], None]
"""Returns if the call that it is of may go on; raises why it may not."""


class Call:
    """One call while it is under way, which is while it is entered.

    Raises:
        CertificateEnded, CertificateRevoked, WrongIdentity: on the way out, if it was ended,
            since it may not go on.
    """

    def __init__(self, standing: "Standing", caller: Certified, callers: Callers) -> None:
        self._standing = standing
        self._caller = caller
        self._callers = callers
        self._refusal: VeilsumError | None = None

    def check(self) -> None:
        """Return if it may go on.

        Raises:
            CertificateEnded, CertificateRevoked, WrongIdentity: it may not.
        """
        self._standing.check(self._caller, self._callers)

    def look(self) -> None:
        """End it if it may not go on."""
        try:
            self.check()
        except VeilsumError as error:
            self._refusal = error
            # Again with each look: a wait may end in the step that cancels it.
            self._task.cancel()

    def __enter__(self) -> "Call":
        task = asyncio.current_task()
        assert task is not None  # gRPC runs each call in one
        self._task = task
        self._standing.enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._standing.leave(self)
        if kind is asyncio.CancelledError and self._refusal is not None:
            raise self._refusal from None


class CallOfAnyone:
    """A call that looks at no certificate: there is none that could end."""

    def check(self) -> None:
        """Return."""

    def __enter__(self) -> "CallOfAnyone":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Standing:
    """Decides of each call whether it may begin, and whether it may go on.

    Args:
        now: seconds since 1970.
    """

    def __init__(
        self, permissions: Permissions, revocations: Revocations, now: Callable[[], float]
    ) -> None:
        self._permissions = permissions
        self._revocations = revocations
        self._now = now
        self._calls: set[Call] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        revocations.on_change(self._changed)

    async def admit(self, caller: Certified, callers: Callers) -> None:
        """Return if a caller may begin a call that is for `callers`.

        Raises:
            CertificateEnded, CertificateRevoked, WrongIdentity, NotYet: it may not.
        """
        if self._permissions.is_at_hand():
            self.check(caller, callers)
        else:  # before it is, a look at the roster is one at the database
            self._check_certificate(caller)
            await asyncio.to_thread(self._permissions.check, caller.peer, callers)

    def check(self, caller: Certified, callers: Callers) -> None:
        """Return if a call may go on.

        Raises:
            CertificateEnded, CertificateRevoked, WrongIdentity: it may not.
        """
        self._check_certificate(caller)
        # Before it is at hand nobody has a role yet that could be lost.
        if self._permissions.is_at_hand():
            self._permissions.check(caller.peer, callers)

    def enter(self, call: Call) -> None:
        """Look after a call, on the loop, until it leaves."""
        self._calls.add(call)
        self._look_soon()

    def leave(self, call: Call) -> None:
        """Look after it no longer: from now on nobody cancels its task."""
        self._calls.discard(call)

    def _check_certificate(self, caller: Certified) -> None:
        if caller.ends_at < self._now():
            raise CertificateEnded(
                f"{caller.peer.id}: the certificate of this connection has ended; renew it, and "
                "connect again"
            )
        self._revocations.check(caller.peer.id, caller.begins_at)

    def _changed(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is over, and every call with it
                self._loop.call_soon_threadsafe(self._look)

    def _look_soon(self) -> None:
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        if self._calls:
            self._look_soon()  # first: whatever one look meets, there is a next one
        self._look()

    def _look(self) -> None:
        for call in self._calls:
            call.look()


class Attended:
    """A call's context that reads a message only if the call may go on; all else is the call's."""

    def __init__(self, context: Context, check: Check) -> None:
        self._context = context
        self._check = check

    async def read(self) -> Any:  # noqa: ANN401
        """Return the next message of a stream."""
        message = await self._context.read()
        self._check()
        return message

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._context, name)


class Arriving(AsyncIterator[Any]):
    """The messages of a stream, each given out only if the call may go on; keeps none of them."""

    def __init__(self, messages: AsyncIterator[Any], check: Check) -> None:
        self._messages = messages
        self._check = check

    async def __anext__(self) -> Any:  # noqa: ANN401
        """Return the next message."""
        message = await anext(self._messages)
        self._check()
        return message
