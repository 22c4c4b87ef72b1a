"""The results file of a sweep, study or bench: of which settings it is, and whether it has any."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.settings import Config
from arl_tf.experiments import run_directory
from arl_tf.experiments.sweeps.trials import FAILED
from arl_tf.utils import run_files

SETTINGS = "settings"
REMEDY = "Delete it: it is written anew from the points."


def settings_of(config: Config, stage: str, **changes: Any) -> dict[str, Any]:
    """What decides the results of `stage`, as JSON has it.

    Args:
        config: all settings.
        stage: "sweep", "study" or "bench".
        **changes: settings that results of one file may differ in, each with one value for all.
    """
    # --audit is the level of audits on T: points have all of level quick.
    settings = config.stage_settings(stage) | {"audit": "quick"} | changes
    found: dict[str, Any] = json.loads(json.dumps(settings))
    return found


def differing(path: pathlib.Path, settings: Mapping[str, Any]) -> list[str]:
    """In what a results file is of other settings; empty where it is of these, or there is none.

    Files of older versions do not say of which settings they are: they are of any.
    """
    if not path.exists():
        return []
    recorded = run_files.read_json(path, remedy=REMEDY).get(SETTINGS)
    return [] if recorded is None else run_directory.differing_settings(recorded, settings)


def refuse_others(path: pathlib.Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Raises ValueError where results of other settings would be replaced unasked.

    Args:
        path: of the results file.
        settings: of `settings_of`, what is asked for now.
        overwrite: whether they may be replaced.
    """
    found = [] if overwrite else differing(path, settings)
    if found:
        raise ValueError(
            f"{path} holds results with {', '.join(found)}. Use another --workdir, or --overwrite"
            " to replace them; points that are done stay."
        )


def require_results(points: Sequence[Mapping[str, Any]], what: str) -> None:
    """Raises ValueError with the first reason where all points have failed.

    Args:
        points: each with `state` and `message`; points that other processes still work on, or
            that wait, may yet finish.
        what: has failed, such as "points of the sweep".
    """
    if points and all(point["state"] == FAILED for point in points):
        raise ValueError(
            f"None of the {len(points)} {what} could be finished; the first failed with"
            f" {points[0]['message']}. Mend that, then try them again with --overwrite."
        )
