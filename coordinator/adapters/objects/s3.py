"""Objects in a bucket: an S3-compatible store through obstore; the one door to it.

A put is one conditional request (`If-None-Match: *`), so an object is written once whoever else
writes: the store decides, not we. It is durable when the store has acknowledged it, and carries
the SHA-256 of its bytes, which the store checks. An object is whole or absent by S3's own promise.
Every request has an end; what fails is tried again a few times, then the caller is told.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from coordinator.config import S3Access
from coordinator.ports import check_object_name
from privacy.errors import ConfigError, ConflictingContribution, NotYet, StoreUnavailable
from privacy.failpoints import Step, pass_by
from veilsum.files import read_file, read_secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Credential

SCHEME: Final = "s3://"

REQUEST_SECONDS: Final = 20.0
"""What one request may take, for at most a few MiB; twice that with all that is tried again."""

_CONNECT_SECONDS: Final = 5.0
_RETRIES: Final = 4
_CREDENTIALS_SECONDS: Final = 300.0

_SEGMENT: Final = "[a-z0-9_-][a-z0-9._-]{0,62}"
_ADDRESS: Final = re.compile(
    rf"s3://([a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9])(?:/({_SEGMENT}(?:/{_SEGMENT}){{0,7}}))?/?"
)
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_STATUS: Final = re.compile(r"status code: ([0-9]{3})")

_KEY_OWNER: Final = "give this process credentials that may put, get, list and delete there"
_ADVICE: Final = {
    "NoSuchBucket": "make the bucket, or correct `objects`",
    "AccessDenied": _KEY_OWNER,
    "AllAccessDisabled": _KEY_OWNER,
    "InvalidAccessKeyId": "correct s3.access_key",
    "SignatureDoesNotMatch": "correct s3.secret_key",
    "ExpiredToken": "renew the credentials of this process",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "correct s3.region",
    "PermanentRedirect": "correct s3.region or s3.endpoint",
    "SlowDown": "the store is overloaded; its operator must see to it if that stays",
    "QuotaExceeded": "raise the bucket's quota",
    "XMinioStorageFull": "free space in the store",
    "NotImplemented": "choose a store that has conditional puts, lists and deletes",
}
_NO_CREDENTIALS: Final = re.compile(
    r"credential provider|169\.254\.169\.254|/v2/credentials|AssumeRole"
)
_SIGNS: Final = (
    (re.compile("BareRedirect"), "it is in another region", "correct s3.region or s3.endpoint"),
    (re.compile("certificate|UnknownIssuer"),
     "its certificate is not to be trusted", "set s3.authority to who signed it, or mend it"),
    (re.compile("timed out|TimedOut|Timeout"),
     "it does not answer in time", "look at the store, and at the network to it"),
    (re.compile("Connect|dns error|error sending request"),
     "it cannot be reached", "start it, correct s3.endpoint, or look at the network"),
)  # fmt: skip


@dataclass(frozen=True)
class S3Objects:
    """An `ObjectStore` below a prefix of one bucket.

    `step` is called with a failpoint's name at each durable step.
    """

    address: str
    step: Step = pass_by
    _bucket: S3Store = field(kw_only=True, repr=False)

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, durably; see `ObjectStore`."""
        check_object_name(name)
        with self._door(name):
            self.step("objects.before_write")
            is_new = self._create(name, data)
            self.step("objects.after_link")
        if not is_new and self._held(name) != data:
            raise ConflictingContribution(
                f"{name} is kept with other bytes; send what was sent first"
            )

    def mend(self, name: str, data: bytes) -> None:
        """Keep `data` in the place of what is damaged, durably; see `ObjectStore`."""
        check_object_name(name)
        with self._door(name):
            self.step("objects.before_write")
            obstore.put(self._bucket, name, data, mode="overwrite", use_multipart=False)
            self.step("objects.after_link")

    def get(self, name: str) -> bytes:
        """Return the bytes kept under `name`; see `ObjectStore`."""
        check_object_name(name)
        with self._door(name):
            return obstore.get(self._bucket, name).bytes().to_bytes()

    def exists(self, name: str) -> bool:
        """Return whether bytes are kept under `name`."""
        return self._length(name) is not None

    def names(self, prefix: str = "") -> list[str]:
        """Return the names below `prefix`, sorted."""
        return sorted(self._listed(prefix))

    def lengths(self, prefix: str) -> dict[str, int]:
        """Return how many bytes are kept under each name below `prefix`."""
        return self._listed(prefix)

    def delete_prefix(self, prefix: str) -> None:
        """Forget, durably, all that is kept below `prefix`."""
        check_object_name(prefix)
        with self._door(prefix):
            self.step("objects.before_delete")
            found = self.names(prefix)
            if found:
                obstore.delete(self._bucket, found)  # in requests of 1,000 names each
            self.step("objects.after_delete")

    def clear_parts(self, prefix: str = "") -> None:
        """Do nothing: no put leaves a part that has a name."""

    def prove(self) -> None:
        """Return if the bucket keeps the promises of an `ObjectStore`, as a probe shows.

        Raises:
            ConfigError: it replaces what is there, or keeps what is deleted.
            StoreUnavailable: it cannot be asked.
        """
        probe = f".probe-{uuid4().hex}"
        with self._door(""):
            made = obstore.put(self._bucket, probe, b"1", mode="create", use_multipart=False)
            is_replaced = self._create(probe, b"2")
            kept = obstore.get(self._bucket, probe).bytes().to_bytes()
            obstore.delete(self._bucket, [probe])
        if is_replaced or kept != b"1":
            raise ConfigError(
                f"objects: {self.address} ignores conditional puts (If-None-Match), so one "
                "contribution might replace another; choose a store that has them"
            )
        if (made["version"] or "null") != "null":
            raise ConfigError(
                f"objects: {self.address} keeps old versions, so what is erased would stay; "
                "choose a bucket without versioning"
            )

    def _listed(self, prefix: str) -> dict[str, int]:
        if prefix:
            check_object_name(prefix)
        with self._door(prefix):
            pages = obstore.list(self._bucket, prefix or None)
            found = {each["path"]: each["size"] for page in pages for each in page}
        if not found and prefix:
            length = self._length(prefix)
            return {} if length is None else {prefix: length}
        # What is no name of ours is nobody's object: a probe that a crash has left.
        return {name: size for name, size in found.items() if not name.startswith(".")}

    def _length(self, name: str) -> int | None:
        check_object_name(name)
        try:
            with self._door(name):
                return obstore.head(self._bucket, name)["size"]
        except NotYet:
            return None

    def _create(self, name: str, data: bytes) -> bool:
        """Write an object and return True, or False if there is one."""
        try:
            obstore.put(self._bucket, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def _held(self, name: str) -> bytes:
        try:
            return self.get(name)
        except NotYet as error:
            # Another put of it is under way, or it has just been deleted.
            raise StoreUnavailable(f"{self.address}/{name}: in flux; it is retried") from error

    @contextmanager
    def _door(self, name: str) -> Iterator[None]:
        where = f"{self.address}/{name}".rstrip("/")
        try:
            yield
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise _unavailable(where, error) from None
            raise NotYet(f"there is no {name} yet") from None
        except (BaseError, OSError) as error:
            # Its text has whole requests in it: said in our words, and not chained.
            raise _unavailable(where, error) from None


def open_bucket(address: str, access: S3Access, *, step: Step = pass_by) -> S3Objects:
    """Return the objects at `s3://bucket/prefix`; nothing is asked of the store yet.

    Raises:
        ConfigError: no such address, endpoint or credentials file.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError(f"objects: {address!r} is not /folder, nor s3://bucket/prefix")
    prefix = match[2] or ""
    endpoint = access.endpoint or f"https://s3.{access.region}.amazonaws.com"
    bucket = S3Store(
        match[1],
        prefix=prefix or None,
        # Each of them said here: the environment is asked for credentials and for nothing else.
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=access.region,
        virtual_hosted_style_request=False,
        conditional_put="etag",
        checksum_algorithm="SHA256",
        unsigned_payload=False,
        skip_signature=False,
        imdsv1_fallback=False,
        s3_express=False,
        request_payer=False,
        client_options=_client(endpoint, access.authority),
        retry_config=_RETRY,
        credential_provider=_credentials(access),
    )
    return S3Objects("/".join(filter(None, (f"{SCHEME}{match[1]}", prefix))), step, _bucket=bucket)


_RETRY: Final["RetryConfig"] = {
    "max_retries": _RETRIES,
    "retry_timeout": timedelta(seconds=REQUEST_SECONDS),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}


def _client(endpoint: str, authority: Path | None) -> "ClientConfig":
    """Return how requests are made: over TLS, but to this machine itself."""
    parts = urlsplit(endpoint)
    is_plain = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not parts.hostname or (parts.scheme != "https" and not is_plain):
        raise ConfigError(f"s3.endpoint: {endpoint!r} is not https://host, nor http on loopback")
    if parts.username or parts.password or parts.query:
        raise ConfigError("s3.endpoint: a host and a port only; credentials are files of their own")
    client: ClientConfig = {
        "allow_http": is_plain,
        "allow_invalid_certificates": False,
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "user_agent": "veilsum",
    }
    if authority is not None:
        client["root_certificate"] = read_file(authority)
    return client


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(access: S3Access) -> Callable[[], "S3Credential"] | None:
    """Return what reads the credentials' files, again every few minutes: they may be rotated."""
    if access.access_key is None or access.secret_key is None:
        return None
    files = (access.access_key, access.secret_key)

    def read() -> "S3Credential":
        access_key, secret_key = (read_secret(path).decode().strip() for path in files)
        until = datetime.now(UTC) + timedelta(seconds=_CREDENTIALS_SECONDS)
        return {
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "token": None,
            "expires_at": until,
        }

    read()  # what is wrong with them is found at the start
    return read


def _unavailable(where: str, error: Exception) -> StoreUnavailable:
    reason, advice = _reason(error)
    return StoreUnavailable(f"{where}: {reason}; {advice}; it is retried")


def _reason(error: Exception) -> tuple[str, str]:
    """Return what failed, and who does what about it."""
    code, text = _code(error), str(error)
    if code in _ADVICE:
        return code, _ADVICE[code]
    if _NO_CREDENTIALS.search(text):
        return "no credentials", "mend s3.access_key and s3.secret_key, or this machine's role"
    status = _STATUS.search(text)
    if status is not None:
        is_ours = status[1] in ("401", "403")
        return f"HTTP {status[1]} {code}".rstrip(), _KEY_OWNER if is_ours else "look at the store"
    for sign, reason, advice in _SIGNS:
        if sign.search(text):
            return reason, advice
    return type(error).__name__, "look at the store, and at the network to it"


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""
