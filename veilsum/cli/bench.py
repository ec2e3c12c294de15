"""`veilsum bench`: what protection and rounds cost on this machine."""

from typing import Annotated

import typer

from veilsum.process import exit_status

bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine.")


@bench_app.command("scheme")
def bench_scheme(
    *,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 1_000_000,
    participants: Annotated[int, typer.Option(help="Contributions in the sum.")] = 8,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Measure a scheme beside its library's own way: bytes, time, memory, exactness."""
    import msgspec  # noqa: PLC0415

    from veilsum.bench.scheme import run, show  # noqa: PLC0415

    with exit_status():
        report = run(
            scheme=scheme, parameters=parameters, participants=participants, value_bits=value_bits
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        show(report)
    raise SystemExit(0 if report.exact else 1)


@bench_app.command("round")
def bench_round(
    *,
    participants: Annotated[int, typer.Option(help="Sites, each in its own processes.")] = 8,
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 11_700_000,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    auditor: Annotated[bool, typer.Option(help="An auditor adds the sum again and signs.")] = True,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Measure a whole round in real processes over mutual TLS, without training."""
    import msgspec  # noqa: PLC0415

    from veilsum.bench.required import require  # noqa: PLC0415

    with exit_status():
        require("demo", "tenseal", "tomlkit")
        if scheme == "shares":
            require("shares", "crypten")
        from veilsum.bench.round import run  # noqa: PLC0415
        from veilsum.bench.round_screen import show  # noqa: PLC0415

        report = run(
            participants=participants,
            parameters=parameters,
            value_bits=value_bits,
            auditor=auditor,
            scheme=scheme,
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        show(report)
    raise SystemExit(0 if report.exact else 1)
