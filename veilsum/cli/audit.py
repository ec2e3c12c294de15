"""`veilsum audit`: evidence of what was added up, and of what it cost in privacy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veilsum.process import stopped_by_sigterm

from .config_file import ConfigFile
from .surface import Answer, Sets, command, over

if TYPE_CHECKING:
    from veilsum.audit.canaries.result import PrivacyAudit

audit_app = typer.Typer(no_args_is_help=True, help="Make, check and read evidence.")

_INCOMPLETE = 3
_PROVED = 2

_VERDICTS = {
    0: "Nothing is wrong.",
    1: "What was done is not what your policy allows.",
    2: "Tampered: somebody has changed what is in the bundle.",
    _INCOMPLETE: "Incomplete, or it cannot be read: what is not verified is not right.",
    4: "Two accountants do not agree.",
}

_ADDED = {
    0: "The sum is that of the contributions, and so is what was committed to the chain of it; its "
    "model and the sum of its scores are those that were signed.",
    2: "`false_commit`: it is proved; challenge the round with the file that is named.",
    3: "`false_sum`: it is another one. Or what was committed is `withheld`, and the node to "
    "demand is named, if there is one; or it is wrong and `unproved`: other scores, for example.",
    5: "Nobody can say: the contributions are gone, and there is no report; or no chain answers.",
}

_AUDITED = {
    0: "Nothing contradicts the claims.",
    1: "Something does.",
    3: "The audit is too weak to know.",
}


@command(audit_app, "export")
def audit_export(
    *,
    state: Annotated[Path, typer.Option(help="A site's or a coordinator's state folder.")],
    out: Annotated[Path, typer.Option(help="The file to write the bundle to.")],
    config: Annotated[
        Path | None, typer.Option(help="Its settings, where they are not in that folder.")
    ] = None,
    chain: Annotated[
        str, typer.Option(help="Ask this chain's JSON-RPC URL what it has paid to the site.")
    ] = "",
    sets: Sets = None,
) -> Answer:
    """Put what a state folder holds of evidence into one signed file; it may be in use."""
    import time  # noqa: PLC0415

    from veilsum.audit.export import export  # noqa: PLC0415
    from veilsum.files import write_durably  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    ask = None
    if chain:
        from veilsum.audit.paid import paid_to  # noqa: PLC0415

        ask = lambda site: paid_to(site, chain)  # noqa: E731
    write_durably(out, export(state, time.time, config, ask, over(sets)))
    return Answer({"file": str(out)}, str(out))


@command(audit_app, "verify", verdicts=_VERDICTS, without_verdict=_INCOMPLETE)
def audit_verify(
    *,
    bundle: Annotated[Path, typer.Argument(help="The bundle to check.")],
    policy: Annotated[Path | None, typer.Option(help="policy.toml: what you allow.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="keys.toml: what you have compared out of band.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="A bundle of a peer, of the run, or an older one; repeat it."),
    ] = None,
    chain: Annotated[
        str, typer.Option(help="A chain's JSON-RPC URL, or a file with what it said.")
    ] = "",
) -> Answer:
    """Check a bundle offline: 0 ok, 1 policy, 2 tampered, 3 incomplete, 4 accounting mismatch.

    A mistake in the command line ends with 64.
    """
    import msgspec  # noqa: PLC0415

    from veilsum.audit.verdict import json_of, verify_files, words_of  # noqa: PLC0415

    verdict = verify_files(bundle, policy, keys, others or (), chain)
    return Answer(msgspec.Raw(json_of(verdict)), words_of(verdict), int(verdict.outcome))


@command(audit_app, "keys")
def audit_keys(
    *,
    config: ConfigFile,
    sets: Sets = None,
    out: Annotated[Path, typer.Option(help="The keys.toml to write.")],
) -> Answer:
    """Write keys.toml from a site's file: what an officer compares out of band, once."""
    from veilsum.audit.trusted import keys_text  # noqa: PLC0415
    from veilsum.files import write_durably  # noqa: PLC0415

    write_durably(out, keys_text(config, over(sets)).encode())
    return Answer({"file": str(out)}, str(out))


