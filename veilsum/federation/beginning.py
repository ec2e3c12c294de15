"""Begin a federation at its coordinator: authority, keys, operator, settings, and a database.

All of it is made in a folder beside the one that is asked for, which then takes its name: after a
crash there is everything, or nothing.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from json import dumps
from pathlib import Path
from string import Template
from typing import Final

from coordinator import config as coordinator_config
from coordinator.adapters import authority_files
from coordinator.adapters.authority import (
    Authority,
    certify_coordinator,
    certify_coordinator_again,
    make_issuing,
    make_root,
)
from coordinator.adapters.authority_files import Certifier
from coordinator.adapters.sql.database import open_as_it_is
from coordinator.adapters.sql.store import SqlStore, open_store
from coordinator.build import UNSET_MODEL
from coordinator.keys import make_signing_key
from coordinator.members.issuing import Issuing
from coordinator.members.revocations import Revocations
from coordinator.ports import Revocation, Store
from participant.joining.init import REQUEST, init
from participant.joining.operator_config import read as read_operator
from participant.joining.own import ENTRY
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError, MalformedMessage, StoreUnavailable
from privacy.identifiers import check_name
from privacy.roster import Role
from veilsum.files import (
    make_folder,
    read_file,
    read_secret,
    sync_folder,
    write_durably,
    write_new,
)

ROOT_LIFE: Final = timedelta(days=20 * 365)
ISSUING_LIFE: Final = timedelta(days=10 * 365)
SERVER_LIFE: Final = timedelta(days=825)
OPERATOR_LIFE: Final = timedelta(days=90)

CONFIG: Final = "coordinator.toml"
OPERATOR_CONFIG: Final = "operator.toml"
CERTIFICATE: Final = "certificate.pem"
DATABASE: Final = "coordinator.sqlite"

_LONGEST_HOST: Final = 253
_LARGEST_PORT: Final = 65535
_PORT: Final = re.compile("[0-9]{1,5}")
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
TRUSTED: Final = "trusted.pem"


@dataclass(frozen=True)
class Wanted:
    """What a coordinator is begun with.

    Attributes:
        address: host:port, as members reach it.
        joining: the same for those who have no certificate yet.
        alternatives: where members reach the coordinators that stand by, host:port.
        bind: the address of this machine that it answers at.
        own: the chain and the key of an authority that there is, in the place of a new one.
    """

    federation: str
    address: str
    joining: str
    operator: str
    organisation: str
    bind: str = "0.0.0.0"  # noqa: S104 - members come from elsewhere; docs/network.md
    openers: Sequence[str] = ("hospital-a", "hospital-b", "hospital-c")
    database: str = ""
    database_password: Path | None = None
    own: tuple[Path, Path] | None = None
    passphrase: Path | None = None
    alternatives: Sequence[str] = ()


@dataclass(frozen=True)
class Begun:
    """Where everything is."""

    folder: Path
    config: Path
    operator: Path
    fingerprint: str
    root_key: Path | None


def begin(folder: Path, wanted: Wanted) -> Begun:
    """Make everything that a coordinator of a new federation needs, in the new folder `folder`.

    Raises:
        ConfigError: it is there already, or what is wanted cannot be.
        InsecureKeyFile: others can read a key or passphrase that was given.
        StoreUnavailable: the disk or the database refuses.
    """
    _check(folder, wanted)
    folder = folder.absolute()
    draft = _draft(folder)
    try:
        authority = _authority(draft, wanted)
        _fill(draft, folder, wanted, authority)
        coordinator_config.read(draft / CONFIG)
        # Before the folder has its name: a database that cannot be opened leaves nothing behind.
        url = wanted.database or f"sqlite:///{draft / DATABASE}"
        with closing(open_store(url, wanted.database_password)) as store:
            _certify_operator(draft / "operator", authority, wanted.operator, store)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    root_key = None if wanted.own else folder / "authority" / authority_files.ROOT_KEY
    operator = folder / "operator" / OPERATOR_CONFIG
    return Begun(folder, folder / CONFIG, operator, authority.fingerprint, root_key)


def recertify(config: Path, operator: Path, over: Over = NOTHING) -> "Recertified":
    """Write a new certificate for an operator whose own has ended, or was shut out.

    For who sits at the coordinator's machine: the key of the authority is all the proof. It is
    recorded as any other is, so it is renewed as any other; and it begins after a revocation.

    Raises:
        ConfigError: the two files are not of one federation, or it certifies nobody.
        StoreUnavailable, SchemaMismatch: the coordinator's database cannot be used as it is.
    """
    settings, mine = coordinator_config.read(config, over), read_operator(operator)
    wanted = settings.enrolment
    if wanted is None or settings.federation != mine.federation:
        raise ConfigError(f"{config} is of another federation than {operator}, or has no authority")
    authority = authority_files.load(
        settings.federation, wanted.authority, wanted.authority_key, wanted.passphrase
    )
    path = mine.coordinator.certificate
    engine = open_as_it_is(settings.database, settings.database_password)
    with closing(SqlStore(engine)) as store:
        over_ruled = _certify_operator(mine.state, authority, mine.participant, store, path)
    return Recertified(path, over_ruled)


@dataclass(frozen=True)
class Recertified:
    """Where an operator's new certificate is, and the revocation that it goes over, if any."""

    path: Path
    overrides: Revocation | None


