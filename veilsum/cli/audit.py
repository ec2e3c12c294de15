"""`veilsum audit`: evidence of what was added up, and of what it cost in privacy."""

from pathlib import Path
from typing import Annotated

import typer

from veilsum.process import exit_status, stopped_by_sigterm

from .config_file import ConfigFile
from .verdicts import Verdicts

audit_app = typer.Typer(no_args_is_help=True, help="Make, check and read evidence.")


@audit_app.command("export")
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
) -> None:
    """Put what a state folder holds of evidence into one signed file; it may be in use."""
    import time  # noqa: PLC0415

    from veilsum.audit.export import export  # noqa: PLC0415
    from veilsum.files import write_durably  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        ask = None
        if chain:
            from veilsum.audit.paid import paid_to  # noqa: PLC0415

            ask = lambda site: paid_to(site, chain)  # noqa: E731
        write_durably(out, export(state, time.time, config, ask))
    typer.echo(out)


@audit_app.command("verify", cls=Verdicts)
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as one JSON object.")
    ] = False,
) -> None:
    """Check a bundle offline: 0 ok, 1 policy, 2 tampered, 3 incomplete, 4 accounting mismatch.

    A mistake in the command line ends with 64.
    """
    from privacy.errors import VeilsumError  # noqa: PLC0415
    from privacy.evidence.finding import Outcome  # noqa: PLC0415
    from veilsum.audit.verdict import json_of, verify_files, words_of  # noqa: PLC0415

    try:
        verdict = verify_files(bundle, policy, keys, others or (), chain)
    except VeilsumError as error:
        # What cannot be read is not verified; 2 would say that somebody has changed it.
        typer.echo(f"veilsum: {error}\n  who must act: {error.who_acts}", err=True)
        raise SystemExit(int(Outcome.INCOMPLETE)) from None
    typer.echo(json_of(verdict).decode() if as_json else words_of(verdict))
    raise SystemExit(int(verdict.outcome))


@audit_app.command("keys")
def audit_keys(
    *,
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The keys.toml to write.")],
) -> None:
    """Write keys.toml from a site's file: what an officer compares out of band, once."""
    from veilsum.audit.trusted import keys_text  # noqa: PLC0415
    from veilsum.files import write_durably  # noqa: PLC0415

    with exit_status():
        write_durably(out, keys_text(config).encode())
    typer.echo(out)


@audit_app.command("report", cls=Verdicts)
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
) -> None:
    """Write the report on a release: a page, a PDF, the numbers, and the registry's form.

    Ends as verify does: 0 ok, 1 policy, 2 tampered, 3 incomplete, 4 accounting mismatch.
    """
    import time  # noqa: PLC0415

    from privacy.errors import VeilsumError  # noqa: PLC0415
    from privacy.evidence.finding import Outcome  # noqa: PLC0415
    from veilsum.bench.required import require  # noqa: PLC0415

    try:
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
        )
    except VeilsumError as error:
        # What cannot be read is not verified; 2 would say that somebody has changed it.
        typer.echo(f"veilsum: {error}\n  who must act: {error.who_acts}", err=True)
        raise SystemExit(int(Outcome.INCOMPLETE)) from None
    typer.echo(f"{report.judgement.state}: {report.judgement.sentence}")
    for path in files:
        typer.echo(path)
    raise SystemExit(report.judgement.exit_code)


@audit_app.command("status")
def audit_status(
    *,
    state: Annotated[
        Path | None, typer.Option(help="A site's or a coordinator's state folder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Its settings, where they are not in that folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what each dataset has spent, in both views, and what is left; it may be in use."""
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit.standing import standing_of, words_of  # noqa: PLC0415

    with exit_status():
        standing = standing_of(state, config, time.time)
    typer.echo(msgspec.json.encode(standing).decode() if as_json else words_of(standing))


@audit_app.command("sum")
def audit_sum(
    *,
    config: ConfigFile,
    number: Annotated[int, typer.Option("--round", help="The round to audit.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the signed report as one JSON object.")
    ] = False,
) -> None:
    """Add a round's contributions again now; if they are gone, show the report made before."""
    import asyncio  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from participant.auditing.config import read  # noqa: PLC0415
    from participant.auditing.run import audit_sum as audit  # noqa: PLC0415
    from participant.auditing.run import error_in, text_of  # noqa: PLC0415
    from veilsum.process import start_log, status_of  # noqa: PLC0415

    start_log()
    with exit_status():
        finding = asyncio.run(audit(read(config), number))
    typer.echo(msgspec.json.encode(finding).decode() if as_json else text_of(finding))
    wrong = error_in(finding)
    raise SystemExit(0 if wrong is None else status_of(wrong))


@audit_app.command("privacy")
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the tables.")
    ] = False,
) -> None:
    """Train on canaries, guess which were in the data, and compare with the epsilon claimed.

    0: nothing contradicts the claims; 1: something does; 3: the audit is too weak to know.
    """
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    with exit_status(), stopped_by_sigterm():
        from veilsum.bench.required import require  # noqa: PLC0415

        require("training", "opacus")
        require("ckks", "tenseal")
        from veilsum.audit.canaries.record import record as keep  # noqa: PLC0415
        from veilsum.audit.canaries.run import EXIT, chosen, run  # noqa: PLC0415
        from veilsum.audit.canaries.screen import progress, show  # noqa: PLC0415
        from veilsum.audit.folder import site_of  # noqa: PLC0415

        # Before a minute's work: a folder that is none is said at once.
        site = None if record is None else site_of(record, None)
        result = run(
            *chosen(mechanism, scheme),
            epsilon=epsilon,
            canaries=canaries,
            controls=controls,
            say=progress,
        )
        if site is not None:
            keep(site, result, time.time)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(result)))
    else:
        show(result)
    raise SystemExit(EXIT[result.verdict])
