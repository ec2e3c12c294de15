"""A bucket that fails: nothing half kept, nothing replaced, no endless wait, and who acts."""

import ssl
import threading
import time

import pytest
from msgspec.structs import replace
from werkzeug.serving import make_server

from coordinator.adapters.objects import s3
from coordinator.adapters.objects.objects_at import objects_at, open_objects_at
from coordinator.config import S3Access
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    InsecureKeyFile,
    NotYet,
    StoreUnavailable,
)
from tests.fakes import SITES, Federation
from tests.loopback import HOUR, pem, utc_now
from tests.s3 import cut, refuse, server

ACTS = {
    "put": lambda store: store.put("a/c", b"other"),
    "get": lambda store: store.get("a/b"),
    "exists": lambda store: store.exists("a/b"),
    "names": lambda store: store.names("a"),
    "lengths": lambda store: store.lengths("a"),
    "delete": lambda store: store.delete_prefix("a"),
}

REFUSALS = [
    ("403 Forbidden", "AccessDenied", "may put, get, list and delete there"),
    ("403 Forbidden", "InvalidAccessKeyId", "correct s3.access_key"),
    ("403 Forbidden", "SignatureDoesNotMatch", "correct s3.secret_key"),
    ("403 Forbidden", "RequestTimeTooSkewed", "set this machine's clock"),
    ("400 Bad Request", "ExpiredToken", "renew the credentials of this process"),
    ("404 Not Found", "NoSuchBucket", "make the bucket, or correct `objects`"),
    ("301 Moved Permanently", "PermanentRedirect", "correct s3.region or s3.endpoint"),
]


@pytest.fixture
def objects(s3_address, s3_access):
    store = open_objects_at(s3_address, s3_access)
    store.put("a/b", b"bytes")
    return store


@pytest.fixture
def quick(monkeypatch):
    """Waits that a test has time for."""
    monkeypatch.setattr(s3, "REQUEST_SECONDS", 1.0)


def test_a_round_leaves_in_a_bucket_what_it_leaves_in_a_folder(s3_address, s3_access, tmp_path):
    """From the first key to the release, looked at in between, and erased."""
    left = []
    for address in (s3_address, str(tmp_path)):
        federation = Federation(objects=open_objects_at(address, s3_access))
        federation.open_round()
        for name in SITES:
            federation.contribute(name)
        federation.tick()
        before = federation.service.scrub.look(), federation.objects.lengths("rounds")
        federation.finish()
        federation.tick()
        left.append((before, federation.service.scrub.look(), federation.objects.lengths("rounds")))

    assert left[0] == left[1]
    assert left[0][0][0].damaged == ()
    assert len(left[0][2]) == 2


# -- what fails -----------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code", "who_acts"), REFUSALS, ids=[r[1] for r in REFUSALS])
@pytest.mark.parametrize("act", ["put", "get", "names", "delete"])
def test_a_refusal_says_who_acts(objects, s3_server, act, status, code, who_acts):
    s3_server.fault = refuse(status, code)

    with pytest.raises(StoreUnavailable, match=f"{objects.address}.*{who_acts}; it is retried"):
        ACTS[act](objects)


@pytest.mark.parametrize("act", ACTS)
def test_a_store_that_fails_for_a_moment_is_asked_again(objects, s3_server, act):
    s3_server.fault = refuse("503 Slow Down", "SlowDown", times=2)

    ACTS[act](objects)

    s3_server.fault = None
    assert objects.names() == {"put": ["a/b", "a/c"], "delete": []}.get(act, ["a/b"])


@pytest.mark.parametrize("act", ACTS)
def test_a_store_that_keeps_failing_is_named_in_seconds(objects, s3_server, act):
    s3_server.fault = refuse("500 Internal Server Error", "InternalError")
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"HTTP 500.*look at the store"):
        ACTS[act](objects)

    assert time.monotonic() - began < 10


def test_an_object_is_whole_or_absent_wherever_its_put_is_cut(objects, s3_server):
    """The connection breaks before the store has acted: the same put again keeps all of it."""
    s3_server.fault = cut()

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        objects.put("a/c", bytes(100_000))
    s3_server.fault = None
    before = objects.exists("a/c")
    objects.put("a/c", bytes(100_000))

    assert not before
    assert objects.get("a/c") == bytes(100_000)


def test_a_put_whose_answer_was_lost_is_no_conflict(objects, s3_server):
    """The store has kept it, and says so to the try after: these are the bytes, so it is well."""
    s3_server.fault = cut(1, after=s3_server.store)

    objects.put("a/c", b"kept")

    assert objects.get("a/c") == b"kept"
    assert s3_server.requests.count(f"PUT /{objects.address[5:]}/a/c") == 2


