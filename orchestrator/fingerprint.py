"""The fingerprint of a place that is kept for the next run."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, cast

from leasehold.drivers import Driver, SecretRef
from leasehold.orchestrator.terms import Terms
from pydantic import BaseModel


def fingerprint(ledger: str, driver: Driver, config: BaseModel, pinned: str, terms: Terms) -> str:
    """What a place must have in common with the next lease that it serves, as a hash keyed by the ledger.

    Driver and version, the config with the values of its secrets, and how the tree stands in the place.
    Raises ``Refused`` where a secret cannot be read. May block.
    """
    request = terms.request
    parts = [driver.name, driver.version, pinned, str(terms.mode), request.branch, str(request.untracked)]
    parts += request.excludes
    parts += [secret.resolve() for secret in secrets_of(config)]
    hashed = blake2b(digest_size=16, key=ledger.encode())
    for part in parts:
        text = (part or "").encode("utf-8", "surrogatepass")
        hashed.update(len(text).to_bytes(8, "big") + text)
    return hashed.hexdigest()


def secrets_of(value: Any) -> Iterable[SecretRef]:
    """Every secret that a config names."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, Mapping):
        yield from secrets_of(list(value.values()))  # pyright: ignore[reportUnknownArgumentType]  # whatever it holds
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in cast(Iterable[Any], value):
            yield from secrets_of(inner)
