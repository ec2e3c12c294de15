"""Names say who a peer is; a name with two readings would be two peers."""

import hashlib

import msgspec
import pytest

from privacy.errors import MalformedMessage, WrongIdentity
from privacy.identifiers import (
    Digest,
    FederationId,
    ParticipantId,
    PeerIdentity,
    check_name,
    coordinator_uri,
    parse_uri,
    participant_uri,
    sha256_hex,
)

GOOD = ["a", "hospital-a", "0", "a" * 63, "9-lives-"]
BAD = ["", "-a", "A", "a_b", "a.b", "a" * 64, "a\n", "ä", "a/b", " a", "a\0"]


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    federation: FederationId
    participant: ParticipantId


@pytest.mark.parametrize("name", GOOD)
def test_a_name_passes_the_same_in_a_message_and_in_code(name):
    body = msgspec.json.encode({"federation": name, "participant": name})

    named = msgspec.json.decode(body, type=Named)

    assert named.participant == check_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_in_a_message_and_in_code(name):
    """A line feed at the end is the one that `$` in a pattern would let through."""
    for field in ("federation", "participant"):
        body = msgspec.json.encode({"federation": "f", "participant": "p"} | {field: name})
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(body, type=Named)
    with pytest.raises(MalformedMessage):
        check_name(name)


@pytest.mark.parametrize("text", ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_a_digest_is_64_lowercase_hex_digits(text):
    assert msgspec.convert(sha256_hex(b""), Digest) == hashlib.sha256(b"").hexdigest()

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Digest)


def test_a_uri_names_the_peer_it_was_built_for():
    assert parse_uri(participant_uri("oncology", "hospital-a")) == PeerIdentity(
        "oncology", "participant", "hospital-a"
    )
    assert parse_uri(coordinator_uri("oncology")) == PeerIdentity(
        "oncology", "coordinator", "coordinator"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://oncology",
        "spiffe://oncology/",
        "spiffe://oncology/participant",
        "spiffe://oncology/participant/",
        "spiffe://oncology/participant/a/",
        "spiffe://oncology/participant/a/b",
        "spiffe://oncology/participant/a?x",
        "spiffe://oncology/participant/A",
        "spiffe://oncology/participant/a\n",
        "spiffe://oncology/participant/%61",
        "spiffe://Oncology/participant/a",
        "spiffe://oncology:443/participant/a",
        "spiffe://u@oncology/participant/a",
        "spiffe:///participant/a",
        "spiffe://oncology/coordinator/",
        "spiffe://oncology/auditor/a",
        "https://oncology/participant/a",
        "SPIFFE://oncology/participant/a",
        "oncology/participant/a",
        "spiffe://spiffe://oncology/coordinator",
    ],
)
def test_a_uri_that_is_not_exactly_ours_names_nobody(uri):
    with pytest.raises(WrongIdentity):
        parse_uri(uri)


def test_a_uri_is_not_built_from_what_is_no_name():
    """A slash in a name would make one participant pass for another."""
    with pytest.raises(MalformedMessage):
        participant_uri("oncology", "a/../b")
    with pytest.raises(MalformedMessage):
        coordinator_uri("oncology/participant")
