"""What can go wrong between a client and the server, a class a kind."""


class EncoderError(Exception):
    """A call did not give codes or attributes; its text holds the server's own message.

    Attributes:
        status: HTTP status or name of the gRPC status; None where no answer came.
    """

    def __init__(self, message: str, status: int | str | None = None):
        super().__init__(message)
        self.status = status


class RejectedError(EncoderError):
    """The server refuses the input: it will refuse it the next time, too."""


class NotFoundError(EncoderError):
    """The server has no such model, version, label or signature."""


class UnavailableError(EncoderError):
    """The server could not be reached or is overloaded, repeats included."""


class DeadlineError(EncoderError):
    """No answer came in time. The call was not repeated: the server may be working on it still."""


class ServerError(EncoderError):
    """The server failed."""


class AnswerError(EncoderError):
    """The answer is not what TF Serving's protocol and the models' contract promise."""
