"""How the versions of a dataset follow from each other; what one spent, the next inherits."""

from privacy.errors import IllegalEvent, UnsafeParameters

from .rows import Dataset


def check_lineage(versions: tuple[Dataset, ...], dataset: Dataset) -> None:
    """Return if `dataset` may be registered after `versions` of the same id.

    Raises:
        IllegalEvent: it does not descend from a registered version.
        UnsafeParameters: it changes whom the guarantee protects.
    """
    if not versions:
        if dataset.parent is not None:
            raise IllegalEvent(f"dataset {dataset.id}: parent {dataset.parent} is not registered")
        return
    latest = versions[-1]
    if dataset.version <= latest.version or dataset.parent not in {v.version for v in versions}:
        raise IllegalEvent(
            f"dataset {dataset.id}: version {dataset.version} of parent {dataset.parent} "
            f"after version {latest.version}; a new version names a registered parent"
        )
    if (dataset.unit, dataset.neighbor) != (latest.unit, latest.neighbor):
        raise UnsafeParameters(
            f"dataset {dataset.id}: unit and neighbouring relation cannot change"
        )
