"""TLS: we trust Amazon's roots, else botocore's bundle, and nobody else."""

import ssl
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.exceptions import SSLError

from accounts.tokens import fetch_keys
from config import aws, https
from config.https import AMAZON_ROOTS, BUNDLE
from config.problems import ServiceUnavailable, UpstreamFailed
from config.stack import Stack
from tests.aws_server import (
    Server,
    chunked,
    cut,
    drip,
    good,
    reset,
    says,
    serving,
    slow,
    truncated,
)

BOTOCORES = Path(botocore.__file__).with_name("cacert.pem")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("certificates")) as server:
        yield server


@pytest.fixture
def server(certified: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with a certificate that no root vouches for."""
    monkeypatch.delenv(BUNDLE, raising=False)
    monkeypatch.setattr(https, "_widened", [])
    certified.script, certified.always, certified.seen = [], good, []
    return certified


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv(BUNDLE, str(server.trust))
    return server


def subjects(file: Path) -> dict[str, bytes]:
    """The roots of a file, by their names."""
    begin = "-----BEGIN CERTIFICATE-----"
    found = {}
    for part in file.read_text().split(begin)[1:]:
        pem = begin + part.partition("-----END")[0] + "-----END CERTIFICATE-----\n"
        der = ssl.PEM_cert_to_DER_cert(pem)
        found["".join(names_of(der))] = der
    return found


def read(der: bytes) -> dict[str, Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=der)
    return dict(*context.get_ca_certs())


def names_of(der: bytes) -> list[str]:
    return [f"{kind}={value}," for rdn in read(der)["subject"] for kind, value in rdn]


def test_the_roots_are_those_of_amazon_in_botocores_bundle() -> None:
    """All of them: AWS asks who pins to trust all five. A new botocore shows when they change."""
    wanted = {
        name: der
        for name, der in subjects(BOTOCORES).items()
        if "organizationName=Amazon," in name or "Starfield Services Root" in name
    }
    assert len(wanted) == 5
    assert subjects(AMAZON_ROOTS) == wanted


def test_the_roots_are_good_for_years() -> None:
    for der in subjects(AMAZON_ROOTS).values():
        assert int(read(der)["notAfter"].split()[3]) >= 2037


def test_a_host_that_only_botocores_bundle_vouches_for_is_spoken_to_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(https, "_whole_bundle", lambda: server.trust)
    assert https.fetch("GET", server.url, timeout_s=10).status == 200
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert https.bundle() == server.trust
    assert https.fetch("GET", server.url, timeout_s=10).status == 200
    assert len(caplog.records) == 1  # from then on at once


def test_a_host_that_nobody_vouches_for_is_not_spoken_to(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        https.fetch("GET", server.url, timeout_s=10)
    assert (server.seen, caplog.records) == ([], [])
    assert https.bundle() == AMAZON_ROOTS


def test_a_bundle_that_is_named_is_the_only_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "_whole_bundle", lambda: server.trust)
    monkeypatch.setenv(BUNDLE, str(AMAZON_ROOTS.parent / "amazon-roots-of-others.pem"))
    with pytest.raises(FileNotFoundError):
        https.fetch("GET", server.url, timeout_s=10)
    monkeypatch.setenv(BUNDLE, str(BOTOCORES))
    with pytest.raises(ssl.SSLCertVerificationError):
        https.fetch("GET", server.url, timeout_s=10)


def test_botocores_clients_trust_the_same_roots_and_wider_ones_after_an_error(
    server: Server, moto_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusted() -> object:
        return aws.client("sesv2")._endpoint.http_session._verify

    assert trusted() == str(AMAZON_ROOTS)
    client = aws.session().create_client(
        "kms", "eu-west-1", endpoint_url=server.url, verify=str(AMAZON_ROOTS)
    )
    with pytest.raises(SSLError):
        client.list_keys()
    client.close()
    assert trusted() == str(BOTOCORES)


@pytest.mark.parametrize("act", [cut, reset, slow, truncated, drip])
def test_a_request_that_comes_to_nothing_is_an_error(known: Server, act: object) -> None:
    known.always = act  # type: ignore[assignment]
    with pytest.raises((OSError, HTTPException)):
        https.fetch("GET", known.url, timeout_s=0.4)
    assert len(known.seen) <= 1


def test_an_answer_is_read_up_to_its_limit(known: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "MOST_MIB", 1)
    known.script = [says(200, bytes(2**20)), says(200, bytes(2**20 + 1))]
    assert len(https.fetch("GET", known.url, timeout_s=10).body) == 2**20
    with pytest.raises(UpstreamFailed) as refused:
        https.fetch("GET", known.url, timeout_s=10)
    assert refused.value.status == 502
    monkeypatch.setattr(https, "MOST_MIB", 0)
    known.script = [chunked]  # which does not say how long it is
    with pytest.raises(UpstreamFailed):
        https.fetch("GET", known.url, timeout_s=10)


def test_a_redirect_is_not_followed(known: Server) -> None:
    known.always = says(302, {}, Location=f"{known.url}/elsewhere")
    assert https.fetch("GET", known.url, timeout_s=10).status == 302
    assert len(known.seen) == 1


@pytest.fixture
def pool(known: Server, moto_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that stands in for the user pool."""
    there = Stack(**vars(moto_stack) | {"endpoint_url": known.url})
    monkeypatch.setattr("accounts.tokens.stack", lambda: there)
    return known


@pytest.mark.parametrize("act", [cut, says(503, {}), says(200, b"<html>")])
def test_the_keys_of_the_pool_are_asked_for_once_more(pool: Server, act: object) -> None:
    keys = {"keys": [{"kid": "one"}]}
    pool.script = [act, says(200, keys)]  # type: ignore[list-item]
    assert fetch_keys() == keys
    pool.script = [act, act]  # type: ignore[list-item]
    with pytest.raises(ServiceUnavailable):
        fetch_keys()
    assert len(pool.seen) == 4


def test_keys_of_the_pool_that_are_too_many_are_not_asked_for_again(
    pool: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "MOST_MIB", 0)
    with pytest.raises(UpstreamFailed):
        fetch_keys()
    assert len(pool.seen) == 1
