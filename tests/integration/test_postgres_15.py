"""The oldest PostgreSQL that is supported, as Debian builds it; and TLS, which that build has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from coordinator.adapters.sql import postgres
from tests import postgres as servers
from tests.loopback import make_federation
from tests.missing_tools import missing

pytestmark = pytest.mark.integration

BINARIES = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).parents[2]
LAW = ("test_store_law", "test_postgres", "test_migrations")


@pytest.fixture(autouse=True)
def _debians(monkeypatch):
    if not (BINARIES / "postgres").exists():
        missing("PostgreSQL 15 is missing: an administrator installs the package postgresql-15")
    monkeypatch.setenv("TESTS_POSTGRES", str(BINARIES))


@pytest.mark.timeout(400)  # about 200 tests, a database for each
def test_the_law_of_stores_and_every_migration_hold_on_postgresql_15():
    files = [f"tests/coordinator/adapters/sql/{name}.py" for name in LAW]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "3", "--dist", "load", "-k", "postgres", *files],
        cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=360, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture
def far(tmp_path):
    """Yield a server, and the function that connects as if it were another machine."""
    with servers.server() as running:

        def connect(name, authority):
            trusted = tmp_path / "authority.pem"
            trusted.write_bytes(authority.certificate_pem)
            url = make_url(f"postgresql://veilsum@{name}:{running.port}/postgres")
            checked = postgres.check(url.update_query_dict({"sslrootcert": str(trusted)}), None)
            here = checked.update_query_dict({"hostaddr": "127.0.0.1"})  # as a name server says
            engine = postgres.engine(here, running.password)
            try:
                with engine.connect() as connection:
                    query = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                    return connection.exec_driver_sql(query).scalar()
            finally:
                engine.dispose()

        yield running, connect


def test_a_server_is_spoken_to_under_tls_its_name_and_its_authority_alone(far):
    running, connect = far
    federation = make_federation("db.example.org")

    with pytest.raises(OperationalError, match="does not support SSL"):
        connect("db.example.org", federation.authority)
    running.show(federation.server.certificate_pem, federation.server.key_pem)

    assert connect("db.example.org", federation.authority) == "TLSv1.3"
    with pytest.raises(OperationalError, match="host name"):
        connect("db.example.net", federation.authority)
    with pytest.raises(OperationalError, match="certificate verify failed"):
        connect("db.example.org", make_federation().authority)
