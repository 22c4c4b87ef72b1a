"""Files in ONNX's format, for tests of encoders that strangers have in it."""

import onnx
from onnx import helper

# Of the oldest onnxruntime that reads this operator as it is written here.
OPERATORS, FORMAT = 19, 9


def save_pooling(path, size, side):
    """Writes an encoder: the mean of each `side` x `side` pixels.

    Its input "image" is float32 [N, 3, size, size], its output "code" has the sides size / side.
    """
    pool = helper.make_node(
        "AveragePool", ["image"], ["code"], kernel_shape=[side, side], strides=[side, side]
    )
    tensor = onnx.TensorProto.FLOAT
    source = helper.make_tensor_value_info("image", tensor, ["N", 3, size, size])
    sink = helper.make_tensor_value_info("code", tensor, ["N", 3, size // side, size // side])
    graph = helper.make_graph([pool], "pooling", [source], [sink])
    operators = [helper.make_opsetid("", OPERATORS)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=FORMAT)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
