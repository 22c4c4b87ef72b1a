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
    try:
        address = urllib.parse.urlsplit(config.storage)
    except ValueError:
        raise ValueError(f"--storage is no URL of a database; such as {EXAMPLE}.") from None
    if address.scheme not in DATABASES or "://" not in config.storage:
        raise ValueError(
            f"--storage must be a URL that begins with {' or '.join(f'{d}://' for d in DATABASES)},"
            f" such as {EXAMPLE}."
        )
    names = urllib.parse.parse_qs(address.query, keep_blank_values=True)
    in_query = any("password" in name.lower() for name in names)
    # A second @ or : is a password that was not quoted as a URL wants it; one that holds a /, ? or
    # # ends the place where names of hosts stand.
    rest = config.storage.partition("://")[2].removeprefix(address.netloc)
    beyond = address.scheme != "sqlite" and "@" in rest
    if ":" in address.netloc.rpartition("@")[0] or in_query or beyond:
        raise ValueError(
            "--storage holds a password, which config.json and the list of processes would show."
            f" Leave it out ({EXAMPLE}), and set PGPASSWORD or write it into ~/.pgpass."
        )
    try:
        _ = address.port
    except ValueError:
        raise ValueError(f"--storage has a port that is no number; such as {EXAMPLE}.") from None
