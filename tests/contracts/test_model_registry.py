"""The registry of models: only what settled, each round in its turn, never taken back."""

from dataclasses import replace

from tests.contracts.settling import NOTHING, Commit, Programme


def register(programme: Programme, commit: Commit):
    return programme.chain.registry.functions.register(commit.fields())


def version(programme: Programme, number: int) -> tuple:
    return tuple(programme.chain.registry.functions.versionOf(programme.word, number).call())


def test_settled_rounds_become_a_chain_of_versions(programme: Programme) -> None:
    """Each names its model, its plan, and the model that it came from."""
    first = programme.commit({programme.payee(0): 1}, 3).commit
    second = programme.settle({programme.payee(0): 2}, 8).commit

    for commit in (first, second):
        programme.chain.send(register(programme, commit), programme.chain.account(9))

    assert programme.chain.registry.functions.versions(programme.word).call() == 2
    assert version(programme, 1) == (3, first.digest(), NOTHING, first.model, first.plan)
    assert version(programme, 2) == (8, second.digest(), first.model, second.model, second.plan)


def test_a_round_is_registered_only_when_it_has_matured(programme: Programme) -> None:
    """Until then it could still be void."""
    commit = programme.commit({programme.payee(0): 1}).commit
    early = programme.chain.refusal(register(programme, commit), programme.chain.account(9))

    programme.mature()

    assert early == "ModelRegistryNotSettled"
    assert programme.chain.refusal(register(programme, commit), programme.chain.account(9)) is None


def test_a_void_round_is_never_registered(programme: Programme) -> None:
    """Nor one that was never committed."""
    commit = programme.commit({programme.payee(0): 1}).commit
    programme.convict(commit)
    programme.mature()
    calls = [register(programme, commit), register(programme, replace(commit, round=2))]

    refusals = [programme.chain.refusal(call, programme.chain.account(9)) for call in calls]

    assert refusals == ["ModelRegistryNotSettled"] * 2


def test_no_round_is_left_out_and_none_comes_twice(programme: Programme) -> None:
    """Whoever registers first cannot shut an earlier model out."""
    chain = programme.chain
    first = programme.commit({programme.payee(0): 1}, 1).commit
    second = programme.settle({programme.payee(0): 2}, 2).commit
    skipped = chain.refusal(register(programme, second), chain.account(9))
    chain.send(register(programme, first), chain.account(9))

    twice = chain.refusal(register(programme, first), chain.account(9))

    assert (skipped, twice) == ("ModelRegistryWrongParent", "ModelRegistryWrongParent")
    assert chain.refusal(register(programme, second), chain.account(9)) is None


def test_only_what_was_committed_is_registered(programme: Programme) -> None:
    """A model or a plan cannot be exchanged on the way."""
    chain, commit = programme.chain, programme.settle({programme.payee(0): 1}).commit
    forged = [replace(commit, model=b"\1" * 32), replace(commit, plan=b"\1" * 32)]

    refusals = [chain.refusal(register(programme, each), chain.account(9)) for each in forged]

    assert refusals == ["ModelRegistryWrongCommit"] * 2


def test_a_version_that_is_none_is_zero(programme: Programme) -> None:
    """A caller can tell that there is none."""
    assert version(programme, 0) == version(programme, 1) == (0, *[NOTHING] * 4)
    assert (
        programme.chain.registry.functions.settlement().call() == programme.chain.settlement.address
    )
