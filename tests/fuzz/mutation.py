"""Valid bytes, changed a little: in their bits, in their numbers, or in the tree of their JSON.

Every choice comes from one generator, so that Hypothesis can shrink it and a fuzzer repeat it.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.fuzz.decoders import DECODERS

_TOKENS = (
    *(b'"', b"\\", b",", b":", b"[", b"]", b"{", b"}", b"e", b".", b"-", b"0", b" ", b"\n"),
    *(b"null", b"true", b"1e9", b"NaN", b"\\u0000", b"\\ud800", b"\xff", b"\xc0\xaf", b"\xc6"),
)
_JSON: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 24, 4096, 100_001, 2**50, 2**53, 2**63, 2**64, 10**30),
    *(0.5, 1e300, -0.0, "", "0", "1", "-1", "0.5", "1e5", "amber", "AMBER", "a" * 64, "x" * 70),
    *("\x00", "é", "\u2028", "Y Q==", "YQ==", [], {}, [0], {"a": 1}, "\n"),
)


def mutated(body: bytes, draw: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return `body` after one to four changes."""
    for _ in range(draw.randint(1, 4)):
        body = draw.choice(_CHANGES)(body, draw)
        if others and draw.random() < 0.1:
            body = _spliced(body, draw.choice(others), draw)
    return body


def mutated_as(name: str, body: bytes, draw: Random) -> bytes:
    """Return `body`, or a seed of the decoder of that name, changed."""
    seeds = DECODERS[name].seeds
    return mutated(body or draw.choice(seeds), draw, seeds)


def _flipped(body: bytes, draw: Random) -> bytes:
    if not body:
        return b"\0"
    at = draw.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << draw.randrange(8)]) + body[at + 1 :]


def _number(body: bytes, draw: Random) -> bytes:
    # A big-endian integer of some width, at the edge of something.
    width = draw.choice((1, 2, 4, 8, 32))
    edge = draw.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), draw.getrandbits(16)))
    at = draw.randint(0, len(body))
    put = (edge % (1 << 8 * width)).to_bytes(width, "big")
    return body[:at] + put + body[at + width :]


def _cut(body: bytes, draw: Random) -> bytes:
    at = draw.randint(0, len(body))
    return body[:at] + body[at + draw.choice((1, 2, 4, 32, len(body))) :]


def _repeated(body: bytes, draw: Random) -> bytes:
    at = draw.randint(0, len(body))
    return body[: at + draw.choice((1, 4, 32, 64))] + body[at:]


def _inserted(body: bytes, draw: Random) -> bytes:
    at = draw.randint(0, len(body))
    put = draw.choice(_TOKENS) if draw.random() < 0.5 else draw.randbytes(draw.randint(1, 9))
    return body[:at] + put + body[at + draw.choice((0, len(put))) :]


def _spliced(body: bytes, other: bytes, draw: Random) -> bytes:
    return body[: draw.randint(0, len(body))] + other[draw.randint(0, len(other)) :]


def _in_json(body: bytes, draw: Random) -> bytes:
    # Behind a plan's arithmetic part as well.
    start = max(0, body.find(b'{"'))
    try:
        document = json.loads(body[start:])
    except (ValueError, RecursionError):
        return _inserted(body, draw)
    places = list(_places(document))
    if places:
        container, key = draw.choice(places)
        _change(container, key, [holder[at] for holder, at in places], draw)
    text = json.dumps(document, separators=(",", ":"), sort_keys=draw.random() < 0.95)
    return body[:start] + text.encode()


def _change(container: Any, key: Any, values: list[Any], draw: Random) -> None:
    what = draw.randrange(6)
    if what == 0:
        del container[key]
    elif what == 1 and isinstance(container, list):
        container.insert(draw.randint(0, len(container)), container[key])
    elif what == 1:
        container[draw.choice(("zeal", "", key + "x"))] = container[key]
    elif what == 2:
        container[key] = json.loads(json.dumps(draw.choice(values)))
    elif what == 3 and isinstance(container[key], int):
        container[key] += draw.choice((-1, 1, 2**32))
    elif what == 4 and isinstance(container[key], str):
        container[key] = container[key][: draw.randint(0, 64)] + draw.choice(("", "0", "\n", "é"))
    else:
        container[key] = draw.choice(_JSON)


def _places(node: Any) -> Any:
    keys: Any = ()
    if isinstance(node, dict):
        keys = list(node)
    elif isinstance(node, list):
        keys = range(len(node))
    for key in keys:
        yield node, key
        yield from _places(node[key])


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flipped, _number, _cut, _repeated, _inserted),
    *(_in_json, _in_json, _in_json),
)
