"""A value has one byte string, and nothing else passes for it."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privacy import canonical
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.local_training import LocalTraining
from privacy.plan import Terms
from privacy.records import Cohort, Contribution, KeyRecord, digest_of
from tests.privacy.example_round import COHORT, CONTRIBUTION, RECORDS, SEALED_MODEL, TERMS

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc8785.json").read_text())
BODY = canonical.encode(COHORT)


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int


class Decimal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: float


class Bytes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    raw: bytes


class Anything(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Any


def spelled(value: Any, **style: Any) -> bytes:
    """JSON of `value`, by another library and in another style."""
    plain = {"separators": (",", ":"), "sort_keys": True, "ensure_ascii": False, **style}
    return json.dumps(value, **plain).encode()


def refused(body: bytes, kind: type[msgspec.Struct] = Cohort) -> str:
    """Return the message of the refusal."""
    with pytest.raises(MalformedMessage) as caught:
        canonical.decode(body, kind)
    return str(caught.value)


def test_the_published_strings_and_literals_come_out_byte_for_byte() -> None:
    """Whoever has another RFC 8785 library computes the same digests."""
    case = VECTORS["strings"]
    kind = msgspec.defstruct("Case", [("string", str), ("literals", list)])

    body = canonical.encode(kind(case["string"], case["literals"]))

    assert body.hex() == case["canonical"]


def test_properties_are_sorted_by_utf_16_code_units() -> None:
    """Sorting by code point would give another digest for keys beyond U+FFFF."""
    case = VECTORS["sorting"]
    kind = msgspec.defstruct("Case", [("properties", dict[str, str])])

    body = canonical.encode(kind(case["properties"]))

    assert list(json.loads(body)["properties"].values()) == case["order"]


@pytest.mark.parametrize("record", [*RECORDS, TERMS], ids=lambda each: type(each).__name__)
def test_every_document_of_a_round_comes_back_as_it_was(record: msgspec.Struct) -> None:
    """What was signed is what is read."""
    body = canonical.encode(record)

    assert canonical.decode(body, type(record)) == record
    assert body == spelled(canonical.builtins(record))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY.replace(b":", b": ", 1), id="a space"),
        pytest.param(BODY + b"\n", id="a line feed at the end"),
        pytest.param(b" " + BODY, id="a space before"),
        pytest.param(b"\xef\xbb\xbf" + BODY, id="a byte order mark"),
        pytest.param(spelled(canonical.builtins(COHORT), indent=1), id="indented"),
        pytest.param(
            spelled(dict(reversed(canonical.builtins(COHORT).items())), sort_keys=False),
            id="another order",
        ),
        pytest.param(BODY.replace(b"oncology", b"\\u006fncology"), id="a needless escape"),
        pytest.param(BODY.replace(b'"round":1', b'"round":1.0'), id="1.0 for 1"),
        pytest.param(BODY.replace(b'"round":1', b'"round":1e0'), id="1e0 for 1"),
        pytest.param(BODY.replace(b'"round":1', b'"round":"1"'), id="a string for a number"),
        pytest.param(BODY.replace(b'"round":1', b'"round":true'), id="true for 1"),
        pytest.param(BODY.replace(b'"round":1', b'"round":01'), id="01 for 1"),
        pytest.param(BODY[:-1] + b',"round":1}', id="a key twice, the same value"),
        pytest.param(BODY[:-1] + b',"round":2}', id="a key twice, another value"),
        pytest.param(b'{"round":2,' + BODY[1:], id="a key twice, the first one another"),
        pytest.param(BODY[:-1] + b',"zeal":1}', id="an unknown field"),
        pytest.param(BODY.replace(b'"round":1,', b"").replace(b',"round":1', b""), id="missing"),
        pytest.param(BODY + BODY, id="two documents"),
        pytest.param(BODY[:-1], id="cut short"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
    ],
)
def test_only_the_one_spelling_is_read(body: bytes) -> None:
    """Two spellings of one value would have two digests, and one signature."""
    assert body != BODY

    assert refused(body).startswith("Cohort: ")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "-0", "1e400", "1E2", "0x1"])
def test_numbers_that_are_no_json_integers_are_refused(text: str) -> None:
    """A number that compares with nothing passes every upper limit."""
    refused(f'{{"number":{text}}}'.encode(), Number)
    refused(f'{{"number":{text}}}'.encode(), Decimal)


@pytest.mark.parametrize(
    "text", [f"{2**53}", f"-{2**53}", f"{2**64}", "9" * 30, "9" * 4300, "9" * 5000], ids=len
)
def test_integers_that_json_cannot_hold_are_refused(text: str) -> None:
    """Beyond 2^53 another implementation reads another number."""
    refused(f'{{"number":{text}}}'.encode(), Number)


def test_the_largest_safe_integer_is_read() -> None:
    """The limit is where RFC 8785 has it."""
    body = b'{"number":9007199254740991}'

    assert canonical.decode(body, Number).number == 2**53 - 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"text":"\xff"}',
        b'{"text":"\xed\xa0\x80"}',
        b'{"text":"\xc0\xaf"}',
        b'{"text":"\\ud800"}',
        b'{"text":"\\udc00\\ud800"}',
        b'{"te\xff":"x","text":"x"}',
        b"\xff\xfe{}",
    ],
)
def test_bytes_that_are_no_text_are_refused_as_any_other(body: bytes) -> None:
    """A peer's broken UTF-8 is the peer's error, not a crash of ours."""
    refused(body, Text)


@pytest.mark.parametrize(
    "body", [b'{"raw":"YR=="}', b'{"raw":"YQ"}', b'{"raw":"Y Q=="}', b'{"raw":"_w=="}']
)
def test_base64_has_one_spelling(body: bytes) -> None:
    """The spare bits of the last letter would let one signature cover many bodies."""
    assert canonical.decode(b'{"raw":"YQ=="}', Bytes).raw == b"a"

    refused(body, Bytes)


def test_a_document_of_the_largest_size_is_read_and_a_larger_one_is_not() -> None:
    """The limit is on bytes, before anything is parsed."""
    frame = len(b'{"text":""}')
    fits = canonical.encode(Text("x" * (canonical.LARGEST_DOCUMENT - frame)))

    assert canonical.decode(fits, Text)
    message = refused(b"[" * (canonical.LARGEST_DOCUMENT + 1), Text)
    assert str(canonical.LARGEST_DOCUMENT + 1) in message


@pytest.mark.parametrize("opening", [b"[", b'{"events":[', b'{"class":"SelfComposed","event":'])
def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(opening: bytes) -> None:
    """A megabyte of brackets costs the sender nothing."""
    deep = opening * 20_000
    start, claim, end = canonical.encode(CONTRIBUTION).partition(b'"claim":')

    refused(start + claim + deep + end, Contribution)
    refused(deep, Contribution)


def test_a_well_formed_event_nested_a_thousand_deep_is_refused() -> None:
    """Recursion has an end that is ours, whatever limit the interpreter was given."""
    event = b'{"class":"Gaussian","noise_multiplier":"1"}'
    for _ in range(5_000):
        event = b'{"class":"SelfComposed","count":1,"event":' + event + b"}"
    body = canonical.encode(CONTRIBUTION)
    old = msgspec.json.encode(canonical.builtins(CONTRIBUTION)["claim"], order="deterministic")
    assert old in body

    assert "deeper than 32" in refused(body.replace(old, event), Contribution)


def test_brackets_in_a_text_are_not_levels() -> None:
    """Only nesting counts, and escaped quotes do not end a text."""
    body = canonical.encode(Text('"[' * 500 + "\\"))

    assert canonical.decode(body, Text).text.startswith('"[')


@pytest.mark.parametrize("unit", [b"[]", b'"', b'"\\', b"\\", b"{", b'["'])
def test_a_megabyte_of_anything_is_refused_at_once(unit: bytes) -> None:
    """What is cheap to send must be cheap to refuse: time grows with the length alone."""
    body = (unit * canonical.LARGEST_DOCUMENT)[: canonical.LARGEST_DOCUMENT]
    started = time.process_time()

    refused(body)

    assert time.process_time() - started < 5


def test_the_message_does_not_repeat_what_arrived() -> None:
    """A log is no place for a peer's bytes."""
    message = refused(b'{"text":' + b"7" * 100_000 + b"}", Text)

    assert len(message) < 300
    assert "777" not in message