def test_a_put_that_meets_another_one_under_way_is_retried_by_its_caller(objects, s3_server):
    """Real S3 answers 409 then: which of the two it keeps, it does not know yet."""
    s3_server.fault = refuse("409 Conflict", "ConditionalRequestConflict", method="PUT")

    with pytest.raises(StoreUnavailable, match="in flux; it is retried"):
        objects.put("a/c", b"bytes")


def test_an_object_that_is_deleted_while_it_is_compared_is_not_called_other(objects, s3_server):
    s3_server.fault = refuse("404 Not Found", "NoSuchKey", method="GET")

    with pytest.raises(StoreUnavailable, match="in flux; it is retried"):
        objects.put("a/b", b"other")

    with pytest.raises(NotYet):
        objects.get("a/b")


def test_a_store_that_never_answers_is_given_up(quick, s3_address, s3_access, s3_server):
    objects, done = objects_at(s3_address, s3_access), threading.Event()
    s3_server.fault = lambda *_: done.wait(30) and None
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match="does not answer in time"):
        objects.put("a/b", b"bytes")

    took = time.monotonic() - began
    done.set()
    assert took < 5


def test_an_endpoint_where_nobody_listens_is_named(s3_address, s3_access):
    away = replace(s3_access, endpoint="http://127.0.0.1:9")

    with pytest.raises(StoreUnavailable, match=r"start it, correct s3\.endpoint"):
        open_objects_at(s3_address, away)


def test_a_store_that_was_killed_in_a_put_keeps_nothing_of_it(tmp_path):
    with server(tmp_path) as running:
        objects = open_objects_at(f"s3://{running.fresh_bucket()}/x", running.access())
        running.fault = cut()
        with pytest.raises(StoreUnavailable):
            objects.put("a/b", bytes(1 << 20))
        running.fault = None
        kept = objects.names()

    assert kept == []
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        objects.put("a/b", bytes(1 << 20))


# -- what is found at the start ----------------------------------------------------------


def test_a_store_that_ignores_conditional_puts_is_refused(s3_address, s3_access, s3_server):
    """There one contribution could silently take the place of another."""

    def deaf(environ, start):
        environ.pop("HTTP_IF_NONE_MATCH", None)

    s3_server.fault = deaf

    with pytest.raises(ConfigError, match=r"ignores conditional puts \(If-None-Match\)"):
        open_objects_at(s3_address, s3_access)


def test_a_bucket_that_keeps_old_versions_is_refused(s3_address, s3_access, s3_server):
    """What is erased would stay in it, for whoever may read versions."""
    bucket = s3_address.split("/")[2]
    s3_server.ask(
        "PUT",
        f"{bucket}?versioning",
        b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Status>Enabled</Status></VersioningConfiguration>",
    )

    with pytest.raises(ConfigError, match="keeps old versions, so what is erased would stay"):
        open_objects_at(s3_address, s3_access)


def test_a_bucket_that_is_not_there_is_named_at_the_start(s3_access):
    with pytest.raises(StoreUnavailable, match="NoSuchBucket; make the bucket"):
        open_objects_at("s3://nobody-made-this/x", s3_access)


def test_the_probe_of_a_start_leaves_nothing(objects, s3_server):
    bucket = objects.address.split("/")[2]

    listed = s3_server.ask("GET", bucket)

    assert b".probe" not in listed
    assert objects.names() == ["a/b"]


def test_what_a_killed_start_leaves_of_its_probe_is_no_object(objects, s3_server):
    s3_server.ask("PUT", f"{objects.address[5:]}/.probe-0", b"1")

    assert objects.names() == ["a/b"]
    assert open_objects_at(objects.address, s3_server.access()).names() == ["a/b"]


@pytest.mark.parametrize(
    "endpoint",
    ["http://store.example.com", "http://10.0.0.1:9000", "ftp://127.0.0.1", "store", "https://",
     "http://127.0.0.1.example.com", "http://localhost.example.com"],
)  # fmt: skip
def test_only_this_machine_itself_is_talked_to_without_tls(endpoint):
    with pytest.raises(ConfigError, match=r"s3\.endpoint: .* is not https"):
        objects_at("s3://bucket/x", S3Access(endpoint=endpoint))


