"""`veilsum bench round`: a whole round in real processes over mutual TLS, stage by stage."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from privacy.errors import ConfigError, VeilsumError
from veilsum.federation.children import Children, children
from veilsum.federation.founding import Places
from veilsum.federation.observe import events
from veilsum.process import stopped_by_sigterm
from veilsum.progress import SILENT, Meter

from .machine import this_machine
from .memory import Kinds, Peaks
from .round_report import RoundReport
from .setting import (
    AUDITOR,
    Setting,
    configure_auditor,
    configure_seats,
    configure_sites,
    draw,
    found_setting,
)
from .timeline import Timeline, timeline
from .untrained import mean_digest

LONGEST_SECONDS = 6 * 3600.0
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_MILESTONES = ("contribution_sent", "model_adopted")
_COORDINATOR: Kinds = ("coordinator", "fold")
_AUDITOR: Kinds = ("auditor",)
_SEAT: Kinds = ("seat",)
_SITE: Kinds = ("agent", "worker", "encryptor")


def run(
    *,
    participants: int,
    parameters: int,
    value_bits: int,
    auditor: bool = True,
    scheme: str = "ckks",
    watcher: Meter = SILENT,
) -> RoundReport:
    """Run one round of untrained updates, each member in processes of its own.

    What it writes lies in a temporary folder, and stays there only if a process fails: SIGTERM
    ends every process and leaves nothing.

    Args:
        watcher: is told of each contribution that was sent, and each model that was adopted.

    Raises:
        ConfigError: no such scheme, the sizes do not go together, or a process failed; its
            log says why.
        UnsafeParameters: no parameters of the scheme fit, with the numbers.
    """
    machine = this_machine()
    setting = draw(
        participants, parameters, value_bits, auditor=auditor, entropy=os.urandom, scheme=scheme
    )
    with stopped_by_sigterm(), _folder() as folder:
        places = Places(folder)
        peaks = _run(places, setting, watcher)
        found = _timeline(places, setting)
    wanted = mean_digest(list(setting.updates.values()))
    return RoundReport(
        scheme=scheme,
        parameters=parameters,
        participants=participants,
        value_bits=value_bits,
        auditor=setting.auditor,
        bytes_per_parameter_up=max(found.bytes_up.values()) / parameters,
        seconds=found.seconds,
        stages=found.stages,
        peak_rss_mib=peaks.mib,
        exact=set(found.models.values()) == {wanted},
        machine=machine,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards, unless an error names the logs in it."""
    folder = Path(tempfile.mkdtemp(prefix="veilsum-bench-"))
    keep = False
    try:
        yield folder
    except VeilsumError:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)


def _run(places: Places, setting: Setting, watcher: Meter) -> Peaks:
    """Run the round until every site has ended; return the memory that was seen meanwhile."""
    roster = found_setting(places, setting)
    with children(places.logs) as family:
        address = _start_coordinator(places, family)
        for name, path in configure_sites(places, setting, roster, address).items():
            family.start(name, ["veilsum.bench.site_process", str(path)])
        kinds = {"coordinator": _COORDINATOR, **dict.fromkeys(setting.sites, _SITE)}
        if setting.auditor:
            path = configure_auditor(places, roster, address)
            family.start(AUDITOR, ["veilsum", "auditor", "serve", "--config", str(path)])
            kinds[AUDITOR] = _AUDITOR
        for name, path in configure_seats(places, setting, roster, address).items():
            family.start(name, ["veilsum", "aggregator", "serve", "--config", str(path)])
            kinds[name] = _SEAT
        watcher.total(len(setting.sites) * len(_MILESTONES))
        watch = _Watch(family, kinds, watcher)
        family.wait_for("the round", watch.is_over, LONGEST_SECONDS)
        family.check()
    return watch.peaks


def _start_coordinator(places: Places, family: Children) -> str:
    config, announced = places.coordinator / "coordinator.toml", places.root / "address"
    family.start(
        "coordinator",
        ["veilsum", "coordinator", "serve", "--config", str(config), "--announce", str(announced)],
    )
    family.wait_for("the coordinator's address", announced.exists, _START_SECONDS)
    return announced.read_text()


class _Watch:
    """Looks at the processes' memory, and for errors, while it waits for the sites to end."""

    def __init__(self, family: Children, kinds: Mapping[str, Kinds], watcher: Meter) -> None:
        self.peaks = Peaks()
        self._family, self._kinds, self._next = family, kinds, 0.0
        self._watcher, self._passed = watcher, set[tuple[str, object]]()

    def is_over(self) -> bool:
        """Return whether every site has ended.

        Raises:
            ConfigError: a member has logged an error; the round would wait for it in vain.
        """
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_SECONDS
            self.peaks.look({self._family.running[n].pid: k for n, k in self._kinds.items()})
            for name in self._kinds:
                self._look_at_log(name)
        return all(self._family.has_ended(name) for name in self._kinds if name != "coordinator")

    def _look_at_log(self, name: str) -> None:
        log = self._family.logs / f"{name}.log"
        for event in events(log):
            milestone = (name, event.get("event"))
            if milestone[1] in _MILESTONES and milestone not in self._passed:
                self._passed.add(milestone)
                self._watcher.step()
            if event.get("level") == "error":
                raise ConfigError(f"{name}: {event.get('reason', event)}; look into {log}")


def _timeline(places: Places, setting: Setting) -> Timeline:
    def log(name: str) -> list[dict[str, object]]:
        return events(places.logs / f"{name}.log")

    sites = {name: log(name) for name in setting.sites}
    return timeline(log("coordinator"), sites, setting.scheme)
