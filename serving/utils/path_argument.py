"""Path flags of commands that use argparse; a module that the client on a device can import."""

import argparse
import pathlib
from collections.abc import Callable

from serving.utils.path_values import clean_path


def path_argument(flag: str) -> Callable[[str], pathlib.Path]:
    """A type for argparse: a path with ~ expanded; what can only be a slip is refused."""

    def read(text: str) -> pathlib.Path:
        try:
            return pathlib.Path(clean_path(flag, text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
