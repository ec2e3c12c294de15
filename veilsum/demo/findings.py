"""What a run of the demo has left behind, read from outside into its report."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.seated import ENOUGH
from coordinator.state import Phase, Round
from participant.config import read
from participant.ledger import SiteLedger
from participant.memory import Memory
from participant.models import FOLDER as FOLDER_OF_MODELS
from participant.models import Models
from participant.payout import Paid
from privacy import canonical
from privacy.budget import SpendLimits
from privacy.errors import ConfigError
from privacy.records import Score, Verdict
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
    seats,
)
from .network import accuracy
from .report import Audited, Report, RoundReport, SiteRound
from .seated import Seated, SeatRound, SiteScore
from .settlement import Programme
from .witness import noted

WANTED_COHORTS = (4, 3, 4)
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
) -> Report:
    """Return what the files, logs and databases of a run say of it.

    Args:
        rounds: every round by number, as the coordinator has saved it.
        started: when the demo began, by the monotonic clock.

    Raises:
        ConfigError: something is not there that a finished run leaves; a log says why.
    """
    # Judging needs torch; the rounds have been run without it in this process.
    from .baselines import accuracy_alone, accuracy_pooled  # noqa: PLC0415

    done = [rounds[number] for number in sorted(rounds) if rounds[number].phase is Phase.DONE]
    models = {name: _model_of(places, name) for name in HOSPITALS}
    digest, vector = models[OPENERS[0]]
    payouts = {name: _paid(places, name) for name in HOSPITALS}
    settled = events(places.logs / "coordinator.log", "settled")
    spent = {name: _epsilon(places, name) for name in HOSPITALS}
    pooled = accuracy_pooled()
    alone = {name: accuracy_alone(name, os.urandom) for name in HOSPITALS}
    return Report(
        rounds=tuple(_round_report(places, audits, statements, each, kill) for each in done),
        parameters=dimension(agreed.DEMO_SHAPES),
        accuracy=accuracy(vector),
        accuracy_alone=alone,
        accuracy_pooled=pooled,
        epsilon={name: value for name, (value, _) in spent.items()},
        epsilon_left={name: left for name, (_, left) in spent.items()},
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
        wanted_cohorts=WANTED_COHORTS,
        epsilon_limit=float(agreed.EPSILON_LIMIT),
        killed=KILLED,
        scheme=scheme,
        killed_seat=KILLED_SEAT if seats(scheme) else "",
        seat_kill_round=SEAT_KILL_ROUND if seats(scheme) else 0,
    )


def _round_report(
    places: Places, audits: Audits, statements: Statements, current: Round, kill: Kill
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
        _seated(statements, current) if current.rules.seats else None,
    )


def _seated(statements: Statements, current: Round) -> Seated:
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
        scores=tuple(map(_score, scores.scores)),
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


def _score(score: Score) -> SiteScore:
    squared_unit = 4.0**agreed.DEMO_GRID.fraction_bits
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


def _epsilon(places: Places, name: str) -> tuple[float, float]:
    config = read(places.site(name) / "site.toml")
    limits = config.policy
    ledger = SiteLedger(
        places.site(name) / "ledger.sqlite",
        time.time,
        site=name,
        limits=SpendLimits(limits.delta, limits.epsilon_for_life, limits.epsilon_per_round),
    )
    ledger.verify_chain()
    dataset = config.dataset.id
    result = ledger.spent_epsilon(dataset, float(limits.delta)), ledger.remaining(dataset)
    ledger.close()
    return result


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
