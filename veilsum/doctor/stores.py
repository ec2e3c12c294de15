"""The coordinator's database and object store: something is written, read back and removed."""

from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import delete, insert, select

from coordinator.adapters.objects.objects_at import objects_at, open_objects_at
from coordinator.adapters.sql.checksums import with_checksum
from coordinator.adapters.sql.database import open_as_it_is, transaction, writer
from coordinator.adapters.sql.schema import documents
from coordinator.config import Settings
from privacy.errors import VeilsumError

from .finding import SITE, Finding, problem

_KIND: Final = "doctor"
_BODY: Final = b"written by veilsum doctor, and removed"
_SQLITE: Final = "sqlite:///"
_FIX: Final = "do what it says; nothing of the coordinator was changed"


def check_database(settings: Settings) -> Finding:
    """Return whether a row can be written, read back and removed, in one transaction.

    Nobody else ever sees it: a coordinator may lead meanwhile.
    """
    where = settings.database.partition("?")[0]
    if where.startswith(_SQLITE) and not Path(where.removeprefix(_SQLITE)).exists():
        fix = "run `veilsum coordinator init`, or start the coordinator, which makes it"
        return problem("database", _shown(where), "not there", fix, SITE)
    try:
        engine = open_as_it_is(settings.database, settings.database_password)
        try:
            with transaction(writer(engine)) as connection:
                row = {"kind": _KIND, "name": uuid4().hex, "body": _BODY}
                mine = (documents.c.kind == _KIND) & (documents.c.name == row["name"])
                connection.execute(insert(documents), with_checksum(documents, row))
                kept = connection.scalar(select(documents.c.body).where(mine))
                connection.execute(delete(documents).where(mine))
        finally:
            engine.dispose()
    except VeilsumError as error:
        return problem("database", _shown(where), str(error), _FIX, SITE)
    except Exception as error:  # whatever its driver raises
        found = f"cannot be written ({type(error).__name__})"
        fix = "make room on its disk, and let this user write there; its own log says more"
        return problem("database", _shown(where), found, fix, SITE)
    if kept != _BODY:
        fix = "check its disk and memory before anything else"
        return problem("database", _shown(where), "gives back other bytes", fix, SITE)
    return Finding("database", _shown(where), "written, read back and removed")


def check_objects(settings: Settings) -> Finding:
    """Return whether an object can be written, read back and removed."""
    address = settings.objects or str((settings.state / "objects").absolute())
    try:
        if address.startswith("s3://"):
            open_objects_at(address, settings.s3)  # it proves just that
            return Finding("objects", address, "written, read back and removed")
        store = objects_at(address, settings.s3)
        name = f"{_KIND}-{uuid4().hex}"
        try:
            store.put(name, _BODY)
            kept = store.get(name)
        finally:
            store.delete_prefix(name)
    except VeilsumError as error:
        return problem("objects", address, str(error), _FIX, SITE)
    if kept != _BODY:
        fix = "check its disk and memory before anything else"
        return problem("objects", address, "gives back other bytes", fix, SITE)
    return Finding("objects", address, "written, read back and removed")


def _shown(url: str) -> str:
    """Return a database's URL without a password, which it should not have in the first place."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
