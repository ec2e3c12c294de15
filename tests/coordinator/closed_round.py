"""A round that takes no contribution any more: all of them stored, recorded, and to be added up."""

from msgspec.structs import replace

from coordinator import object_names as names
from privacy.merkle import tree_root
from privacy.records import Cohort, Entry
from tests import fakes
from tests.fakes import SITES

SEEDS = [fakes.seed_of(name, 1) for name in SITES]


def make_plan(chunks):
    """Return a plan whose vectors have so many chunks, of one ciphertext each."""
    settings = fakes.make_settings()
    model = replace(settings.model, dimension=4096 * chunks)
    return fakes.make_plan(replace(settings, model=model))


def make_cohort(plan, sites=SITES):
    """Return the cohort of these sites."""
    entries = tuple(Entry(name, digest(name), (tree(name, plan),)) for name in sites)
    return Cohort(plan.terms.federation, 1, plan.digest(), entries)


def close(store, objects, plan):
    """Store every site's contribution as it is when it was accepted."""
    for name, seed in zip(SITES, SEEDS, strict=True):
        store.begin_upload(name, fakes.seen(name, 1, digest(name)), b"header", at=0.0)
        for chunk in range(plan.arithmetic.chunks):
            payload = fakes.chunk_of(seed, chunk)
            objects.put(names.contribution_chunk(1, name, 0, chunk), payload)
            root = fakes.root_of(seed, chunk)
            store.record_chunk(1, name, 0, chunk, root, len(payload), at=0.0)
        store.commit_upload(1, name)


def digest(name):
    return f"{SITES.index(name):02x}" * 32


def tree(name, plan):
    roots = [fakes.root_of(fakes.seed_of(name, 1), at) for at in range(plan.arithmetic.chunks)]
    return tree_root(roots).hex()


def sums(objects):
    """Return the stored chunks of the sum, by name."""
    return {name: objects.get(name) for name in objects.names(names.sums(1))}


def expected_sums(chunks):
    """Return what they must be, added up in integers that do not overflow."""
    return {names.sum_chunk(1, at): fakes.expected_sum(SEEDS, at) for at in range(chunks)}
