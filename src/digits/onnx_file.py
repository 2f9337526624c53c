"""Run the ONNX file of a run, and free a new one of what it tells of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from plain_errors import ModelFileError

if TYPE_CHECKING:
    import onnx

BATCH = 256
OPSET, IR_VERSION = 18, 8  # of ONNX files: what ONNX Runtime reads from 1.14 on


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """An ONNX file, ready to run on one CPU thread.

    Raises:
        ModelFileError: the file is missing or damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # no error log: the exceptions have the same text
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"{path}: not an ONNX file that a run wrote ({reason}); export the run again") from error


def probabilities_of(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities, float32 [N, classes], of images float32 [N, 1, 28, 28], ink 1 and paper 0; N is above 0."""
    session = session_of(path)
    batches = [images[at : at + BATCH] for at in range(0, len(images), BATCH)]
    return np.concatenate([session.run(["probabilities"], {"images": batch})[0] for batch in batches])


def test_accuracy_of(path: Path) -> float:
    """The accuracy on the test split that the file's metadata name, 0 to 1."""
    return float(session_of(path).get_modelmeta().custom_metadata_map["test_accuracy"])


def portable(proto: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same file without what is this machine's, or what other engines stumble over.

    The exporter's stack traces hold paths. Shapes of weights beside the weights make `quantize_dynamic` fail. Older
    engines refuse a newer IR_VERSION than the operators need, and some know no `allowzero`; no shape here has a zero.
    Some name an output by the node that makes it.
    """
    proto.ir_version = IR_VERSION
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    weights = {each.name for each in proto.graph.initializer}
    shapes = [each for each in proto.graph.value_info if each.name not in weights]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(shapes)
    outputs = {each.name for each in proto.graph.output}
    for node in proto.graph.node:
        kept = [each for each in node.attribute if each.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.name = next((name for name in node.output if name in outputs), node.name)
    return proto


def with_half_weights(proto: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same file with weights of 16 bits; a Cast, which the runtime computes once, makes them 32 bits again."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weights in proto.graph.initializer:
        if weights.data_type == TensorProto.FLOAT and len(weights.dims) > 1:
            name = weights.name
            small = numpy_helper.from_array(numpy_helper.to_array(weights).astype("float16"), f"{name}_half")
            weights.CopyFrom(small)
            casts.append(helper.make_node("Cast", [small.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto
