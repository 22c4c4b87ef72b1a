"""Encoding of many photos."""

import dataclasses

from arl_tf.config.choices import ENCODED_FORMATS
from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class EncodeGroup:
    """Encoding of many photos."""

    encode_from: str = option(
        "",
        "Photos that --stages=encode turns into codes: a folder, tfds:NAME, or TFRecord files,"
        " comma-separated.",
        group="run",
        topic="encode",
        path=True,
    )
    encode_to: str = option(
        "",
        "Folder of the codes of --stages=encode. A command that was stopped goes on in it.",
        group="run",
        topic="encode",
        path=True,
    )
    encode_format: str = option(
        "tfrecord",
        "Form of the codes: tfrecord or parquet (name and code of each photo), or npz (for"
        " --codes). An npz file holds the prepared photos, too: an audit needs them.",
        group="run",
        topic="encode",
        choices=ENCODED_FORMATS,
    )
    encode_processes: int = option(
        1,
        "Processes that encode side by side on this machine, and share its cores or --threads; 0:"
        " one for each core.",
        group="run",
        topic="encode",
        low=0,
        high=1024,
    )
    noise_key: str = option(
        "",
        "File of a secret of 32 bytes that decides the encoder's noise: a photo that is encoded"
        " twice then has one code; empty: the noise is drawn anew for each photo.",
        group="run",
        topic="encode",
        path=True,
    )
    beam_options: str = option(
        "",
        "Encode on Apache Beam, with these options of Beam, such as '--runner=DirectRunner"
        " --direct_num_workers=4 --direct_running_mode=multi_processing'; empty: without Beam.",
        group="run",
        topic="encode",
    )
