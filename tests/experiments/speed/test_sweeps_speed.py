"""The figure of sweeps: that both sides train and audit the same points, and the ratio."""

import pathlib

from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.speed import sweeps
from arl_tf.experiments.sweeps import search_space, trials


def test_the_figure_is_the_sweep_over_the_sum_of_the_runs():
    assert sweeps.sweep_share(30.0, [20.0, 10.0, 15.0, 15.0]) == 0.5


def test_the_points_of_both_sides_differ_in_start_and_reference_alone():
    swept = sweeps.swept()
    grid = search_space.grid(search_space.parse_space(swept.sweep))
    alone = sweeps.separate_points()
    assert len(alone) == len(grid) == 8
    for overrides, config in zip(grid, alone, strict=True):
        point = trials.trial_config(swept, overrides, RunDirectory(pathlib.Path("a/points/b")))
        differing = {
            name
            for name, value in config.stage_settings("audit").items()
            if point.stage_settings("audit")[name] != value
        }
        assert differing == {"warmup_epochs", "reference"}
        assert config.warmup_epochs == swept.warmup_epochs
        assert (config.audit_split, config.stage_names) == (point.audit_split, point.stage_names)


def test_every_run_has_its_own_folder_and_cache(monkeypatch):
    made = []
    monkeypatch.setattr(sweeps.stages, "do_stages", lambda config, run: made.append((config, run)))
    found = sweeps.measure_sweep()
    assert list(found) == ["sweep_over_separate"] and found["sweep_over_separate"] > 0
    folders = [run.root for _, run in made]
    assert len(set(folders)) == 10
    assert [config.workdir for config, _ in made] == [str(folder) for folder in folders]
    assert {config.cache_dir for config, _ in made} == {""}
    assert [config.stages for config, _ in made][1:] == ["sweep", *["train,audit"] * 8]


def test_the_warm_up_has_the_networks_of_the_points():
    warm, point = sweeps.warm_up(), sweeps.separate_points()[0]
    for name in ("image_size", "code_channels", "encoder", "cut", "num_faces", "attacker_width"):
        assert getattr(warm, name) == getattr(point, name), name
    assert warm.reference == ""
