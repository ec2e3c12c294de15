"""The command `veilsum`. Each command imports what it needs when it runs."""

import typer

from .audit import audit_app
from .bench import bench_app
from .budget import budget_app
from .demo import demo
from .members import aggregator_app, auditor_app, coordinator_app, participant_app

app = typer.Typer(
    name="veilsum",
    help="Privacy-preserving secure aggregation for hospitals and banks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    from veilsum.release import RELEASE  # noqa: PLC0415

    typer.echo(RELEASE)


app.command()(demo)
app.add_typer(coordinator_app, name="coordinator")
app.add_typer(participant_app, name="participant")
app.add_typer(auditor_app, name="auditor")
app.add_typer(aggregator_app, name="aggregator")
app.add_typer(audit_app, name="audit")
app.add_typer(budget_app, name="budget")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Run the command line."""
    app()