@command(audit_app, "report", verdicts=_VERDICTS, without_verdict=_INCOMPLETE)
def audit_report(
    *,
    bundles: Annotated[
        list[Path] | None, typer.Argument(metavar="BUNDLE", help="Bundles of one federation.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Or a state folder, which is exported first.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Its settings, where they are not in that folder.")
    ] = None,
    release: Annotated[
        str, typer.Option(help="A round, or how a release's or model's digest begins.")
    ] = "",
    policy: Annotated[Path | None, typer.Option(help="policy.toml: what you allow.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="keys.toml: what you have compared out of band.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write the report to.")],
    sets: Sets = None,
) -> Answer:
    """Write the report on a release: a page, a PDF, the numbers, and the registry's form.

    Ends as verify does: 0 ok, 1 policy, 2 tampered, 3 incomplete, 4 accounting mismatch.
    """
    import time  # noqa: PLC0415

    from veilsum.bench.required import require  # noqa: PLC0415

    require("audit", "dp_accounting", "jinja2", "matplotlib", "typst")
    from veilsum.audit.report.run import run  # noqa: PLC0415

    report, files = run(
        bundles or (),
        state,
        config,
        wanted=release,
        policy=policy,
        keys=keys,
        out=out,
        clock=time.time,
        over=over(sets),
    )
    judged, paths = report.judgement, [str(path) for path in files]
    said = {"state": judged.state, "sentence": judged.sentence, "files": paths}
    words = [f"{judged.state}: {judged.sentence}", *paths]
    return Answer(said, "\n".join(words), judged.exit_code)


@command(audit_app, "status")
def audit_status(
    *,
    state: Annotated[
        Path | None, typer.Option(help="A site's or a coordinator's state folder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Its settings, where they are not in that folder.")
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Say what each dataset has spent, in both views, and what is left; it may be in use."""
    import time  # noqa: PLC0415

    from veilsum.audit.standing import standing_of, words_of  # noqa: PLC0415

    standing = standing_of(state, config, time.time, over(sets))
    return Answer(standing, words_of(standing))


@command(audit_app, "sum", verdicts=_ADDED)
def audit_sum(
    *,
    config: ConfigFile,
    sets: Sets = None,
    number: Annotated[int, typer.Option("--round", help="The round to audit.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write a proof; else into the state folder.")
    ] = None,
) -> Answer:
    """Add a round's contributions again now; if they are gone, show the report made before.

    With [settlement] what was committed to the chain is held against them as well, and against
    the released model and the scores that were signed.
    """
    import asyncio  # noqa: PLC0415

    from participant.auditing.config import read  # noqa: PLC0415
    from participant.auditing.disputing import status_of as status_of_commit  # noqa: PLC0415
    from participant.auditing.run import audit_sum as audit  # noqa: PLC0415
    from participant.auditing.run import error_in, text_of  # noqa: PLC0415
    from veilsum.process import start_log, status_of  # noqa: PLC0415

    start_log()
    finding = asyncio.run(audit(read(config, over(sets)), number, out))
    wrong = error_in(finding)
    of_sum = 0 if wrong is None else status_of(wrong)
    of_commit = 0 if finding.commit is None else status_of_commit(finding.commit)
    # A proof can be acted on; that the sum is false as well is said.
    status = of_commit if of_commit == _PROVED else of_sum or of_commit
    return Answer(finding, text_of(finding), status)


@command(audit_app, "privacy", verdicts=_AUDITED)
def audit_privacy(
    *,
    mechanism: Annotated[str, typer.Option(help="local or distributed; both by default.")] = "",
    scheme: Annotated[str, typer.Option(help="ckks or shares; both by default.")] = "",
    epsilon: Annotated[float, typer.Option(help="The claim to audit, over all rounds.")] = 4.0,
    canaries: Annotated[
        int, typer.Option(help="Each is in the data with probability one half.")
    ] = 5000,
    controls: Annotated[
        bool, typer.Option("--controls", help="Audit defects put in on purpose as well.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="A site's state folder, to keep the result in its ledger.")
    ] = None,
) -> Answer:
    """Train on canaries, guess which were in the data, and compare with the epsilon claimed.

    0: nothing contradicts the claims; 1: something does; 3: the audit is too weak to know.
    """
    import time  # noqa: PLC0415

    from veilsum.bench.required import require  # noqa: PLC0415

    require("training", "opacus")
    require("ckks", "tenseal")
    from veilsum.audit.canaries.record import record as keep  # noqa: PLC0415
    from veilsum.audit.canaries.run import EXIT, chosen, run  # noqa: PLC0415
    from veilsum.audit.canaries.screen import progress, show  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    # Before a minute's work: a folder that is none is said at once.
    site = None if record is None else site_of(record, None)
    with stopped_by_sigterm(), meter("auditing", "audits") as watcher:

        def ended(audit: "PrivacyAudit") -> None:
            watcher.say(progress(audit))
            watcher.step()

        result = run(
            *chosen(mechanism, scheme),
            epsilon=epsilon,
            canaries=canaries,
            controls=controls,
            say=ended,
            count=watcher.total,
        )
        if site is not None:
            keep(site, result, time.time)
    return Answer(result, lambda: show(result), EXIT[result.verdict])