def recertify_server(config: Path, over: Over = NOTHING) -> tuple[Path, datetime]:
    """Write the coordinator's own next certificate, for its key and its names; return its end.

    It is shown by who starts after that. One file is replaced, whole: key and certificate belong
    together at each moment.

    Raises:
        ConfigError: it certifies nobody, or its certificate is not of this federation.
        StoreUnavailable: the disk refuses.
    """
    settings = coordinator_config.read(config, over)
    wanted, path = settings.enrolment, settings.listen.certificate
    if wanted is None:
        raise ConfigError(f"{config} has no table enrolment, so no authority that certifies")
    authority = authority_files.load(
        settings.federation, wanted.authority, wanted.authority_key, wanted.passphrase
    )
    now = datetime.now(UTC)
    life = _server_life(authority, now)
    write_durably(path, certify_coordinator_again(authority, read_file(path), now=now, life=life))
    return path, now + life


def _server_life(authority: Authority, now: datetime) -> timedelta:
    left = authority.certificate.not_valid_after_utc - now
    return min(SERVER_LIFE, left - timedelta(minutes=1))


def _check(folder: Path, wanted: Wanted) -> None:
    if folder.exists():
        raise ConfigError(f"{folder} exists; a federation is never begun over another one")
    for option, name in (("--federation", wanted.federation), ("--operator", wanted.operator)):
        try:
            check_name(name)
        except MalformedMessage as error:
            raise ConfigError(f"{option}: {error}") from None
    if wanted.passphrase is not None and not _word(wanted.passphrase):
        raise ConfigError(f"--passphrase: {wanted.passphrase} is empty")
    if wanted.passphrase is not None and wanted.own is None:
        authority_files.check_passphrase(_word(wanted.passphrase))
    named = [("--address", wanted.address), ("--joining", wanted.joining)]
    for option, address in [*named, *(("--alternative", each) for each in wanted.alternatives)]:
        _check_address(option, address)
    if wanted.address == wanted.joining or _port(wanted.address) == _port(wanted.joining):
        raise ConfigError(
            f"--joining: {wanted.joining} is the port of --address; two ports are answered, as "
            "members' certificates are asked for at one of them alone"
        )
    if not _is_ip(wanted.bind):
        raise ConfigError(f"--bind: {wanted.bind!r} is no address of this machine, as 0.0.0.0 is")


def _check_address(option: str, address: str) -> None:
    host, port = _host(address), _port(address)
    if not (_PORT.fullmatch(port) and 1 <= int(port) <= _LARGEST_PORT):
        raise ConfigError(f"{option}: {address[-80:]!r} must end with a port, 1 to {_LARGEST_PORT}")
    if not (_is_ip(host) or (len(host) <= _LONGEST_HOST and _HOST.fullmatch(host))):
        raise ConfigError(
            f"{option}: {host[:80]!r} is no name of a host (at most {_LONGEST_HOST} letters, "
            "digits, hyphens and dots) and no IP address"
        )


def _draft(folder: Path) -> Path:
    try:
        make_folder(folder.parent)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except (OSError, StoreUnavailable) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{folder} cannot be made: {reason}") from None


def _word(path: Path) -> bytes:
    return read_secret(path).removesuffix(b"\n")


def _authority(draft: Path, wanted: Wanted) -> Authority:
    if wanted.own is not None:
        return authority_files.load(wanted.federation, *wanted.own, wanted.passphrase)
    now = datetime.now(UTC)
    root = make_root(wanted.federation, now=now, life=ROOT_LIFE)
    names = [name for name in _hosts(wanted) if not _is_ip(name)]
    issuing = make_issuing(root, now=now, life=ISSUING_LIFE, dns_names=names)
    word = None if wanted.passphrase is None else _word(wanted.passphrase)
    authority_files.save(draft / "authority", root, issuing, word)
    return issuing


def _fill(draft: Path, folder: Path, wanted: Wanted, authority: Authority) -> None:
    now = datetime.now(UTC)
    life = _server_life(authority, now)
    server = certify_coordinator(authority, _hosts(wanted), now=now, life=life)
    make_signing_key(draft / "signing.key")
    operator = draft / "operator"
    init(operator, wanted.federation, wanted.operator, wanted.organisation, role=Role.OPERATOR)
    files: Mapping[Path, bytes] = {
        draft / "server.pem": server.certificate_pem,
        draft / "server.key": server.key_pem,
        draft / TRUSTED: authority.certificate_pem,
        operator / "authority.pem": authority.certificate_pem,
        operator / OPERATOR_CONFIG: _operator_toml(folder, wanted).encode(),
        draft / CONFIG: _coordinator_toml(folder, wanted).encode(),
    }
    for path, body in files.items():
        write_new(path, body)


