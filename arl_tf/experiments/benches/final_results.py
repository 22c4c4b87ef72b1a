"""What a bench's choices leak on T: the figures of all trainings, put together."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config import audit_figures, conditions
from arl_tf.config.settings import Config
from arl_tf.defences import registry
from arl_tf.experiments.benches import choice, estimates, finals, search
from arl_tf.experiments.benches.choice import TrialRow
from arl_tf.experiments.benches.contestants import Contestant
from arl_tf.experiments.benches.search import Tried
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import sweep_results, trials
from arl_tf.experiments.sweeps.trials import FAILED, FINISHED, Trial
from arl_tf.models.capacity import UNBOUNDED
from arl_tf.report import report_files, utility_words

Record = dict[str, Any]
# What a choice has while none of its trainings is audited.
UNMEASURED = {
    "figures": {},
    "kept_on_test": False,
    "training_seconds": None,
    "codes": None,
    "meaning": "",
}


def final(
    config: Config,
    root: pathlib.Path,
    contestant: Contestant,
    rows: Sequence[TrialRow],
    utility: float,
) -> Record:
    """A defence's choice at one utility, with its figures on T."""
    row = choice.choose(rows, utility)
    if row is None:
        return not_kept(rows, state_without_choice(rows, choice.trials_of(config, contestant)))
    runs = [
        final_run(config, root, point, seed)
        for seed, point in zip(
            finals.seeds(config), finals.trials_of(config, contestant, row), strict=True
        )
    ]
    done = [run for run in runs if run["state"] == FINISHED]
    found = {
        "state": state_of([run["state"] for run in runs]),
        "strength": row.strength,
        "kept_on_validation": row.kept,
        "leakage_on_validation": row.leakage,
        "is_open": bool(contestant.setting)
        and search.is_open([Tried(r.position, r.kept) for r in rows], utility),
        "runs": runs,
    }
    if not done:
        return {**found, **UNMEASURED}
    figures = combined([run["figures"] for run in done])
    return {
        **found,
        "figures": figures,
        "kept_on_test": reaches(figures["kept"], utility),
        "training_seconds": mean_seconds(done),
        "codes": done[0]["codes"],
        "meaning": meaning(row.point, tuple(done[0]["codes"]["shape"])),
    }


def state_of(states: Sequence[str]) -> str:
    """A choice's state, of those of its trainings: "unfinished" while one may still be audited.

    A training that failed is not done again: a choice that lacks one is not measured, now or later.
    """
    if any(state not in (FINISHED, FAILED) for state in states):
        return "unfinished"
    return FAILED if FAILED in states else FINISHED


def state_without_choice(rows: Sequence[TrialRow], wanted: int) -> str:
    """The state where no trial of `wanted` ones has kept the utility so far."""
    if len(rows) < wanted:
        return "waiting"
    return FAILED if all(row.record["state"] == FAILED for row in rows) else "not kept"


def not_kept(rows: Sequence[TrialRow], state: str) -> Record:
    """What stands for a choice where no trial has kept the utility: that of the nearest trial."""
    best = choice.nearest(rows)
    return {
        "state": state,
        "strength": best.strength if best else None,
        "kept_on_validation": best.kept if best else None,
        "leakage_on_validation": best.leakage if best else None,
        "is_open": False,
        "runs": [],
        **UNMEASURED,
    }


def final_run(config: Config, root: pathlib.Path, trial: Trial, seed: int) -> Record:
    """One training of a choice, with its audit on T where that is done."""
    record = finals.read_record(config, root, trial.name)
    run = trials.directory(root, trial.name)
    facts = {"seed": seed, "point": trial.name, "directory": f"points/{run.root.name}"}
    state = record.get("state", "waiting")
    facts |= {"state": state, "message": record.get("message", "")}
    if state != FINISHED:
        return facts
    audit, beside = run.audit("test"), choice.reference(root, record).audit("test")
    content, unprotected_content = map(report_files.read_content, (audit, beside))
    figures = figures_of(content)
    figures["kept"] = estimates.share(
        figures["mean_mcc"],
        unprotected_content["utility"]["mean_mcc"],
        "mean_mcc",
        (report_files.load_resamples(audit), report_files.load_resamples(beside)),
    )
    return {
        **facts,
        "figures": figures,
        "worst_attack": content["worst"]["face_similarity"]["attack"],
        "reference": record["reference"],
        "training_seconds": record["seconds"].get("train"),
        "codes": code_facts(content["codes"]),
        "audit": content,
    }


def code_facts(codes: Mapping[str, Any]) -> dict[str, Any]:
    """What a bench says of codes: `capacity_bits` only where more than their type bounds them."""
    facts = {name: codes[name] for name in sweep_results.CODE_FACTS if name in codes}
    if codes.get("bounded_by") == UNBOUNDED:
        facts.pop("capacity_bits", None)
    return facts


def figures_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """An audit's figures that a bench compares: name -> value and interval."""
    estimates_of = {
        **audit_figures.report_figures(content),
        **utility_words.beside_headline(content["utility"]),
    }
    figures = {name: sweep_results.interval_of(found) for name, found in estimates_of.items()}
    match = content["codes"].get("candidate_match")
    best = match["exact"]["code"]["best"] if match else estimates.UNKNOWN
    return {**figures, "candidate_match": sweep_results.interval_of(best)}


def combined(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures over all trainings; 'leakage' is that of the judge that sees more."""
    figures = over_all(runs)
    return {**figures, "leakage": conditions.by_worse_judge(figures)}


def over_all(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each figure over all trainings; empty without any."""
    names = list(runs[0]) if runs else []
    return {
        name: estimates.over_trainings([run.get(name, estimates.UNKNOWN) for run in runs])
        for name in names
    }


def reaches(kept: Mapping[str, Any], utility: float) -> bool:
    """Whether a share of the utility is not surely below the wanted one."""
    if kept["value"] is None:
        return False
    return bool((kept["ci95"][1] if kept["ci95"] else kept["value"]) >= utility)


def mean_seconds(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean time of the trainings that were not interrupted."""
    known = [run["training_seconds"] for run in runs if run["training_seconds"] is not None]
    return sum(known) / len(known) if known else None


def meaning(trial: Trial, code_shape: tuple[int, ...]) -> str:
    """What a published defence's number means, such as an epsilon; "" where it says nothing."""
    settings = trial.overrides
    found = registry.choice_of(
        settings["defence"], settings["defence_strength"], settings["defence_bound"]
    )
    return registry.description(found, code_shape)


def unprotected(root: pathlib.Path, runs: Sequence[Mapping[str, Any]]) -> Record:
    """The unprotected encoders' figures on T, over all seeds that have been audited."""
    names = dict.fromkeys(run["reference"] for run in runs if run["state"] == FINISHED)
    audits = [
        report_files.read_content(RunDirectory(root / "references" / name).audit("test"))
        for name in names
    ]
    return {"trainings": len(audits), "figures": over_all([figures_of(found) for found in audits])}
