"""What a bench found: bench.json's content, made of what its points left on disk."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.settings import Config
from arl_tf.experiments.benches import answers, choice, final_results, finals
from arl_tf.experiments.benches.choice import TrialRow
from arl_tf.experiments.benches.contestants import Contestant
from arl_tf.experiments.sweeps import sweep_results
from arl_tf.experiments.sweeps.trials import FAILED, FINISHED

Record = dict[str, Any]


def assemble(
    config: Config, root: pathlib.Path, chosen: finals.Chosen, left_out: Mapping[str, str]
) -> Record:
    """The content of bench.json, as far as the bench has come.

    Args:
        config: the bench's settings.
        root: its directory.
        chosen: name -> contestant and the trials that it has had.
        left_out: defence that the settings do not allow -> why.
    """
    entries = [entry(config, root, contestant, rows) for contestant, rows in chosen.values()]
    runs = [run for e in entries for found in e["finals"].values() for run in found["runs"]]
    audits = {run["point"]: run.pop("audit") for run in runs if "audit" in run}
    utilities = choice.utilities(config)
    return {
        "measured_on": "test",
        "chosen_on": "validation",
        "protocol": protocol(config),
        "attackers": sweep_results.attackers_of(audits),
        "untold": sweep_results.untold_of(audits),
        "answers": [
            answers.answer(utility, figure, entries)
            for utility in utilities
            for figure in answers.questions(entries)
        ],
        "defences": entries,
        "reference": final_results.unprotected(root, runs),
        "left_out": dict(left_out),
        "progress": progress(config, root, chosen, entries),
    }


def protocol(config: Config) -> Record:
    """What all defences had in common."""
    return {
        "trials": config.bench_trials,
        "seeds": list(finals.seeds(config)),
        "utility": list(choice.utilities(config)),
        "search": "halves the logarithm of the strength's range, for each utility in turn",
        "encoder_epochs": config.point_epochs + config.epochs,
        "shared_epochs": config.warmup_epochs,
        "trial_audit": "quick",
        "final_audit": config.audit,
        "dataset": config.dataset,
    }


def entry(
    config: Config, root: pathlib.Path, contestant: Contestant, rows: Sequence[TrialRow]
) -> Record:
    """One defence: what it is, its trials, and its choices on T."""
    named = contestant.setting
    return {
        "name": contestant.name,
        "source": contestant.source,
        "strength_words": contestant.words,
        "setting": named,
        "range": [contestant.weakest, contestant.strongest] if named else None,
        "trials": [trial_facts(row) for row in rows],
        "finals": {
            f"{utility:g}": final_results.final(config, root, contestant, rows, utility)
            for utility in choice.utilities(config)
        },
    }


def trial_facts(row: TrialRow) -> Record:
    """A trial as bench.json has it."""
    return {
        "point": row.point.name,
        "strength": row.strength,
        "state": row.record["state"],
        "message": row.record["message"],
        "mean_mcc": row.mean_mcc,
        "kept": row.kept,
        "leakage": row.leakage,
        "training_seconds": (row.record.get("seconds") or {}).get("train"),
    }


def progress(
    config: Config,
    root: pathlib.Path,
    chosen: finals.Chosen,
    entries: Sequence[Mapping[str, Any]],
) -> Record:
    """How far the bench is: trials, and audits on T of the choices that are known by now."""
    wanted = [choice.trials_of(config, contestant) for contestant, _ in chosen.values()]
    tried = sum(len(e["trials"]) for e in entries)
    planned = finals.planned(config, chosen)
    records = [finals.read_record(config, root, point.name) for point in planned]
    done, failed = (
        sum(record.get("state") == state for record in records) for state in (FINISHED, FAILED)
    )
    return {
        "trials": sum(wanted),
        "trials_done": tried,
        "audits": len(planned),
        "audits_done": done,
        "audits_failed": failed,
        # What failed is not done again: nothing is left to wait for.
        "is_complete": tried == sum(wanted) and done + failed == len(planned),
    }
