"""The host's variables that a place's commands get."""

import pytest
from leasehold.drivers.variables import host_variables


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_TIME", "TZ", "TERM", "TMPDIR",
        "http_proxy", "HTTPS_PROXY", "no_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_INDEX_URL", "UV_CACHE_DIR",
    ],
)  # fmt: skip
def test_the_variables_of_the_design_pass(name: str) -> None:
    assert host_variables({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "LD_PRELOAD", "PYTHONPATH", "LEASEHOLD_STORE", "PATHS",
        "MY_PATH", "PIP", "XPIP_INDEX_URL", "LCX", "proxy", "Http_Proxy_Password", "LEASEHOLD_PLACE",
    ],
)  # fmt: skip
def test_the_rest_does_not(name: str) -> None:
    assert host_variables({name: "x"}) == {}


def test_further_ones_pass_by_name_where_they_are_set() -> None:
    source = {"PATH": "/bin", "TOKEN": "t", "OTHER": "o"}
    assert host_variables(source, ["TOKEN", "UNSET"]) == {"PATH": "/bin", "TOKEN": "t"}
