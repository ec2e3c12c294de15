"""Lines to the chain: endpoints asked again while they do not answer, and known before believed."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
import structlog
from eth_typing import URI
from urllib3.exceptions import HTTPError
from web3 import HTTPProvider
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from privacy.errors import EndpointsDiffer, WrongContext

from . import nesting  # noqa: F401  what answers may be nested without harm
from .exchange import prompt_session

log = structlog.get_logger()

LARGEST_ANSWER: Final = 16 << 20
"""Bytes; a block's whole log is smaller."""

_FIRST_PAUSE_SECONDS: Final = 0.2
_ATTEMPTS: Final = 4
_TRY_AGAIN: Final = (429, 500, 502, 503, 504)
_CHUNK: Final = 1 << 16
_RESTS: Final = 3

Sleep = Callable[[float], None]
"""Waits for so many seconds."""

Clock = Callable[[], float]
"""Tells seconds; only their differences count."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which chain it is: its number, and the hash of its first block in hex."""

    chain_id: int
    genesis: str


def pause_seconds(attempt: int) -> float:
    """Return how long to wait after so many attempts: twice as long each time, and not exactly.

    Many who wait for the same endpoint must not come back at once.
    """
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    return _FIRST_PAUSE_SECONDS * float(2**attempt) * jitter


