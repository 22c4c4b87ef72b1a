"""Clients and connections of the serving tests have all the time that a slow machine needs."""

import pytest
from waiting import LONG

from serving.clients.grpc_client import GrpcEncoderClient
from serving.clients.rest_client import EncoderClient
from serving.server.http_protocol import TimedProtocol


@pytest.fixture(autouse=True, scope="session")
def patience():
    """Time limits that a test doesn't set itself are LONG: only faults reach them."""
    with pytest.MonkeyPatch.context() as patch:
        for client in (EncoderClient, GrpcEncoderClient):
            patch.setitem(client.__init__.__kwdefaults__, "timeout", LONG)
        patch.setattr(TimedProtocol, "head_seconds", LONG)
        patch.setattr(TimedProtocol, "read_seconds", LONG)
        yield
