"""An object store by its address, so that any machine can open the one that another writes.

`/folder` is a folder of this machine, or one that several machines mount; `s3://bucket/prefix` is
a bucket. No address has a credential in it: `S3Access` says where those are.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.config import S3Access
from coordinator.ports import ObjectStore
from privacy.errors import ConfigError, MissingDependency
from privacy.failpoints import Step, pass_by

from .files import LocalObjects, open_objects

if TYPE_CHECKING:
    from .s3 import S3Objects

_BUCKET = "s3://"


def objects_at(
    address: str, access: S3Access | None = None, *, step: Step = pass_by
) -> ObjectStore:
    """Return the store at `address`, which somebody has opened before.

    Nothing there is changed, so it is for who works beside a coordinator.

    Raises:
        ConfigError: not the address of a store.
        MissingDependency: it is a bucket's, and obstore is not installed.
    """
    if address.startswith(_BUCKET):
        return _bucket(address, access or S3Access(), step=step)
    return LocalObjects(_folder(address), step)


def open_objects_at(
    address: str, access: S3Access | None = None, *, step: Step = pass_by
) -> ObjectStore:
    """Open, or make, the store at `address`, alone; it is proven to keep what a store promises.

    Raises:
        ConfigError: not the address of a store, or of one that replaces or never erases objects.
        MissingDependency: it is a bucket's, and obstore is not installed.
        StoreUnavailable: it cannot be read and written now.
    """
    if address.startswith(_BUCKET):
        bucket = _bucket(address, access or S3Access(), step=step)
        bucket.prove()
        return bucket
    return open_objects(_folder(address), step=step)


def _folder(address: str) -> Path:
    folder = Path(address)
    if not folder.is_absolute():
        raise ConfigError(f"objects: {address!r} is not /folder, nor s3://bucket/prefix")
    return folder


def _bucket(address: str, access: S3Access, *, step: Step) -> "S3Objects":
    if find_spec("obstore") is None:
        raise MissingDependency("objects: obstore is not installed; install the extra `s3`")
    from .s3 import open_bucket  # noqa: PLC0415  only where a bucket is asked for

    return open_bucket(address, access, step=step)
