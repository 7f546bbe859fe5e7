"""Which environment a run gets: the first layer that speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Layer(StrEnum):
    """The layers, first to last."""

    EXECUTION_WORKSPACE = "execution_workspace"
    ISSUE = "issue"
    PROJECT = "project"
    AGENT = "agent"
    COMPANY_DEFAULT = "company_default"


class Silent:
    """The type of ``SILENT``."""

    def __repr__(self) -> str:
        return "SILENT"


SILENT: Final = Silent()


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer: the environment (none: the company's local default) and the layer that chose it."""

    environment: str | None
    layer: Layer


def select_environment(layers: Mapping[Layer | str, str | Silent | None]) -> Selection:
    """Choose an environment from what each layer says.

    A layer that is missing or ``SILENT`` falls through to the next; an explicit ``None`` chooses the
    company's default and ends the search. Raises ``ValueError`` for a layer that there is none of.
    """
    said = {Layer(name): value for name, value in layers.items()}
    for layer in Layer:
        value = said.get(layer, SILENT)
        if not isinstance(value, Silent):
            return Selection(value, layer)
    return Selection(None, Layer.COMPANY_DEFAULT)
