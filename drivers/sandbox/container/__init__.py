"""Sandboxes that are containers of an engine with docker's command line: docker itself, and podman."""

from leasehold.drivers.sandbox.container.config import ContainerConfig
from leasehold.drivers.sandbox.container.docker import DockerDriver
from leasehold.drivers.sandbox.container.podman import PodmanDriver

__all__ = ["ContainerConfig", "DockerDriver", "PodmanDriver"]
