"""The stage `encode`: the photos of --encode_from into codes in --encode_to."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

from absl import logging

from arl_tf.config.settings import Config
from arl_tf.data import code_records, preprocessing, tfds_codes
from arl_tf.data.preprocessing import CROP
from arl_tf.experiments import run_directory, trusted_encoders
from arl_tf.experiments.encoding import encoders, engines, sources
from arl_tf.experiments.encoding.encoders import BulkEncoder, EncoderSpec
from arl_tf.experiments.encoding.shards import Target
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.training import checkpoints
from arl_tf.utils import files, interruption, keyed_noise, progress, run_files, run_lock
from arl_tf.utils.cores import usable_cores

INDEX_REMEDY = "Put back an intact copy, or encode into another --encode_to."
# One source can be named in several ways; source_sha256 tells it from others.
AS_TYPED = ("source",)
# What folders mean that hold no word of it, from before there was a choice.
UNSAID = {"fit": CROP, "preprocessing": "2.2"}


def run(config: Config, run: RunDirectory) -> None:
    """Encodes what is not encoded yet, and prints how much that is.

    Args:
        config: all settings.
        run: the run whose encoder is used, where --encoder_saved_model names none.

    Raises:
        ValueError: there is no such source or encoder, the folder holds other codes or lies among
            the photos, or no photo can be read.
    """
    folder = pathlib.Path(config.encode_to)
    files.check_can_be_written("encode_to", folder)
    if pathlib.Path(config.encode_from).is_dir():
        files.check_apart("encode_to", folder, "encode_from", pathlib.Path(config.encode_from))
    if config.encode_format == "parquet":
        code_records.require_parquet()
    spec = encoder_spec(config, run)
    source = sources.open_source(config.encode_from)
    if config.dry_run:
        code = " x ".join(map(str, encoders.load(spec).code_shape))
        print(f"{len(source.shards)} shards of codes {code} would go to {folder}.")
        return
    with run_lock.owned(folder):
        encoder = encoders.load(spec)
        target = Target(str(folder), config.encode_format, len(source.shards))
        index = description(config, source, encoder)
        if config.overwrite:
            remove_codes(folder)
            interruption.advise(run_directory.WITHOUT_OVERWRITE)
        check_same(folder, index)
        files.write_json(folder / code_records.INDEX, index)
        for path in code_records.shard_files(folder):
            if path.name.startswith(code_records.UNFINISHED):
                path.unlink(missing_ok=True)
        work = [(number, source.shards[number]) for number in target.todo()]
        done = target.shards - len(work)
        if done:
            logging.info("%d of %d shards are encoded already", done, target.shards)
        started = time.perf_counter()
        work_through(config, spec, work, target)
        words = summary(folder, target, len(work), time.perf_counter() - started)
        if config.encode_format == "tfrecord" and (work or not tfds_codes.is_described(folder)):
            tfds_codes.describe(folder, target.shards, encoder.code_shape)
        print(words)


def encoder_spec(config: Config, run: RunDirectory) -> EncoderSpec:
    """Which encoder the settings name; ValueError where a run has none, or it is not trusted."""
    if config.encoder_saved_model:
        trusted_encoders.check(config, run)
        return EncoderSpec(
            saved_model=config.encoder_saved_model,
            confined=config.trust_encoder,
            image_size=config.image_size,
            noise_key=config.noise_key,
            fit=config.fit,
        )
    player = run.player("encoder")
    checkpoints.require_player(player)
    return EncoderSpec(player=str(player.resolve()), noise_key=config.noise_key, fit=config.fit)


def description(
    config: Config, source: sources.PhotoSource, encoder: BulkEncoder
) -> dict[str, Any]:
    """What encode.json holds; codes of another one are not mixed with these."""
    return {
        "source": config.encode_from,
        "source_sha256": source.fingerprint,
        "encoder_sha256": encoder.sha256,
        "image_size": encoder.image_size,
        "code_shape": list(encoder.code_shape),
        "format": config.encode_format,
        "noise": noise_words(config.noise_key),
        "shards": len(source.shards),
        "fit": config.fit,
        "preprocessing": preprocessing.versions(),
    }


def noise_words(noise_key: str) -> str:
    """Where the noise comes from; a photo has one code only as long as the key is the same."""
    if not noise_key:
        return "drawn"
    key = keyed_noise.read_key(pathlib.Path(noise_key))
    return f"by key {keyed_noise.fingerprint(key)}"


def check_same(folder: pathlib.Path, index: dict[str, Any]) -> None:
    """Raises ValueError where a folder holds codes of another encoder, source, key or form."""
    path = folder / code_records.INDEX
    if not path.exists():
        return
    required = tuple(name for name in index if name not in UNSAID)
    recorded = UNSAID | run_files.read_json(path, remedy=INDEX_REMEDY, keys=required)
    # What the folder alone has a word of would be passed over by the names of this command.
    differing = [
        name
        for name in index | recorded
        if name not in AS_TYPED and recorded.get(name) != index.get(name)
    ]
    if differing:
        raise ValueError(
            f"--encode_to={folder} holds other codes: {', '.join(differing)} differ. Use another"
            " folder, or --overwrite to replace them."
        )


def remove_codes(folder: pathlib.Path) -> None:
    """Removes what an earlier encoding wrote, and nothing else that lies there."""
    metadata = [folder / name for name in (code_records.INDEX, *tfds_codes.METADATA)]
    for path in (*code_records.shard_files(folder), *metadata):
        path.unlink(missing_ok=True)


def work_through(
    config: Config, spec: EncoderSpec, work: Sequence[engines.Work], target: Target
) -> None:
    """Encodes the shards on the engine that the settings name."""
    if not work:
        return
    if config.beam_options:
        engines.on_beam(spec, work, target, config.beam_options)
        return
    cores = config.threads or usable_cores()
    processes = min(config.encode_processes or cores, len(work))
    if processes == 1:
        finished = engines.in_this_process(spec, work, target)
    else:
        finished = engines.in_processes(spec, work, target, processes, config.threads)
    with progress.bar("Shards encoded", len(work)) as advance:
        for _ in finished:
            advance()


def summary(folder: pathlib.Path, target: Target, encoded: int, seconds: float) -> str:
    """How many photos could not be read, and where everything lies; ValueError where none could."""
    reasons = [
        entry["reason"]
        for number in range(target.shards)
        for entry in run_files.read_json_lines(
            target.unreadable(number), remedy=INDEX_REMEDY, keys=("reason",)
        )
    ]
    if reasons and all(code_records.is_empty(target.codes(at)) for at in range(target.shards)):
        raise ValueError(
            f"None of the {len(reasons)} photos can be read, the first because: {reasons[0]}."
            f" {folder}/unreadable-*.jsonl names them all."
        )
    lines = [
        "",
        f"Codes           {folder} ({target.shards} shards, {encoded} of them in {seconds:.0f} s)",
        f"Unreadable      {len(reasons)} photos, named in {folder}/unreadable-*.jsonl",
    ]
    return "\n".join(lines)