def test_numbers_that_a_value_refuses_itself_keep_their_own_error() -> None:
    """Who must act is said by the error that knows."""
    body = canonical.encode(TERMS.privacy.training)
    bad = body.replace(b'"steps":6', b'"steps":0')

    with pytest.raises(UnsafeParameters, match="steps"):
        canonical.decode(bad, LocalTraining)


@given(st.binary(max_size=200), st.sampled_from([Cohort, KeyRecord, Terms, Text, Bytes]))
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_refused_or_have_one_meaning(body: bytes, kind: type) -> None:
    """Nothing that a peer can send is anything else than read or refused."""
    try:
        value = canonical.decode(body, kind)
    except MalformedMessage:
        return
    assert canonical.encode(value) == body


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([2**53 - 1, 2**53, 10**15, 10**15 - 1, 0.0, -0.0, 1.0, 1e16, 1e21, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(ANYTHING)
@example({"\ue000": 1, "\U00010000": 2})
@settings(deadline=None, max_examples=300)
def test_what_another_encoder_spells_otherwise_is_refused(value: Any) -> None:
    """Most documents are compared with a faster encoder's bytes; that one is not RFC 8785's."""
    body = msgspec.json.encode({"value": value}, order="sorted")

    try:
        read = canonical.decode(body, Anything)
    except MalformedMessage:
        return
    assert canonical.encode(read) == body


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_change_to_a_document_is_refused_or_another_value(data: st.DataObject) -> None:
    """Near misses are where parsers differ."""
    record = data.draw(st.sampled_from([COHORT, CONTRIBUTION, SEALED_MODEL]))
    body = canonical.encode(record)
    at = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(0, 3))
    put = data.draw(st.binary(max_size=3) | st.sampled_from([b" ", b"\\", b'"', b"e", b"0"]))
    changed = body[:at] + put + body[at + length :]

    try:
        value = canonical.decode(changed, type(record))
    except (MalformedMessage, UnsafeParameters):
        return
    assert canonical.encode(value) == changed
    assert (digest_of(value) == digest_of(record)) == (changed == body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
@settings(deadline=None, max_examples=150)
def test_any_json_is_refused_or_has_one_meaning(document: Any) -> None:
    """The same for bytes that parse as JSON."""
    body = json.dumps(document).encode()

    for kind in (Cohort, Terms, Number):
        with pytest.raises(MalformedMessage):
            canonical.decode(body, kind)
