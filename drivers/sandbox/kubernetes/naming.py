"""How a pod is named and marked, so that its key and a sweep find it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from leasehold.drivers.errors import Damaged
from leasehold.drivers.place import Tags

MANAGED, MANAGER = "app.kubernetes.io/managed-by", "leasehold"
LEDGER, KEY, LEASE = "leasehold/ledger", "leasehold/key", "leasehold/lease"
TAGS, EPOCH, FAILING = "leasehold/tags", "leasehold/epoch", "leasehold/failing-since"

_MOST = 63
_PREFIX = "leasehold-"
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_OTHER = re.compile(r"[^a-z0-9]+")


def pod_name(key: str) -> str:
    """The one name of a key's pod: a DNS label, with a digest where the key is none or too long."""
    plain = _OTHER.sub("-", key.lower()).strip("-")
    if plain == key and len(_PREFIX + key) <= _MOST:
        return _PREFIX + key
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return f"{_PREFIX}{plain[: _MOST - len(_PREFIX) - 17].strip('-')}-{digest}"


def label_value(text: str) -> str:
    """A label's value for a text: itself where it can be one, else its digest."""
    if len(text) <= _MOST and _LABEL.fullmatch(text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def labels_of(tags: Tags) -> dict[str, str]:
    """By what a pod is found."""
    values = {LEDGER: tags.ledger, KEY: tags.key, LEASE: tags.lease_id}
    return {MANAGED: MANAGER, **{name: label_value(value) for name, value in values.items()}}


def annotations_of(tags: Tags) -> dict[str, str]:
    """Whose a pod is, whole; and the newest epoch that it has seen."""
    return {TAGS: json.dumps(asdict(tags), separators=(",", ":")), EPOCH: str(tags.epoch)}


def selector(ledger: str | None) -> str:
    """What finds all pods of a ledger, or of any."""
    return f"{MANAGED}={MANAGER},{LEDGER}" + ("" if ledger is None else f"={label_value(ledger)}")


def tags_in(name: str, annotations: Mapping[str, Any]) -> Tags:
    """The tags that a pod bears. Raises ``Damaged`` for one that is not ours."""
    try:
        tags = Tags.from_json(json.loads(annotations[TAGS]))
    except (KeyError, ValueError, TypeError) as error:
        raise Damaged(f"the pod {name} bears no annotation of ours", hint="leave it alone") from error
    if pod_name(tags.key) != name:
        raise Damaged(f"the pod {name} bears the key of another, {tags.key}", hint="leave it alone")
    return tags


def number_in(annotations: Mapping[str, Any], name: str) -> int:
    """A number that a pod bears, 0 where it does not."""
    text = str(annotations.get(name, ""))
    return int(text) if text.isdigit() else 0
