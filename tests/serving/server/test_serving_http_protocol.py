"""Connections: those that ask are kept, those that stand are closed, faults are told in JSON."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import types

import grpc
import pytest
import uvicorn
from serving_models import pictures, predict, rest, serving
from uvicorn.server import ServerState
from waiting import LONG, SOON, until, wait_for

from serving.server import busy, endpoints
from serving.server.errors import ServingError
from serving.server.rest.http_protocol import TimedProtocol

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def server(exported_models):
    with serving(exported_models) as running:
        yield running


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.rest_api_port), timeout=LONG) as client:
        yield client


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000,
        # More than the buffers of a connection hold: the client still sends when it is answered.
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20_000_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n",
    ],
    ids=["nonsense", "no host", "header", "length", "long head", "huge head", "TLS"],
)
def test_what_is_no_http_gets_a_json_error_and_the_connection_ends(server, sent):
    with connected(server) as client:
        client.sendall(sent)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_blank_lines_before_requests_are_passed_over(server):
    # Some clients end a body with a line that its length does not count.
    body = b'{"instances": []}'
    ask = b"GET /v1/models/encoder HTTP/1.1\r\nHost: h\r\n"
    post = (
        b"POST /v1/models/encoder:predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b\r\n"
    )
    with connected(server) as client:
        for blank in (b"\r\n", b"\n", b"\r\n\r\n\r\n"):
            client.sendall(blank + ask + b"\r\n")
            assert http_answer(client)[0] == 200
        client.sendall(b"\r")
        client.sendall(b"\n" + post % (len(body), body))
        assert http_answer(client)[0] == 400
        client.sendall(ask + b"Connection: close\r\n\r\n")
        assert http_answer(client)[0] == 200


def test_blank_lines_without_a_request_are_given_up(talk):
    async def conversation(connection):
        await connection.ask(b"\r\n")
        connection.clock.advance(9)
        await connection.ask(b"\r\n")
        assert not connection.closed
        connection.clock.advance(1)
        assert connection.closed

    talk(conversation)


def test_what_follows_no_http_is_dropped_until_the_time_of_a_head_is_over(talk):
    async def conversation(connection):
        await connection.ask(b"nonsense\r\n\r\n")
        await connection.ask(HEAD)
        assert connection.answers.count(b"HTTP/1.1") == 1
        assert connection.ended and not connection.closed
        connection.clock.advance(10)
        assert connection.closed

    talk(conversation)


def http_answer(client):
    """(status, body) of the next answer on a connection."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, answer.read()


@pytest.mark.parametrize("place", ["http://h:8501", "HTTPS://h", ""])
def test_target_may_be_a_whole_url(server, place):
    target = f"{place}/v1/models/%65ncoder"
    with connected(server) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"AVAILABLE"' in answer


def test_body_that_is_no_http_gets_a_json_error_too(server):
    with connected(server) as client:
        client.sendall(
            b"POST /v1/models/encoder:predict HTTP/1.1\r\nHost: h\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"
        )
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert list(json.loads(body)) == ["error"]


def test_too_many_connections_get_503_in_json_and_one_line_in_the_log(exported_models, monkeypatch):
    monkeypatch.setattr(endpoints, "MAX_CONNECTIONS", 2)
    lines = lines_of_refusals(monkeypatch)
    with serving(exported_models) as running:
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(connected(running))
            until(lambda: len(running._rest.server_state.connections) == 2)
            answers = [rest(running, "GET", "/v1/models/encoder") for _ in range(5)]
            assert lines == []
        assert [status for status, _ in answers] == [503] * 5
        assert answers[0][1] == {"error": "More than 2 connections are open; try later."}
        running.predictor.busy.flush()
        assert lines == [
            "5 requests were refused (503, UNAVAILABLE) within 1 s; the last one: More than 2"
            " connections are open; try later."
        ]
        until(lambda: not running._rest.server_state.connections)
        assert rest(running, "GET", "/v1/models/encoder")[0] == 200


class NoTimer:
    """A timer that never ends."""

    def __init__(self, seconds, function):
        self.daemon = False

    def start(self):
        pass

    def cancel(self):
        pass


def lines_of_refusals(monkeypatch):
    """What is logged of refusals; the second that a line stands for does not end by itself."""
    lines = []
    fake = types.SimpleNamespace(warning=lambda words, *values: lines.append(words % values))
    monkeypatch.setattr(busy, "logging", fake)
    fake = types.SimpleNamespace(Timer=NoTimer, Lock=threading.Lock)
    monkeypatch.setattr(busy, "threading", fake)
    return lines


