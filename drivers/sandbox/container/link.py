"""The way into a container."""

from leasehold.drivers.errors import DriverError
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.sandbox.container.engine import Engine


class ContainerLink(ProcessLink):
    """Sessions by the engine's ``exec -i``."""

    contained = True

    def __init__(self, engine: Engine, container: str) -> None:
        words = [*engine.words, "exec", "-i"]
        super().__init__(f"{engine.kind.program} {container}", [*words, container], terminal=[*words, "-t", container])
        self._engine = engine

    def failure(self, code: int | None, said: str) -> DriverError | None:
        own = [line for line in said.splitlines() if line.startswith(("Error", "error", "Cannot", "OCI runtime"))]
        return self._engine.meaning("\n".join(own))
