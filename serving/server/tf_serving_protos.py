"""TF Serving's messages for batching and monitoring, which tensorflow-serving-api leaves out.

Names, numbers and types of the fields are those of TF Serving's
servables/tensorflow/session_bundle_config.proto and config/monitoring_config.proto. The messages
live in a descriptor pool of their own, so that a later release of the package may bring its own.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

FILE = "serving/tf_serving_protos.proto"
PACKAGE = "tensorflow.serving"
INT64, BOOL, STRING, MESSAGE = (
    getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name}")
    for name in ("INT64", "BOOL", "STRING", "MESSAGE")
)
INT64_VALUE, STRING_VALUE, BOOL_VALUE = (
    f".google.protobuf.{name}Value" for name in ("Int64", "String", "Bool")
)
# Message -> (field, number, type, whether it is repeated); a string names a message type.
MESSAGES = {
    "BatchingParameters": (
        ("max_batch_size", 1, INT64_VALUE, False),
        ("batch_timeout_micros", 2, INT64_VALUE, False),
        ("max_enqueued_batches", 3, INT64_VALUE, False),
        ("num_batch_threads", 4, INT64_VALUE, False),
        ("thread_pool_name", 5, STRING_VALUE, False),
        ("allowed_batch_sizes", 6, INT64, True),
        ("pad_variable_length_inputs", 7, BOOL, False),
        ("enable_large_batch_splitting", 8, BOOL_VALUE, False),
        ("max_execution_batch_size", 9, INT64_VALUE, False),
    ),
    "PrometheusConfig": (("enable", 1, BOOL, False), ("path", 2, STRING, False)),
    "MonitoringConfig": (("prometheus_config", 1, f".{PACKAGE}.PrometheusConfig", False),),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    wrappers = wrappers_pb2.DESCRIPTOR.name
    file = descriptor_pb2.FileDescriptorProto(
        name=FILE, package=PACKAGE, syntax="proto3", dependency=[wrappers]
    )
    for message_name, fields in MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, number, kind, repeated in fields:
            label = "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL"
            field = message.field.add(
                name=name, number=number, label=getattr(descriptor_pb2.FieldDescriptorProto, label)
            )
            if isinstance(kind, str):
                field.type, field.type_name = MESSAGE, kind
            else:
                field.type = kind
    return file


def _message_classes() -> dict[str, type]:
    pool = descriptor_pool.DescriptorPool()
    for file in (wrappers_pb2.DESCRIPTOR.serialized_pb, _file().SerializeToString()):
        pool.AddSerializedFile(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
    }


_CLASSES = _message_classes()
BatchingParameters = _CLASSES["BatchingParameters"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
