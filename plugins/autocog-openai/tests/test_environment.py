"""Proxies and certificates of the environment are heeded, as by other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core.errors import ConfigError
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import ConnectionFailedError
from autocog_openai.connection.options import OpenAIOptions
from tests.support.openai.servers.proxy import CERTIFICATE, proxying, tls_serving
from tests.support.openai.servers.raw import RawServer, raw_serving, whole

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_serving(whole({"ok": True})) as made:
        yield made


@pytest.fixture
def tls_server() -> Iterator[RawServer]:
    with tls_serving(whole({"ok": True})) as made:
        yield made


def get(base_url: str, **options: Any) -> Any:
    given = {"model": "m", "base_url": f"{base_url}/v1", "timeout": 5, "max_retries": 0}
    connection = Connection(OpenAIOptions(**{**given, **options}))
    try:
        return connection.get("v1/models")
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_requests_go_through_the_proxy(
    server: RawServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(server) as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert get("http://server.test") == {"ok": True}
        assert proxy.requests[0].target == "http://server.test/v1/models"


def test_requests_over_tls_go_through_the_proxy(
    tls_server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(tls_server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert get("https://server.test", api_key="sk-a-key-of-mine") == {"ok": True}
        assert proxy.requests[0].method == "CONNECT"
        # The key is inside of the tunnel.
        assert "authorization" not in proxy.requests[0].headers
    assert tls_server.requests[0].headers["authorization"] == "Bearer sk-a-key-of-mine"


def test_servers_without_proxy_are_asked_directly(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    with proxying(server) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        # This machine's own addresses need no NO_PROXY.
        for host in ("127.0.0.1", "localhost"):
            assert get(f"http://{host}:{port}") == {"ok": True}
        assert proxy.requests == []
        assert get("http://server.test") == {"ok": True}
        monkeypatch.setenv("NO_PROXY", "other.test, server.test")
        with pytest.raises(ConnectionFailedError):
            get("http://server.test")
        assert len(proxy.requests) == 1


def test_a_proxy_that_fails_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = whole({}, status=407)
    with raw_serving(refusal) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("//", "//me:a-proxy-password@"))
        with pytest.raises(ConnectionFailedError, match="407") as caught:
            get("https://server.test")
    assert "HTTPS_PROXY" in caught.value.hint
    assert "a-proxy-password" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://me:a-password@host"])
def test_a_proxy_that_cannot_be_used_is_an_error(
    server: RawServer, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        get("http://server.test")
    assert "ALL_PROXY" in caught.value.where
    assert "a-password" not in str(caught.value)
    # It does not concern this machine's own servers.
    assert get(server.url) == {"ok": True}


def test_a_certificate_that_is_not_trusted_is_named(tls_server: RawServer) -> None:
    with pytest.raises(ConnectionFailedError, match="self-signed") as caught:
        get(tls_server.url)
    assert "SSL_CERT_FILE" in caught.value.hint
    assert not caught.value.retryable
    assert tls_server.requests == []


def test_certificates_of_the_environment_are_trusted(
    tls_server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConnectionFailedError):
        get(tls_server.url)
    # Also after other certificates were read in this process.
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert get(tls_server.url) == {"ok": True}
    assert get(tls_server.url.replace("127.0.0.1", "localhost")) == {"ok": True}


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_folder_of_certificates_is_trusted(
    tls_server: RawServer, is_alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(CERTIFICATE)]
    try:
        name = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except OSError:
        pytest.skip("openssl names the files of such a folder")
    (tmp_path / f"{name}.0").write_bytes(CERTIFICATE.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if not is_alone:
        import certifi

        monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert get(tls_server.url) == {"ok": True}


def test_certificates_that_cannot_be_read_are_an_error(
    tls_server: RawServer, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for file in (broken, tmp_path / "missing.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            get(tls_server.url)
        assert file.name in caught.value.where
        # Not needed without TLS.
        assert get(server.url) == {"ok": True}


@pytest.mark.parametrize(
    "address", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://[/v1"]
)
def test_an_address_that_is_none_is_an_error(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Connection(OpenAIOptions(model="m", base_url=address))
    assert caught.value.where == "base_url"
