"""Optuna's storage in a database that a URL names: sqlite, or a PostgreSQL that machines share."""

import contextlib
from collections.abc import Iterator

import optuna
from optuna.exceptions import OptunaError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from arl_tf.utils import run_files

# SQLAlchemy takes an older driver for the plain name.
DRIVERS = {"postgresql": "postgresql+psycopg"}
# A connection lasts for one look at the list: a kept one would be idle for hours, and be dropped.
ENGINE = {"poolclass": NullPool}


def opened(url: str) -> optuna.storages.RDBStorage:
    """The storage of a URL; its tables are made on first use."""
    address = make_url(url)
    address = address.set(drivername=DRIVERS.get(address.drivername, address.drivername))
    options = ENGINE if address.drivername.startswith("postgresql") else {}
    return optuna.storages.RDBStorage(
        address.render_as_string(hide_password=False), engine_kwargs=dict(options)
    )


@contextlib.contextmanager
def saying_what_to_do(url: str) -> Iterator[None]:
    """Raises ValueError, without a password, where the database of `url` can't be used."""
    try:
        yield
    except ImportError:
        raise ValueError(
            f"--storage={url} needs the database's driver, which is not installed: pip install"
            " 'arl_tf[postgres]'."
        ) from None
    except (OptunaError, SQLAlchemyError) as error:
        raise ValueError(
            f"--storage={url} can't be used: {run_files.one_line(error)}. Check that the server"
            " runs and that the database exists; a password comes from PGPASSWORD or ~/.pgpass."
        ) from None