def test_full_queue_is_503_in_json_and_counted(exported_models, monkeypatch):
    lines = lines_of_refusals(monkeypatch)
    full = ServingError(grpc.StatusCode.UNAVAILABLE, "9 items are waiting already")
    with serving(exported_models) as running:

        def refuse(*_, **__):
            raise full

        running._batcher.submit = refuse
        answers = [predict(running, "encoder", {"instances": pictures().tolist()}) for _ in "ab"]
        running.predictor.busy.flush()
        running.predictor.busy.flush()
    assert answers == [(503, {"error": "9 items are waiting already"})] * 2
    assert lines == [
        "2 requests were refused (503, UNAVAILABLE) within 1 s; the last one: 9 items are waiting"
        " already"
    ]


def test_line_of_a_refusal_comes_by_itself_when_its_second_is_over(monkeypatch):
    told = threading.Event()
    fake = types.SimpleNamespace(warning=lambda words, *values: told.set())
    monkeypatch.setattr(busy, "logging", fake)
    busy.BusyLog(seconds=0.01).note("no room")
    wait_for(told)


def test_upgrade_that_java_asks_for_is_passed_over_without_a_word(server, caplog):
    asked = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AA"}
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/models/encoder", headers=asked)
        assert connection.getresponse().status == 200
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


@pytest.mark.parametrize("sent", [b"", b"GET /v1/mod", b"GET / HTTP/1.1\r\nHost: h\r\n"])
def test_head_that_never_ends_is_given_up(exported_models, monkeypatch, sent):
    monkeypatch.setattr(TimedProtocol, "head_seconds", SOON)
    with (
        serving(exported_models) as running,
        connected(running) as client,
        # On a slow machine it is given up before it is sent.
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(sent)
        assert client.recv(100) == b""


@pytest.mark.slow
def test_client_that_reads_nothing_of_its_answer_is_given_up(exported_models, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "read_seconds", SOON)
    body = json.dumps({"instances": pictures(1024).tolist()}).encode()
    with serving(exported_models) as running, connected(running) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST /v1/models/encoder:predict HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        until(lambda: b'code="OK"' in running.predictor.metrics.text())
        connections = running._rest.server_state.connections
        until(lambda: not connections)


class Clock:
    """An event loop whose timers wait for `advance` and not for the machine's time."""

    def __init__(self, loop):
        self._loop, self._now, self._timers = loop, 0.0, []

    def __getattr__(self, name):
        return getattr(self._loop, name)

    def call_later(self, delay, function, *arguments):
        timer = asyncio.TimerHandle(self._now + delay, function, arguments, self._loop)
        self._timers.append(timer)
        return timer

    def advance(self, seconds):
        self._now += seconds
        due = [timer for timer in self._timers if timer.when() <= self._now]
        self._timers = [timer for timer in self._timers if timer.when() > self._now]
        for timer in due:
            if not timer.cancelled():
                timer._run()


class Connection(asyncio.Transport):
    """The server's end of a connection, and what goes over it."""

    def __init__(self, application):
        super().__init__()
        self.clock, self.answers = Clock(asyncio.get_running_loop()), b""
        self.closed = self.ended = False
        config = uvicorn.Config(application, http=TimedProtocol, log_config=None, lifespan="off")
        config.load()
        self.protocol = TimedProtocol(config, ServerState(), {}, _loop=self.clock)
        self.protocol.connection_made(self)

    async def ask(self, content):
        """Hands the server these bytes, and gives what they start the time to end."""
        self.protocol.data_received(content)
        for _ in range(20):
            await asyncio.sleep(0)

    def write(self, content):
        self.answers += content

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def answer_ok(scope, receive, send):
    """Reads a request to its end and answers it."""
    while (await receive()).get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
    )
    await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture
def talk(monkeypatch):
    """Runs a function of a connection whose heads have 10 seconds."""
    monkeypatch.setattr(TimedProtocol, "head_seconds", 10.0)

    def run(conversation):
        async def with_connection():
            await conversation(Connection(answer_ok))

        asyncio.run(with_connection())

    return run


def test_dripping_a_head_does_not_prolong_its_time(talk):
    async def drip(connection):
        for _ in range(9):
            connection.clock.advance(1)
            await connection.ask(b"x")
        assert not connection.closed
        connection.clock.advance(1)
        assert connection.closed

    talk(drip)


def test_second_head_on_a_connection_has_a_limit_too(talk):
    async def ask_twice(connection):
        await connection.ask(HEAD)
        assert connection.answers.endswith(b"fine")
        await connection.ask(b"GET /v1/mod")
        connection.clock.advance(9)
        assert not connection.closed
        connection.clock.advance(1)
        assert connection.closed

    talk(ask_twice)


def test_connection_that_asks_again_and_again_is_kept(talk):
    async def ask_often(connection):
        for number in range(8):
            await connection.ask(HEAD)
            assert connection.answers.count(b"fine") == number + 1
            connection.clock.advance(4)
        assert not connection.closed

    talk(ask_often)


def test_slow_body_has_the_requests_time_not_the_heads(talk):
    async def send_slowly(connection):
        await connection.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{")
        connection.clock.advance(60)
        assert not connection.closed
        await connection.ask(b"}")
        assert connection.answers.endswith(b"fine")

    talk(send_slowly)
