"""Sandboxes that are pods of a Kubernetes cluster."""

from leasehold.drivers.sandbox.kubernetes.config import KubernetesConfig
from leasehold.drivers.sandbox.kubernetes.driver import KubernetesDriver

__all__ = ["KubernetesConfig", "KubernetesDriver"]
