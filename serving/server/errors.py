"""The one error that serving raises, in gRPC's vocabulary; REST translates it."""

import grpc


class ServingError(Exception):
    """A request that is refused, or that failed.

    Attributes:
        code: what gRPC calls it.
        message: what was received and what was expected, for the client.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """The request itself is wrong: INVALID_ARGUMENT, 400."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> ServingError:
    """The request can't be met as things are now: FAILED_PRECONDITION, 400."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_found(message: str) -> ServingError:
    """No such model or version: NOT_FOUND, 404."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def deadline_exceeded() -> ServingError:
    """The time that the client or the server allows is over: DEADLINE_EXCEEDED, 504."""
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "The request's time is over.")
