"""The report in the form of the Differential Privacy Deployments Registry (NIST and OpenDP).

The hierarchy is the registry's own: tier 1 says what was published and by whom, tier 2 the
guarantee, tier 3 how it was done. What evidence cannot say is left to the author of the record,
and is named in `to_be_written`, beside the record.

Source: github.com/opendp/deployments-registry-data, deployments in tier 3; the schema's reasons
are in arXiv:2509.13509.
"""

from typing import Any

from .contents import DatasetSpend, Report

TO_BE_WRITTEN = (
    "deployment.product.name",
    "deployment.product.intended_use",
    "deployment.product.data_product_region",
    "deployment.product.data_product_sector",
    "deployment.implementation.justification",
    "deployment.resources.sources",
    "deployment.resources.registry_authors",
)
"""What an author adds: no ledger knows it."""


def registry_form(report: Report) -> dict[str, Any]:
    """Return the record, and the names of what its author has to write."""
    record = {
        "url_slug": _slug(report),
        "status": "Draft",
        "tier": 3,
        "deployment": {
            "product": _product(report),
            "dp_flavor": _flavour(report),
            "privacy_loss": _loss(report),
            "model": _model(report),
            "accounting": _accounting(report),
            "implementation": _implementation(report),
            "resources": {"sources": "", "registry_authors": []},
        },
    }
    return {"record": record, "to_be_written": list(TO_BE_WRITTEN)}


def _slug(report: Report) -> str:
    number = "" if report.release.round is None else f"-round-{report.release.round}"
    return f"{report.release.federation}{number}-{report.made[:4]}".lower()


def _product(report: Report) -> dict[str, Any]:
    return {
        "name": "",
        "data_curators": sorted({one.organisation or one.participant for one in report.datasets}),
        "intended_use": "",
        "data_product_type": "Machine learning model",
        "data_product_region": "",
        "description": "A model trained by several organisations together; each adds clipped and "
        "noised numbers to sums under secure aggregation, and keeps its data.",
        "publication_date": report.release.released[:10],
        "data_product_sector": "",
    }


def _flavour(report: Report) -> dict[str, Any]:
    return {
        "name": "Approximate DP",
        "input_metric": "Symmetric distance between sets of units of privacy",
        "bound_on_input_distance": "1",
        "output_measure": "Rényi divergence at fixed orders, converted at delta",
        "data_domain": "; ".join(
            f"{one.participant}: {one.dataset}{_version(one)}" for one in report.datasets
        ),
        "unprotected_quantities": "Which organisations took part in which round; sizes and times "
        "of messages; public caps and rates of the plan.",
    }


def _loss(report: Report) -> dict[str, Any]:
    worst = report.worst("sums")
    if worst is None:
        return {"privacy_parameters_description": "The evidence states no privacy loss."}
    return {
        "privacy_unit": f"{worst.unit}-level",
        "privacy_unit_description": _unit(worst),
        "privacy_parameters": {"epsilon": worst.sums.release, "delta": float(worst.delta)},
        "privacy_parameters_description": _parameters(report),
    }


def _unit(one: DatasetSpend) -> str:
    rows = one.max_records_per_unit or 1
    return (
        f"Neighbouring datasets of one organisation differ by one {one.unit}, added or removed, "
        f"with all of its records (at most {rows})."
    )


def _parameters(report: Report) -> str:
    parts = [
        f"{one.participant}, {one.dataset}: epsilon {_text(one.sums.release)} of this release and "
        f"{_text(one.sums.lifetime)} for life towards whoever sees sums only; "
        f"{_text(one.vector.release)} and {_text(one.vector.lifetime)} towards the coalition that "
        f"can open one update; delta {one.delta}."
        for one in report.datasets
    ]
    return " ".join(["The largest epsilon of all datasets; each is accounted by itself.", *parts])


def _model(report: Report) -> dict[str, Any]:
    trust = None if report.mechanism is None else report.mechanism.trust
    shared = trust is not None and trust.mechanism == "distributed"
    actors = (
        "Sites hold the data, train, and add noise; a coordinator and seats or openers see "
        "protected sums; trainers see the model."
    )
    if trust is not None and shared:
        actors += (
            f" The guarantee for sums rests on the noise of {trust.honest} honest sites, with up "
            f"to {trust.colluders} that tell theirs."
        )
    return {
        "model_name": "Federated",
        "model_name_description": "Distributed noise under secure aggregation"
        if shared
        else "Each site adds all the noise it needs before secure aggregation",
        "actors": actors,
        "release_type": "Many releases",
        "release_type_description": "Every round's model counts; each site stops at its limit "
        "for life, over all jobs.",
        "data_source_type": "Static",
        "access_type": "Non-interactive",
    }


def _accounting(report: Report) -> dict[str, Any]:
    return {
        "post_processing": "The server's optimiser, on opened sums only.",
        "composition": f"Sequential over rounds and jobs, in Rényi DP at orders fixed in advance "
        f"({report.accountants.accountant}); compared with "
        f"{', '.join(report.accountants.second)}. Not composed over organisations.",
    }


def _implementation(report: Report) -> dict[str, Any]:
    uses = "; ".join(f"{one.kind}: {one.text}" for one in report.uses)
    facts = report.mechanism
    mechanisms = [f"Software: Veilsum {report.product}."]
    if facts is not None:
        mechanisms = [f"Noise: {facts.noise}.", f"Sampler: {facts.sampler}.", *mechanisms]
    mechanisms.append("Floating point: what is released is a sum of integers on a public grid.")
    return {
        "pre_processing_eda_hyperparameter_tuning": uses or "None is recorded in the ledgers.",
        "mechanisms": " ".join(mechanisms),
        "justification": "",
    }


def _version(one: DatasetSpend) -> str:
    return "" if one.version is None else f", version {one.version}"


def _text(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"
