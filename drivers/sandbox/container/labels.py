"""The labels by which a container is known as ours."""

from collections.abc import Mapping

from leasehold.drivers.errors import Damaged
from leasehold.drivers.place import Tags
from leasehold.drivers.sandbox.container.engine import Container

DRIVER, LEDGER, LEASE, KEY, EPOCH, EXPIRY = (
    f"leasehold.{name}" for name in ("driver", "ledger", "lease", "key", "epoch", "expires-at")
)


def labels_of(driver: str, tags: Tags) -> Mapping[str, str]:
    """What a container of these tags bears."""
    return {
        DRIVER: driver,
        LEDGER: tags.ledger,
        LEASE: tags.lease_id,
        KEY: tags.key,
        EPOCH: str(tags.epoch),
        EXPIRY: str(tags.expires_at),
    }


def tags_of(container: Container) -> Tags:
    """The tags that a container bears. Raises ``Damaged`` for one that is not ours."""
    labels = container.labels
    try:
        return Tags(labels[LEDGER], labels[LEASE], labels[KEY], int(labels[EPOCH]), int(labels[EXPIRY]))
    except (KeyError, ValueError) as error:
        raise Damaged(f"the container {container.name} bears no labels of ours", hint="leave it alone") from error
