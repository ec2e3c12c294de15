"""What a run of the demo has left behind, read from outside into its report."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.rounds.seated import ENOUGH
from coordinator.rounds.state import Phase, Round
from participant.config import ledger_of, limits_of, read
from participant.keys import load_keys
from participant.ledger.reading import LedgerReading, Status
from participant.memory import Memory
from participant.model.models import FOLDER as FOLDER_OF_MODELS
from participant.model.models import Models
from participant.settling.payout import Paid
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.errors import ConfigError
from privacy.records import Score, Verdict
from privacy.signing import public_bytes
from privacy.vectors import dimension
from veilsum.federation.audits import Audits
from veilsum.federation.observe import events
from veilsum.federation.statements import Statements

from . import settings as agreed
from .federation import (
    AUDITOR,
    HOSPITALS,
    KILL_ROUND,
    KILLED,
    KILLED_SEAT,
    OPENERS,
    SEAT_KILL_ROUND,
    Places,
    method_of,
    seats,
)
from .network import accuracy
from .report import Audited, Report, RoundReport, SiteRound
from .seated import Seated, SeatRound, SiteScore
from .settings import Job
from .settlement import Programme
from .witness import noted
from .worth import Scored, Worth, owed, parts

_SEAT_KILLED = "cohort signed, its sums not stated"


@dataclass(frozen=True)
class Kill:
    """How far the upload was when its site was killed."""

    durable_chunks: int
    chunks: int


def find(
    places: Places,
    programme: Programme,
    audits: Audits,
    statements: Statements,
    rounds: Mapping[int, Round],
    kill: Kill,
    started: float,
    scheme: str,
    job: Job,
) -> Report:
    """Return what the files, logs and databases of a run say of it.

    Args:
        rounds: every round by number, as the coordinator has saved it.
        started: when the demo began, by the monotonic clock.

    Raises:
        ConfigError: something is not there that a finished run leaves; a log says why.
    """
    # Judging needs torch, and evidence a second accountant; the rounds were run without them.
    from .baselines import accuracy_alone, accuracy_pooled  # noqa: PLC0415
    from .evidence import evidence  # noqa: PLC0415

    done = [rounds[number] for number in sorted(rounds) if rounds[number].phase is Phase.DONE]
    models = {name: _model_of(places, name) for name in HOSPITALS}
    digest, vector = models[OPENERS[0]]
    payouts = {name: _paid(places, name) for name in HOSPITALS}
    settled = events(places.logs / "coordinator.log", "round_settled")
    spent = {name: _spent(places, name) for name in HOSPITALS}
    pooled = accuracy_pooled(job)
    method, scored = method_of(job), [_scored(statements, each) for each in done]
    alone = {name: accuracy_alone(site, job, os.urandom) for name, (_, site) in HOSPITALS.items()}
    return Report(
        rounds=tuple(_round_report(places, audits, statements, each, kill, job) for each in done),
        parameters=dimension(job.shapes),
        accuracy=accuracy(vector, job.shapes),
        accuracy_alone=alone,
        accuracy_pooled=pooled,
        epsilon={name: each.sums.committed for name, each in spent.items()},
        epsilon_left={name: each.sums.remaining for name, each in spent.items()},
        mechanism=job.mechanism,
        vector_epsilon={name: each.vector.committed for name, each in spent.items()},
        vector_epsilon_limit=float(job.vector_epsilon_limit),
        evidence=evidence(places),
        delta=agreed.DELTA,
        bytes_up=_bytes_up(places),
        model_digest=digest,
        holders=tuple(name for name, (theirs, _) in models.items() if theirs == digest),
        transaction=str(settled[-1]["transaction"]) if settled else "",
        payouts=payouts,
        escrow=programme.escrow,
        keys=str(places.roster),
        state_dir=str(places.root),
        logs=str(places.logs),
        seconds=time.monotonic() - started,
        wanted_cohorts=wanted_cohorts(job),
        epsilon_limit=float(job.epsilon_limit),
        killed=KILLED,
        scheme=scheme,
        killed_seat=KILLED_SEAT if seats(scheme) else "",
        seat_kill_round=SEAT_KILL_ROUND if seats(scheme) else 0,
        method=method,
        worths=_worths(places, method, scored, programme, job),
        own_noise=None if method is Method.PARTICIPATION else _own_noise(places, scored, job),
    )


def wanted_cohorts(job: Job) -> tuple[int, ...]:
    """Return how many hospitals each round should have in its sum.

    All, but where one is killed; also there, where the sum needs its noise and waits for it.
    """
    without = max(job.cohort_minimum, len(HOSPITALS) - 1)
    rounds = range(1, job.rounds + 1)
    return tuple(without if number == KILL_ROUND else len(HOSPITALS) for number in rounds)


def _scored(statements: Statements, current: Round) -> Scored:
    """Return a round's cohort, and what was signed about its contributions, if anything was."""
    left_out = {each.participant for each in current.left_out}
    cohort = [e.participant for e in current.committed if e.participant not in left_out]
    return Scored(current.number, tuple(cohort), statements.scores(current).record)


def _worths(
    places: Places, method: Method, rounds: Sequence[Scored], programme: Programme, job: Job
) -> dict[str, Worth]:
    from .yardsticks import read as read_yardsticks  # noqa: PLC0415

    against = read_yardsticks(places.yardsticks)
    quiet = {} if method is Method.PARTICIPATION else against.unnoised
    measured = parts(method, rounds)
    due = owed(method, rounds, escrow=programme.escrow, wanted=job.rounds)
    return {
        name: Worth(
            tuple(each.get(name) for each in measured),
            due.get(name, 0),
            quiet.get(name),
            against.exact[name],
        )
        for name in HOSPITALS
    }


