"""Export: the shipped forms."""

import dataclasses

from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class ExportGroup:
    """Export: the shipped forms."""

    require: str = option(
        "",
        "What the audit must have found for the encoder to be exported, comma-separated, such as"
        " 'face_similarity<=0.25,leakage.reid_rank1<=0.1,mean_mcc>=0.95*reference'. The cautious"
        " end of a figure's 95 % interval counts: the high end for <=, the low end for >=; a figure"
        " without an interval is missed. The reference's figure counts by its value.",
        group="export",
    )
    allow_unaudited: bool = option(
        False,
        "Export even without an audit of T, or with one that does not meet --require. The manifest"
        " says so.",
        group="run",
        topic="export",
    )
    tflite_precisions: str = option(
        "float32,float16,int8",
        "TFLite files to export, comma-separated: float32, float16, int8; empty: none. If a file"
        " does not agree with the Keras encoder, nothing is exported.",
        group="export",
    )
    calibration_images: int = option(
        256,
        "Public images (of X2) from which the int8 file learns the ranges of its tensors.",
        group="export",
        low=16,
        high=10_000,
    )
