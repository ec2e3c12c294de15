"""Where a process's numbers can be fetched, if its operator has said where."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import structlog
from cryptography import x509

from veilsum.release import RELEASE

from .book import Book, Sample
from .catalogue import BUILD_INFO, CERTIFICATE_EXPIRY

log = structlog.get_logger()


@contextmanager
def metrics_door(book: Book, address: str | None) -> Iterator[None]:
    """Serve a book's numbers at an address; without one, load and open nothing.

    Raises:
        AddressTaken: the address is in use, or not this machine's.
    """
    book.watch(lambda: [(BUILD_INFO, (RELEASE,), 1.0)])
    if address is None:
        yield
        return
    from .prometheus import serving  # noqa: PLC0415 - 80 ms, for those who want it

    with serving(book, address) as port:
        log.info("metrics", port=port)
        yield


def expiry_of(path: Path, subject: str) -> list[Sample]:
    """Return when the certificate in a file ends; it is read anew, since it is renewed."""
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    ends = certificate.not_valid_after_utc.astimezone(UTC).timestamp()
    return [(CERTIFICATE_EXPIRY, (subject,), ends)]
