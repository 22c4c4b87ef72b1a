"""What --storage may be."""

import urllib.parse
from typing import Any

DATABASES = ("sqlite", "postgresql")
EXAMPLE = "postgresql://user@host/database"


def check_storage(config: Any) -> None:
    """Refuses what is no URL of a database, and passwords: config.json and `ps` would show them.

    No message repeats the URL: it may hold a password wherever it is not read as one.
    """
    if not config.storage:
        return
    address = urllib.parse.urlsplit(config.storage)
    if address.scheme not in DATABASES or "://" not in config.storage:
        raise ValueError(
            f"--storage must be a URL that begins with {' or '.join(f'{d}://' for d in DATABASES)},"
            f" such as {EXAMPLE}."
        )
    query = {name.lower() for name in urllib.parse.parse_qs(address.query)}
    # A second @ or : is a password that was not quoted as a URL wants it.
    if ":" in address.netloc.rpartition("@")[0] or "password" in query:
        raise ValueError(
            "--storage holds a password, which config.json and the list of processes would show."
            f" Leave it out ({EXAMPLE}), and set PGPASSWORD or write it into ~/.pgpass."
        )
    try:
        _ = address.port
    except ValueError:
        raise ValueError(f"--storage has a port that is no number; such as {EXAMPLE}.") from None
