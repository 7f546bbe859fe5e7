"""Which of the host's variables a place's commands get: an allow-list, so that no credential slips in."""

from collections.abc import Iterable, Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TZ",
        "TERM",
        "TMPDIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    }
)
_BEGINNINGS = ("LC_", "SSL_CERT_", "PIP_", "UV_")
_ENDINGS = ("_proxy", "_PROXY")


def host_variables(source: Mapping[str, str], names: Iterable[str] = ()) -> dict[str, str]:
    """Those of ``source`` that pass (DESIGN section 7), and further ones by name, where they are set."""
    further = frozenset(names)
    return {
        name: value
        for name, value in source.items()
        if name in _NAMES or name in further or name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS)
    }