@pytest.mark.parametrize("endpoint", ["https://key:secret@store", "https://store/?key=secret"])
def test_no_credential_stands_in_an_endpoint(endpoint):
    with pytest.raises(ConfigError, match="credentials are files") as refused:
        objects_at("s3://bucket/x", S3Access(endpoint=endpoint))

    assert "secret@" not in str(refused.value)


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path, s3_access, s3_server):
    """Also where it is this machine's: whoever asked for TLS gets TLS."""
    with tls_server(tmp_path) as endpoint:
        other = replace(s3_access, endpoint=endpoint)
        with pytest.raises(StoreUnavailable, match=r"not to be trusted; set s3\.authority"):
            objects_at("s3://bucket/x", other).names()
        trusted = replace(other, authority=tmp_path / "tls.pem")

        assert objects_at("s3://bucket/x", trusted).names() == []


# -- credentials -------------------------------------------------------------------------


def test_credentials_that_others_can_read_are_refused(s3_address, s3_access):
    s3_access.secret_key.chmod(0o640)

    with pytest.raises(InsecureKeyFile, match="chmod 600"):
        objects_at(s3_address, s3_access)


def test_credentials_are_read_again_when_they_are_rotated(
    s3_address, s3_access, s3_server, monkeypatch
):
    monkeypatch.setattr(s3, "_CREDENTIALS_SECONDS", 0.0)
    keys, objects = [], objects_at(s3_address, s3_access)

    def note(environ, _):
        keys.append(environ["HTTP_AUTHORIZATION"].split("Credential=")[1].split("/")[0])

    s3_server.fault = note
    objects.names()
    s3_access.access_key.write_text("rotated\n")
    objects.names()

    assert keys == ["testing", "rotated"]


def test_the_environment_changes_nothing_but_credentials(
    s3_address, s3_access, s3_server, monkeypatch
):
    """A variable of another program must not send objects elsewhere, or unsigned."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_CONDITIONAL_PUT": "etag",
        "AWS_REGION": "elsewhere",
        "AWS_SESSION_TOKEN": "of another",
        "AWS_BUCKET": "another",
    }.items():
        monkeypatch.setenv(name, value)
    seen = []
    s3_server.fault = lambda environ, _: seen.append(environ)
    objects = objects_at(s3_address, s3_access)

    objects.put("a/b", b"bytes")

    (asked,) = seen
    assert "Credential=testing/" in asked["HTTP_AUTHORIZATION"]
    assert "/us-east-1/s3/" in asked["HTTP_AUTHORIZATION"]
    assert "HTTP_X_AMZ_SECURITY_TOKEN" not in asked
    assert asked["HTTP_IF_NONE_MATCH"] == "*"
    assert asked["HTTP_X_AMZ_CHECKSUM_SHA256"]
    assert asked["HTTP_X_AMZ_CONTENT_SHA256"] != "UNSIGNED-PAYLOAD"


def test_credentials_of_the_place_are_taken_where_no_files_are_named(
    s3_address, s3_server, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-this-place")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = []
    s3_server.fault = lambda environ, _: seen.append(environ["HTTP_AUTHORIZATION"])

    objects_at(s3_address, S3Access(endpoint=s3_server.endpoint)).names()

    assert "Credential=of-this-place/" in seen[0]


def test_no_credential_is_in_what_is_printed(s3_address, s3_access, s3_server):
    s3_access.access_key.write_text("the-access-key")
    s3_access.secret_key.write_text("the-secret-key")
    objects = objects_at(s3_address, s3_access)
    s3_server.fault = refuse("403 Forbidden", "AccessDenied")

    with pytest.raises(StoreUnavailable) as refused:
        objects.get("a/b")

    said = f"{objects!r} {objects.address} {refused.value} {s3_access!r}"
    assert "the-access-key" not in said
    assert "the-secret-key" not in said
    assert refused.value.__cause__ is None


def test_other_bytes_are_refused_and_their_place_is_named(objects):
    with pytest.raises(ConflictingContribution, match="a/b is kept with other bytes"):
        objects.put("a/b", b"byteS")


class tls_server:  # noqa: N801 - a context manager
    """An endpoint on loopback whose certificate signs itself."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        made = self_signed(self.folder)
        empty = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"

        def answer(_, start):
            start("200 OK", [("Content-Type", "application/xml")])
            return [empty]

        self.serving = make_server("127.0.0.1", 0, answer, threaded=True, ssl_context=made)
        threading.Thread(target=self.serving.serve_forever, args=(0.05,), daemon=True).start()
        return f"https://127.0.0.1:{self.serving.server_port}"

    def __exit__(self, *_):
        self.serving.shutdown()
        self.serving.server_close()


def self_signed(folder):
    from ipaddress import ip_address  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(utc_now() - HOUR)
        .not_valid_after(utc_now() + HOUR)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    return context
