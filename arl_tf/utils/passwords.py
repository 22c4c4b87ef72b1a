"""Passwords in URLs: no message, log or note of a process shows them."""

import re

# In user:password@host: the password has any sign but a blank, if it was not quoted as it should.
IN_URL = re.compile(r"([A-Za-z][\w+.-]*://[^\s/:@?#]*:)\S*(?=@)")
IN_QUERY = re.compile(r"((?:^|[?&\s])\w*(?:password|secret|token)=)[^&\s]+", re.I)
HIDDEN = "***"


def hidden(text: str) -> str:
    """A text with *** in place of the passwords in its URLs."""
    return IN_QUERY.sub(rf"\1{HIDDEN}", IN_URL.sub(rf"\1{HIDDEN}", text))