class Line(HTTPProvider):
    """One endpoint: asked again while it does not answer, for `answer_seconds` in all."""

    def __init__(
        self,
        url: str,
        answer_seconds: float,
        sleep: Sleep = time.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(URI(url), exception_retry_configuration=None)
        self.url = url
        self._answer_seconds = answer_seconds
        self._sleep = sleep
        self._clock = clock
        self._session = prompt_session()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 (JSON)
        """Return the endpoint's answer.

        Raises:
            requests.RequestException: it gives none, or none that can be read.
        """
        body = self._asked(self.encode_rpc_request(method, params))
        try:
            return self.decode_rpc_response(body)
        except (ValueError, RecursionError) as error:
            raise requests.exceptions.InvalidJSONError(str(error)) from None

    def _asked(self, request: bytes) -> bytes:
        end = self._clock() + self._answer_seconds
        for attempt in range(_ATTEMPTS):
            try:
                return self._post(request, end)
            except requests.RequestException as error:
                pause = pause_seconds(attempt)
                spent = attempt + 1 == _ATTEMPTS or self._clock() + pause >= end
                if spent or not _passes(error):
                    raise
            # The same bytes again are harmless: nothing that is asked counts twice.
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _post(self, request: bytes, end: float) -> bytes:
        left = max(end - self._clock(), 0.01)
        headers = self.get_request_headers()
        with self._session.post(
            self.url, data=request, headers=headers, timeout=left, stream=True
        ) as answer:
            answer.raise_for_status()
            if answer.is_redirect:
                raise requests.TooManyRedirects("an endpoint answers by itself, or not at all")
            return self._read(answer, end)

    def _read(self, answer: requests.Response, end: float) -> bytes:
        found = bytearray()
        try:
            while part := answer.raw.read1(_CHUNK, decode_content=True):
                found += part
                if len(found) > LARGEST_ANSWER or self._clock() > end:
                    raise requests.Timeout("a longer answer than any, or a slower one")
        except HTTPError as error:
            raise requests.ConnectionError(type(error).__name__) from None
        return bytes(found)


class Lines(JSONBaseProvider):
    """The endpoints of one chain: the first that answers is asked, each only once it is known.

    Whoever compares endpoints asks each line by itself, through `alone`. One that was away is not
    asked again for three times as long as it took, while another is there: whoever has a deadline
    asks many things, and would wait for it each time.
    """

    def __init__(
        self, lines: Sequence[Line], chain_id: int | None, clock: Clock = time.monotonic
    ) -> None:
        super().__init__()
        self._clock = clock
        self._rest_until: dict[str, float] = {}
        self._lines = list(lines)
        self._chain_id = chain_id
        self._known: dict[str, Identity] = {}

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 (JSON)
        """Return the answer of the first endpoint that gives one; it stays the first.

        Raises:
            requests.RequestException: none does.
            WrongContext, EndpointsDiffer: one is of another chain.
        """
        for line in sorted(self._lines, key=self._rests):
            try:
                return self._answer(line, method, params)
            except requests.RequestException as error:
                away = error
                log.warning(
                    "chain_endpoint_away", host=host_of(line.url), reason=type(error).__name__
                )
                self._lines = [*(each for each in self._lines if each is not line), line]
        raise away

    def answer(self, line: Line, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401
        """Return the answer of one endpoint, which is known to be of the right chain.

        Raises:
            requests.RequestException: it gives none, or has given none a moment ago.
            WrongContext, EndpointsDiffer: it is of another chain.
        """
        if self._rests(line):
            raise requests.ConnectionError("it was away a moment ago")
        return self._answer(line, method, params)

    def _answer(self, line: Line, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401
        with self._timed(line):
            if line.url not in self._known:
                self._meet(line)
            return line.make_request(method, params)

    def _rests(self, line: Line) -> bool:
        now = self._clock()
        resting = [now < self._rest_until.get(each.url, now) for each in self._lines]
        return not all(resting) and now < self._rest_until.get(line.url, now)

    @contextmanager
    def _timed(self, line: Line) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        except requests.RequestException:
            now = self._clock()
            self._rest_until[line.url] = now + _RESTS * (now - began)
            raise

    def identity(self, line: Line) -> Identity:
        """Return which chain an endpoint says it is of, now."""
        chain = _result(line, "eth_chainId", [])
        first = _result(line, "eth_getBlockByNumber", ["0x0", False])
        try:
            return Identity(int(chain, 16), str(first["hash"]).lower())
        except (TypeError, ValueError, KeyError):
            raise requests.exceptions.InvalidJSONError("it does not say which chain") from None

    def meet_again(self) -> Identity:
        """Ask each endpoint that answers which chain it is of, whatever it said before.

        Raises:
            requests.RequestException: none answers.
            WrongContext, EndpointsDiffer: one is of another chain.
        """
        self._known, away = {}, None
        for line in self._lines:
            if self._rests(line):
                continue
            try:
                with self._timed(line):
                    self._meet(line)
            except requests.RequestException as error:
                away = error
        if not self._known:
            raise away or requests.ConnectionError("no endpoint")
        return next(iter(self._known.values()))

    def _meet(self, line: Line) -> None:
        found = self.identity(line)
        if self._chain_id is not None and found.chain_id != self._chain_id:
            raise WrongContext(
                f"the endpoint is on chain {found.chain_id}, not {self._chain_id}; its operator "
                "must correct the URL"
            )
        for other, identity in self._known.items():
            if identity != found:
                raise EndpointsDiffer(
                    f"{host_of(other)} is of {_named(identity)}, {host_of(line.url)} of "
                    f"{_named(found)}; nothing is sent to either"
                )
        self._known[line.url] = found


class Alone(JSONBaseProvider):
    """One endpoint of several, asked by itself so that answers can be compared."""

    def __init__(self, lines: Lines, line: Line) -> None:
        super().__init__()
        self.line = line
        self._lines = lines

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 (JSON)
        """Return this endpoint's answer.

        Raises:
            requests.RequestException: it gives none.
            WrongContext, EndpointsDiffer: it is of another chain.
        """
        return self._lines.answer(self.line, method, params)


def host_of(url: str) -> str:
    """Return a URL's host and port: the rest may hold a password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def _result(line: Line, method: str, params: list[Any]) -> Any:  # noqa: ANN401 (JSON)
    answer = line.make_request(RPCEndpoint(method), params)
    if not isinstance(answer, dict) or answer.get("result") is None:
        raise requests.exceptions.InvalidJSONError(f"no result of {method}")
    return answer["result"]


def _named(identity: Identity) -> str:
    return f"chain {identity.chain_id} with first block {identity.genesis[:18]}…"


def _passes(error: requests.RequestException) -> bool:
    """Return whether an error may pass by itself within seconds."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _TRY_AGAIN
    return isinstance(error, requests.ConnectionError | requests.Timeout)
