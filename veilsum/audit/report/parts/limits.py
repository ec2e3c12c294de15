"""The part on limits: what the report does not cover, and where else it is answered."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Block, Column, Fact, Points, Table

_NOT_COVERED = (
    Fact("Insiders of a site", "they see its data anyway, or train on it outside of the ledger."),
    Fact("Side channels", "of hardware, and of timing at the site."),
    Fact(
        "People in two datasets",
        "epsilons of two sites add up for whoever is in both; relatives, and others whose data is "
        "correlated, are not one unit.",
    ),
    Fact("Groups", "k people together have k times the epsilon, and a larger delta."),
    Fact("The unit of privacy", "that rows are grouped by person as registered is a site's word."),
    Fact(
        "Truth of what was recorded",
        "signatures prove who wrote a row and when it was seen, not that nothing else was done.",
    ),
    Fact(
        "Participation",
        "which sites took part in which rounds is known to every member of the federation.",
    ),
    Fact("Usefulness and fairness", "of the model; a private model may still be wrong or biased."),
    Fact("What law asks for besides", "purpose, minimisation, and who may use the model."),
)


def limits_blocks() -> Iterable[Block]:
    """Yield what no evidence here speaks of, and where each layer of NIST SP 800-226 is."""
    yield Points(_NOT_COVERED)
    yield Table(
        "Where each layer of the NIST SP 800-226 pyramid is answered",
        (Column("Layer"), Column("Question"), Column("Answer", wide=True)),
        (
            ("Top", "Epsilon, unit of privacy", "Parts 1, 3 and 10"),
            ("Middle", "Correctness of algorithms", "Parts 4 and 7"),
            (
                "Middle",
                "Trust model, access control",
                "Parts 3 and 5, and the threat model of the product",
            ),
            ("Middle", "Security of the record", "Part 8"),
            ("Middle", "Utility and bias", "Not in this report"),
            ("Bottom", "How data was collected", "Not in this report"),
        ),
    )