def _certify_operator(
    state: Path, authority: Authority, name: str, store: Store, path: Path | None = None
) -> Revocation | None:
    """Record and write a certificate of an operator; return the revocation that it goes over."""
    revocations = Revocations(store, time.time)
    left = authority.certificate.not_valid_after_utc - datetime.now(UTC) - timedelta(minutes=1)
    life = min(OPERATOR_LIFE, left).total_seconds()
    issuing = Issuing(Certifier(authority), store, revocations, life, time.time)
    known = store.certificates(name)
    made, issued = issuing.first(name, read_file(state / REQUEST).decode(errors="replace"))
    store.record_certificate(issued)
    write_durably(path or state / CERTIFICATE, made.pem.encode())
    found = revocations.of(name)
    return found if found and (not known or known[-1].issued_at <= found.at) else None


def _publish(draft: Path, folder: Path) -> None:
    draft.chmod(0o700)
    try:
        draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from None
    sync_folder(folder.parent)


def _hosts(wanted: Wanted) -> list[str]:
    return sorted({_host(each) for each in (wanted.address, wanted.joining, *wanted.alternatives)})


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _operator_toml(folder: Path, wanted: Wanted) -> str:
    home = folder / "operator"
    return _OPERATOR.substitute(
        federation=dumps(wanted.federation),
        participant=dumps(wanted.operator),
        state=dumps(str(home)),
        address=dumps(wanted.address),
        joining=dumps(wanted.joining),
        authority=dumps(str(home / "authority.pem")),
        certificate=dumps(str(home / CERTIFICATE)),
    )


def _coordinator_toml(folder: Path, wanted: Wanted) -> str:
    chain = folder / "authority" / authority_files.CHAIN
    key = folder / "authority" / authority_files.KEY
    if wanted.own is not None:
        chain, key = (path.absolute() for path in wanted.own)
    password = wanted.database_password
    bind = f"[{wanted.bind}]" if ":" in wanted.bind else wanted.bind
    return _COORDINATOR.substitute(
        federation=dumps(wanted.federation),
        state=dumps(str(folder / "state")),
        database=dumps(wanted.database or f"sqlite:///{folder / DATABASE}"),
        password=f"database_password = {dumps(str(password.absolute()))}\n" if password else "",
        signing_key=dumps(str(folder / "signing.key")),
        listen=dumps(f"{bind}:{_port(wanted.address)}"),
        listen_joining=dumps(f"{bind}:{_port(wanted.joining)}"),
        server=dumps(str(folder / "server.pem")),
        server_key=dumps(str(folder / "server.key")),
        trusted=dumps(str(folder / TRUSTED)),
        chain=dumps(str(chain)),
        key=dumps(str(key)),
        passphrase=_passphrase(wanted.passphrase),
        operator=dumps(str(folder / "operator" / ENTRY)),
        joining=dumps(wanted.joining),
        addresses=dumps([wanted.address, *wanted.alternatives]),
        openers=dumps([*wanted.openers]),
        initial=dumps(UNSET_MODEL),
    )


def _passphrase(path: Path | None) -> str:
    return f"passphrase = {dumps(str(path.absolute()))}\n" if path else ""


_OPERATOR: Final = Template("""\
# The operator of a federation: `veilsum coordinator invite`, `approve`, and so on.
# Move the folder to the operator's own machine, and correct the paths.

federation = $federation
participant = $participant
state = $state

[coordinator]
address = $address
joining = $joining
authority = $authority
certificate = $certificate
""")

_COORDINATOR: Final = Template("""\
# The coordinator of a federation. Every setting: docs/configuration.md, or
# `veilsum config show --config coordinator.toml --origin`.
# Before you close the roster with `veilsum coordinator found`, set [rounds], [model] and
# [privacy] to what the members have agreed, and start `serve` again.

federation = $federation
state = $state
database = $database
${password}signing_key = $signing_key

[listen]
address = $listen                # members, who have certificates
joining = $listen_joining        # those who have none yet
certificate = $server
key = $server_key
authority = $trusted

[enrolment]
authority = $chain
authority_key = $key
${passphrase}operator = $operator
joining = $joining               # stands in links; must be reached from every site
addresses = $addresses
certificate_seconds = 86400      # renewed by itself at half of it

[scheme]
name = "ckks/1"
fraction_bits = 11               # steps of 2^-11 ...
value_bits = 17                  # ... from -32 to 32
cohort_max = 32                  # the most sites in one sum

[rounds]
wanted = 3                       # released models, then the programme is over
openers = $openers    # trainers of different organisations, by name
cohort_minimum = 3
quorum = 3                       # contributions that close a round
agreement = 2                    # openers that sign one model
clip = "20"                      # the longest update, L2
server_learning_rate = "1"

[rounds.deadline]
progress_seconds = "120"         # silence, not slowness, ends a round
abandon_seconds = "7200"

[model]                          # EDIT: what the sites' class has; docs/journeys/data-scientist.md
dimension = 513                  # parameters
initial = $initial  # digest of the first model

[privacy]
mechanism = "local"
unit = "patient"
neighbouring = "add_remove"
delta = "0.0001"
releases = ["participation"]

[privacy.training]
kind = "local"
sampling_rate = "0.5"
noise_multiplier = "2.75"
steps = 6
clip = "1"
learning_rate = "1"
divisor = 50
""")
