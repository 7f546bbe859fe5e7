"""Pods pass the suite on a real cluster; ``make test-kubernetes`` starts it."""

from pathlib import Path
from typing import Any, ClassVar

import cluster
import pytest
from leasehold.drivers.conformance import DriverConformance

CLUSTER = cluster.cluster()

pytestmark = [pytest.mark.skipif(not cluster.STARTED, reason=cluster.LACKING), pytest.mark.timeout(600)]


class TestKubernetes(DriverConformance):
    """Pods of a cluster that has one node."""

    driver = "kubernetes"
    seconds: ClassVar[float] = 300.0

    def config(self, folder: Path) -> dict[str, Any]:
        assert CLUSTER is not None
        return CLUSTER.config()

    def sick_config(self, folder: Path) -> dict[str, Any]:
        return {**self.config(folder), "namespace": "nowhere"}

    def left(self, folder: Path) -> set[str]:
        assert CLUSTER is not None
        mirrors = {path.name for path in (folder / "state" / "mirrors").glob("*") if path.name != ".fences"}
        return set(CLUSTER.pods()) | mirrors
