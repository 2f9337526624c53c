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


def without_traces(proto: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same file without the exporter's stack traces, which hold the paths of this machine."""
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    return proto
