"""This machine: room on its disks, who reads its keys, until when its certificate counts."""

import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from .edges import Edges
from .finding import OPERATOR, SITE, Finding, problem, warning

LEAST_BYTES: Final = 256 << 20
"""What a process writes besides what a plan needs: its database, its ledger, its log."""

_LEFT: Final = 4


def check_disk(folder: Path, edges: Edges, needed: int | None = None) -> Finding:
    """Return whether there is room in a folder for what a plan needs, in bytes.

    Args:
        needed: None if no plan is known.
    """
    where = _existing(folder)
    try:
        free = edges.free(where)
    except OSError as error:
        fix = f"let this process use {where}"
        return problem("disk", str(folder), f"not to be seen: {error.strerror}", fix, SITE)
    least = LEAST_BYTES + (needed or 0)
    of = "this plan needs about" if needed is not None else "no plan is known; at the least"
    found = f"{_said(free)} free; {of} {_said(least)}"
    if free < least:
        return problem("disk", str(folder), found, f"make room: {_said(least - free)}", SITE)
    if free < 2 * least:
        return warning("disk", str(folder), found, f"make room: {_said(2 * least - free)}", SITE)
    return Finding("disk", str(folder), found)


def check_secret(path: Path) -> Finding:
    """Return whether a secret's file is its owner's alone; it is not read."""
    try:
        about = path.lstat()
    except OSError as error:
        fix = f"put the file there, or correct the setting that names {path}"
        return problem("secret", str(path), f"not there: {error.strerror}", fix, SITE)
    mode, is_folder = stat.S_IMODE(about.st_mode), stat.S_ISDIR(about.st_mode)
    if not (is_folder or stat.S_ISREG(about.st_mode)):
        fix = f"put the file itself at {path}"
        return problem("secret", str(path), "a link or a device, not a file", fix, SITE)
    if about.st_uid != os.geteuid():
        fix = f"chown {os.geteuid()} {path}, or run this as user {about.st_uid}"
        found = f"belongs to user {about.st_uid}, not to {os.geteuid()} who runs this"
        return problem("secret", str(path), found, fix, SITE)
    if mode & 0o077:
        wanted = "700" if is_folder else "600"
        fix = f"chmod {wanted} {path}; if somebody else may have read it, make new keys"
        return problem("secret", str(path), f"mode {mode:04o}: others can read it", fix, SITE)
    return Finding("secret", str(path), f"mode {mode:04o}, its owner's alone")


def check_certificate(path: Path, edges: Edges, *, renew: str, renews_itself: bool) -> Finding:
    """Return until when the certificate in a file counts.

    Args:
        renew: how a new one is got.
        renews_itself: whether a running process gets it in time by itself.
    """
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return problem("certificate", str(path), f"not there: {error.strerror}", renew, SITE)
    except ValueError:
        return problem("certificate", str(path), "not a certificate in PEM", renew, SITE)
    return _certified(path, leaf, edges, renew=renew, renews_itself=renews_itself)


def _certified(
    path: Path, leaf: x509.Certificate, edges: Edges, *, renew: str, renews_itself: bool
) -> Finding:
    now, begin, end = edges.now(), leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        fix = "correct this machine's clock, or ask the operator about theirs"
        found = f"counts from {begin:%Y-%m-%d %H:%M}Z only"
        return problem("certificate", str(path), found, fix, SITE)
    if now > end:
        found = f"ended at {end:%Y-%m-%d %H:%M}Z"
        return problem("certificate", str(path), found, renew, SITE)
    found = f"until {end:%Y-%m-%d %H:%M}Z, {_span(end - now)} left"
    # A process renews at half of its life: what is left of a quarter was not renewed in time.
    if renews_itself and end - now < (end - begin) / _LEFT:
        fix = "see that the process runs and reaches the coordinator: it renews by itself"
        return warning("certificate", str(path), f"{found}; not renewed in time", fix, SITE)
    if not renews_itself and end - now < timedelta(days=30):
        return warning("certificate", str(path), found, renew, OPERATOR)
    return Finding("certificate", str(path), found)


def _existing(folder: Path) -> Path:
    return next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))


def _said(size: int) -> str:
    if size < 1 << 30:
        return f"{size / (1 << 20):.0f} MiB"
    return f"{size / (1 << 30):.1f} GiB"


def _span(left: timedelta) -> str:
    hours = left.total_seconds() / 3600
    if hours < 48:
        return f"{hours:.1f} h"
    return f"{hours / 24:.0f} days"
