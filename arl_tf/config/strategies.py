"""What can't be trained on several devices at once."""

from typing import Any

from arl_tf.config.defences import METHOD, NONE


def check_strategy(config: Any) -> None:
    """Refuses devices that can't share a training, and trainings that can't be shared."""
    shown = f"--strategy={config.strategy}"
    if config.strategy == "tpu":
        raise ValueError(f"{shown} is not supported: nobody has run arl_tf on a TPU yet.")
    if config.devices and config.strategy != "mirrored":
        raise ValueError(f"--devices={config.devices} needs --strategy=mirrored, got {shown}.")
    if config.strategy == "default":
        return
    if config.jit_compile:
        raise ValueError(f"{shown} can't be compiled by XLA; leave out --jit_compile.")
    if config.defence not in (NONE, *METHOD):
        raise ValueError(
            f"{shown} trains the method's own defences ({', '.join((NONE, *METHOD))}): others"
            " compare images across the whole batch or keep statistics of it. Got"
            f" --defence={config.defence}."
        )
    if config.strategy == "multi_worker" and config.stages.strip(" ,") != "train":
        raise ValueError(
            f"{shown} shares a training: it needs --stages=train, got --stages={config.stages}."
            " Audit and export afterwards on one machine."
        )
