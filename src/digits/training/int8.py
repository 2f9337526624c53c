"""Write an ONNX file that computes with 8-bit integers, if that costs no accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from atomic_files import atomic_path
from digits.data.batches import scaled
from digits.onnx_file import IR_VERSION, probabilities_of
from digits.run_folder import RunFolder
from digits.training.finish import data_of, evaluate_again
from plain_errors import ModelFileError

BOUND = 0.0005  # the largest loss of accuracy on the validation digits that is more than chance
CHANCE = 1.64  # standard deviations, which one of twenty losses by chance exceeds
LAYERS = ["Conv", "Gemm", "MatMul"]
CALIBRATION = 1000  # training digits that give the ranges of values


class Digits(CalibrationDataReader):
    """Images float32 [N, 1, 28, 28] for the quantisation, in batches."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.batches = iter(np.array_split(images, 10))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(({"images": batch} for batch in self.batches), None)


def export_int8(folder: RunFolder) -> tuple[Path, dict[str, float]]:
    """Write model.int8.onnx beside the model.onnx of a finished run.

    Returns:
        The new file, and how it differs from the checkpoint; its metadata hold these figures too.

    Raises:
        ModelFileError: more than BOUND of accuracy is lost, or there are no validation digits to measure it on.
    """
    path, result = folder.onnx, folder.int8
    evaluation, _ = evaluate_again(folder)
    data = data_of(folder.config())
    train, val, test = (
        scaled(each).numpy() for each in (data.train_images[:CALIBRATION], data.val_images, evaluation.images)
    )
    if not len(val):
        raise ModelFileError(f"{path}: no validation digits to measure what int8 costs; wanted data.val_size above 0")
    with atomic_path(result) as temporary:
        quant_pre_process(path, temporary, skip_symbolic_shape=True)
        # With 7 bits for weights no sum overflows: processors without VNNI add products up in 16 bits.
        options = {"activation_type": QuantType.QUInt8, "reduce_range": True, "per_channel": True}
        quantize_static(temporary, temporary, Digits(train), op_types_to_quantize=LAYERS, **options)
        _describe(temporary, path, {})
        before, after = (_is_right(probabilities_of(file, val), data.val_labels) for file in (path, temporary))
        # Q. McNemar, 1947: digits that only one of the two reads tell how large a difference is chance.
        if before.sum() - after.sum() > BOUND * len(val) + CHANCE * (before != after).sum() ** 0.5:
            raise ModelFileError(
                f"{path}: in int8 it reads {100 * after.mean():.2f} % of the validation digits, not "
                f"{100 * before.mean():.2f} %; wanted to lose at most {100 * BOUND:.2f} %, beside chance; "
                "nothing was written"
            )
        found, wanted = probabilities_of(temporary, test), evaluation.probabilities.numpy()
        facts = {"val_accuracy": after.mean(), "test_accuracy": _is_right(found, evaluation.labels).mean()}
        facts["max_abs_diff"] = float(np.abs(found - wanted).max())  # of probabilities
        facts["argmax_agreement"] = float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean())
        _describe(temporary, path, facts)
    return result, facts


def _is_right(probabilities: NDArray[np.float32], labels: Any) -> NDArray[np.bool_]:
    return np.asarray(probabilities.argmax(axis=1) == labels.numpy())


def _describe(quantised: Path, original: Path, facts: dict[str, float]) -> None:
    """Copy the metadata, and add facts."""
    model, old = onnx.load(quantised), {each.key: each.value for each in onnx.load(original).metadata_props}
    new = {"model": f"{old['model']} int8"} | {key: str(value) for key, value in facts.items()}
    _shorten_names(model.graph)
    model.ir_version, used = IR_VERSION, {"", *(node.domain for node in model.graph.node)}
    imports = [each for each in model.opset_import if each.domain in used]  # the quantiser names eight more
    del model.opset_import[:]
    model.opset_import.extend(imports)
    onnx.helper.set_model_props(model, old | new)
    onnx.save(model, quantised)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Give values and nodes short names or none, but for the outputs: names are a third of a small file."""
    public = [each.name for each in (*graph.input, *graph.output)]
    names = {name: name for name in ("", *public)}  # "" stands for an input that is left out
    for node in graph.node:
        node.name = next((name for name in node.output if name in public), "")
        for values in (node.input, node.output):
            values[:] = [names.setdefault(value, f"{len(names):x}") for value in values]
    for value in graph.initializer:
        value.name = names.setdefault(value.name, f"{len(names):x}")
    del graph.value_info[:]