def _own_noise(places: Places, rounds: Sequence[Scored], job: Job) -> float | None:
    """Return which part of a mean product with the sum is the noise of its own hospital."""
    from .yardsticks import squared_noise  # noqa: PLC0415

    found: list[float] = []
    for each in rounds:
        updates = [noted(places.witness(name), each.number, "update") for name in each.cohort]
        whole = np.stack([one for one in updates if one is not None]).astype(np.float64)
        found += (whole @ whole.sum(axis=0) / 4.0**job.grid.fraction_bits).tolist()
    return squared_noise(job) / float(np.mean(found)) if found else None


def _round_report(
    places: Places,
    audits: Audits,
    statements: Statements,
    current: Round,
    kill: Kill,
    job: Job,
) -> RoundReport:
    left_out = {each.participant for each in current.left_out}
    cohort = tuple(e.participant for e in current.committed if e.participant not in left_out)
    killed = f"{kill.durable_chunks} of {kill.chunks} chunks sent"
    sites = tuple(
        SiteRound(
            name,
            name in cohort,
            killed if (name, current.number) == (KILLED, KILL_ROUND) else "",
        )
        for name in HOSPITALS
    )
    difference, openings = _difference(places, current.number, cohort)
    return RoundReport(
        current.number,
        cohort,
        difference,
        openings,
        sites,
        current.agreed,
        audits.countersigned(current),
        _audited(audits, current),
        _seated(statements, current, job) if current.rules.seats else None,
    )


def _seated(statements: Statements, current: Round, job: Job) -> Seated:
    certificate, verdicts = statements.certificate(current), statements.verdicts(current)
    taken, scores = statements.sums(current), statements.scores(current)
    return Seated(
        seats=tuple(
            SeatRound(
                seat,
                judged=seat in verdicts,
                unasked=verdicts[seat].unasked if seat in verdicts else "",
                certified=seat in certificate.seats,
                stated=seat in taken,
                killed_at=_SEAT_KILLED
                if (seat, current.number) == (KILLED_SEAT, SEAT_KILL_ROUND)
                else "",
            )
            for seat in current.rules.seats
        ),
        certified=certificate.complete,
        trainers=certificate.trainers,
        checked=_checked(current, list(verdicts.values())),
        left_out=tuple(f"{each.participant} {each.code}" for each in current.left_out),
        scores=tuple(_score(each, job) for each in scores.scores),
        void=scores.void,
    )


def _checked(current: Round, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return whose norms all seats have held against the bound, and found within it.

    Two seats that were answered had the third with them, whether or not it has lived to tell.
    """
    if len(verdicts) < ENOUGH or any(each.unasked for each in verdicts):
        return ()
    refused = {each.participant for verdict in verdicts for each in verdict.refused}
    return tuple(e.participant for e in current.committed if e.participant not in refused)


def _score(score: Score, job: Job) -> SiteScore:
    squared_unit = 4.0**job.grid.fraction_bits
    return SiteScore(
        score.participant,
        int(score.squared_norm) / squared_unit,
        int(score.alignment) / squared_unit,
    )


def _audited(audits: Audits, current: Round) -> Audited | None:
    reports = audits.reports(current, AUDITOR)
    if not reports:
        return None
    last = reports[-1]
    equal = audits.has_added_again(current, AUDITOR)
    return Audited(AUDITOR, equal, last.contributions, last.length, float(last.seconds))


def _difference(places: Places, number: int, cohort: tuple[str, ...]) -> tuple[int | None, int]:
    """Return how far the opened sums are from the plaintext sum, and how many there are."""
    updates = [noted(places.witness(name), number, "update") for name in cohort]
    sums = [noted(places.witness(name), number, "sum") for name in OPENERS]
    opened = [each for each in sums if each is not None]
    if not opened or any(each is None for each in updates):
        return None, len(opened)
    plain = np.sum([each for each in updates if each is not None], axis=0)
    return max(int(np.max(np.abs(each - plain))) for each in opened), len(opened)


def _model_of(
    places: Places, name: str
) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    memory, models = Memory(places.site(name)), Models(places.site(name) / FOLDER_OF_MODELS)
    release = memory.newest_release()
    vector = models.vector(release[2]) if release else None
    memory.close()
    if release is None or vector is None:
        raise ConfigError(f"{name} holds no released model; look into {places.logs}")
    return release[2], vector


def _spent(places: Places, name: str) -> Status:
    """Return what a hospital's data has given away, by its own ledger."""
    home = places.site(name)
    config = read(home / "site.toml")
    ledger = LedgerReading(
        ledger_of(config),
        site=name,
        limits=limits_of(config.policy),
        keys=(public_bytes(load_keys(home / "keys").signing).hex(),),
    )
    ledger.verify_chain()
    status = ledger.status(config.dataset.id)
    ledger.close()
    return status


def _paid(places: Places, name: str) -> str:
    path = places.site(name) / "payout.json"
    return canonical.decode(path.read_bytes(), Paid).cumulative if path.exists() else "0"


def _bytes_up(places: Places) -> int:
    """Return the bytes of the largest contribution that was sent without interruption."""
    sent = [
        int(str(event["bytes"]))
        for name in OPENERS
        for event in events(places.logs / f"{name}.log", "contribution_sent")
    ]
    return max(sent, default=0)
