"""Gradients through the rounding of a graph, as if it were not there (Bengio and others 2013).

What the graph computes stays: r(x) becomes x + stop_gradient(r(x) - x).
"""

import collections

import tensorflow as tf

# Operations of one input whose gradient is zero.
ROUNDING = ("Round", "Rint", "Floor", "Ceil", "Sign")
# Of whole numbers or truth values, between what makes them of floats and what makes floats of them.
ON_THE_WAY = ("Identity", "ClipByValue", "Minimum", "Maximum")
# Comparisons, and whether the first input counts as larger where they are true.
COMPARISONS = {"Greater": True, "GreaterEqual": True, "Less": False, "LessEqual": False}
# Other operations that end every gradient, for the message where nothing helps.
ENDS = (
    *COMPARISONS,
    "ArgMax",
    "ArgMin",
    "Bucketize",
    "Cast",
    "Equal",
    "LookupTableFindV2",
    "QuantizeV2",
)


def straight_through(graph_def: tf.compat.v1.GraphDef) -> tuple[tf.compat.v1.GraphDef, int]:
    """The graph whose gradients pass its rounding, and how many operations that concerned.

    Rounding is an operation of ROUNDING, a cast of floats to whole numbers and back, or a
    comparison that is cast to floats.
    """
    changed = tf.compat.v1.GraphDef()
    changed.CopyFrom(graph_def)
    nodes = {node.name: node for node in changed.node}
    count = 0
    for node in list(changed.node):
        if node.op in ROUNDING:
            passed = node.input[0]
        elif node.op == "Cast" and tf.as_dtype(node.attr["DstT"].type).is_floating:
            passed = rounded_by_cast(changed, nodes, node)
        else:
            continue
        if passed is not None:
            let_through(changed, node, passed)
            count += 1
    return changed, count


def rounded_by_cast(
    graph_def: tf.compat.v1.GraphDef, nodes: dict[str, tf.compat.v1.NodeDef], node
) -> str | None:
    """The floats, by the name of their tensor, that a cast gives back rounded; None for others.

    They are in the type that the cast gives.
    """
    if tf.as_dtype(node.attr["SrcT"].type).is_floating:
        return None
    source = nodes.get(node.input[0].split(":")[0])
    while source is not None and source.op in ON_THE_WAY:
        source = nodes.get(source.input[0].split(":")[0])
    if source is None:
        return None
    kind = source.attr["SrcT" if source.op == "Cast" else "T"]
    if not kind.type or not tf.as_dtype(kind.type).is_floating:
        return None
    if source.op == "Cast":
        floats = source.input[0]
    elif source.op in COMPARISONS:
        above, below = source.input[:2] if COMPARISONS[source.op] else source.input[1::-1]
        floats = added(graph_def, f"{node.name}/above", "Sub", (above, below), T=kind)
    else:
        return None
    return added(
        graph_def, f"{node.name}/floats", "Cast", (floats,), SrcT=kind, DstT=node.attr["DstT"]
    )


def let_through(graph_def: tf.compat.v1.GraphDef, node, passed: str) -> None:
    """Has a node give what it gives, with the gradient of the tensor of the name `passed`."""
    kind = node.attr["DstT" if node.op == "Cast" else "T"]
    rounded = graph_def.node.add()
    rounded.CopyFrom(node)
    rounded.name = f"{node.name}/rounded"
    error = added(graph_def, f"{node.name}/error", "Sub", (rounded.name, passed), T=kind)
    kept = added(graph_def, f"{node.name}/kept", "StopGradient", (error,), T=kind)
    sum_of_both = tf.compat.v1.NodeDef(name=node.name, op="AddV2", input=[passed, kept])
    sum_of_both.attr["T"].CopyFrom(kind)
    node.CopyFrom(sum_of_both)


def added(
    graph_def: tf.compat.v1.GraphDef, name: str, operation: str, inputs: tuple[str, ...], **attr
) -> str:
    """The name of a new node of these inputs and attributes."""
    node = graph_def.node.add(name=name, op=operation, input=inputs)
    for key, value in attr.items():
        node.attr[key].CopyFrom(value)
    return name


def ends_words(graph_def: tf.compat.v1.GraphDef) -> str:
    """Which operations of a graph may end its gradients, in words; empty where none is known."""
    found = collections.Counter(
        node.op for node in graph_def.node if node.op in ENDS and ends_gradient(node)
    )
    if not found:
        return ""
    return f" (operations that end gradients: {', '.join(sorted(found))})"


def ends_gradient(node) -> bool:
    """Whether a node of ENDS takes floats and gives none."""
    if node.op != "Cast":
        return True
    source, target = (tf.as_dtype(node.attr[name].type) for name in ("SrcT", "DstT"))
    return source.is_floating and not target.is_floating
