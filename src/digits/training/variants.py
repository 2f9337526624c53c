"""Other forms of a run's model.onnx, for engines and devices that want them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed
from onnxruntime.transformers.float16 import convert_float_to_float16

from digits.record import OnnxFile
from digits.run_folder import RunFolder
from digits.training.export import HALF, export_variant
from digits.training.finish import evaluate_again
from plain_errors import ConfigError


def export_variants(
    folder: RunFolder, fixed_batch: int | None, uint8_input: bool, float16: bool
) -> Iterator[tuple[Path, OnnxFile]]:
    """Write the chosen forms beside the model.onnx of a finished run.

    Yields:
        Each file, and the result of its comparison with the checkpoint.

    Raises:
        ConfigError: the batch is larger than the test split.
        PlainError: a file differs, and is not written.
    """
    evaluation, _ = evaluate_again(folder)
    export = partial(export_variant, evaluation, folder.onnx)
    if fixed_batch and fixed_batch > len(evaluation.labels):
        raise ConfigError(f"--fixed-batch: got {fixed_batch}, wanted at most the {len(evaluation.labels)} test digits")
    if fixed_batch:
        yield export(f"batch{fixed_batch}", partial(with_fixed_batch, batch=fixed_batch), sizes=(fixed_batch,))
    if uint8_input:
        yield export("uint8", with_uint8_input, images=evaluation.images.numpy())
    if float16:
        yield export("float16", in_float16, **HALF)


def with_fixed_batch(proto: ModelProto, batch: int) -> ModelProto:
    """The same model for batches of one size only."""
    make_dim_param_fixed(proto.graph, "batch", batch)
    return _described(proto, f"images: float32 [{batch}, 1, 28, 28], ink 1, paper 0; nothing to normalise")


def with_uint8_input(proto: ModelProto) -> ModelProto:
    """The same model for pixels from 0 to 255, which it divides by 255."""
    for node in proto.graph.node:
        node.input[:] = ["scaled" if name == "images" else name for name in node.input]
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    proto.graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "white"))
    proto.graph.node.insert(0, helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT))
    proto.graph.node.insert(1, helper.make_node("Div", ["pixels", "white"], ["scaled"]))
    return _described(proto, "images: uint8 [batch, 1, 28, 28], ink 255, paper 0; nothing to normalise")


def in_float16(proto: ModelProto) -> ModelProto:
    """The same model that computes with 16 bits; its inputs and outputs stay float32."""
    proto = convert_float_to_float16(proto, keep_io_types=True)
    nodes = sorted(proto.graph.node, key=lambda node: "images" not in node.input)  # the cast comes last; first is right
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def _described(proto: ModelProto, given: str) -> ModelProto:
    helper.set_model_props(proto, {each.key: each.value for each in proto.metadata_props} | {"input": given})
    return proto
