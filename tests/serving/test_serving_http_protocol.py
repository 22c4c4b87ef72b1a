"""Connections that never finish a request's head are closed; those that ask are kept."""

import contextlib
import http.client
import json
import socket
import time

import pytest
from serving_models import pictures, serving, until

from serving.http_protocol import TimedProtocol


@pytest.fixture
def server(exported_models, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "head_seconds", 0.3)
    with serving(exported_models) as running:
        yield running


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.rest_api_port), timeout=20) as client:
        yield client


@pytest.mark.parametrize("sent", [b"", b"GET /v1/mod", b"GET / HTTP/1.1\r\nHost: h\r\n"])
def test_head_that_never_ends_is_given_up(server, sent):
    with connected(server) as client:
        client.sendall(sent)
        assert client.recv(100) == b""


def test_dripping_a_head_does_not_prolong_its_time(server):
    with connected(server) as client, pytest.raises(ConnectionError):
        for _ in range(100):
            client.sendall(b"x")
            time.sleep(0.05)


def test_second_head_on_a_connection_has_a_limit_too(server):
    with connected(server) as client:
        client.sendall(b"GET /v1/models/encoder HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = client.recv(4096)
        while b"AVAILABLE" not in answer:
            answer += client.recv(4096)
        client.sendall(b"GET /v1/mod")
        client.settimeout(20)
        while client.recv(4096):
            pass


def test_client_that_reads_nothing_of_its_answer_is_given_up(exported_models, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "read_seconds", 0.3)
    body = json.dumps({"instances": pictures(1024).tolist()}).encode()
    with serving(exported_models) as running, connected(running) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST /v1/models/encoder:predict HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        until(lambda: b'code="OK"' in running.predictor.metrics.text())
        connections = running._rest.server_state.connections
        until(lambda: not connections)


def test_connection_that_asks_again_and_again_is_kept(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=20)
    connection.connect()
    own = connection.sock
    for _ in range(8):
        connection.request("GET", "/v1/models/encoder")
        assert connection.getresponse().read()
        time.sleep(0.1)
    assert connection.sock is own
    connection.close()


def test_slow_body_has_the_requests_time_not_the_heads(server):
    with connected(server) as client:
        client.sendall(
            b"POST /v1/models/encoder:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{"
        )
        time.sleep(0.6)
        client.sendall(b"}")
        assert client.recv(4096).startswith(b"HTTP/1.1 400")
