"""The perceptual network asked for under two logical CPUs and again, in a process of its own.

Prints a JSON list of (device of its weights, number of the function: equal ones are one).
"""

import json

import tensorflow as tf

from arl_tf.models.pretrained import perceptual


def features_under(device):
    with tf.device(device):
        features = perceptual.perceptual_features("efficientnet_lite0", 8, ["block1"])
    weights = features.get_concrete_function().captured_inputs
    return {tf.DeviceSpec.from_string(each.device).device_index for each in weights}, id(features)


if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    found = [features_under(device) for device in ("/CPU:0", "/CPU:1", "/CPU:0")]
    print(json.dumps([(sorted(devices), function) for devices, function in found]))
