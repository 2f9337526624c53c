#!/usr/bin/env bash
# convert_float_to_float16(model, keep_io_types=True) adds a Cast after the input and one before each output, and puts
# all of them at the end of the list of nodes. ONNX wants a node after those whose values it takes: onnx.checker refuses
# the file. ONNX Runtime sorts nodes itself, so it runs it, and other engines need not. onnxruntime 1.23 to 1.30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/half.py" <<'PYTHON'
import numpy as np, onnx, onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
ends = [helper.make_tensor_value_info(name, 1, ["n", 3]) for name in "xy"]
two = numpy_helper.from_array(np.array(2, np.float32), "two")
graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "graph", ends[:1], ends[1:], [two])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
half = convert_float_to_float16(model, keep_io_types=True)
try:
    onnx.checker.check_model(half)
    print("sorted")
except onnx.checker.ValidationError:
    session = onnxruntime.InferenceSession(half.SerializeToString())
    print([node.op_type for node in half.graph.node], *session.run(None, {"x": np.ones((1, 3), np.float32)})[0][0])
PYTHON
for version in 1.23.2 1.30.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==$version" onnx packaging
  said=$("$folder/$version/bin/python" "$folder/half.py" 2> /dev/null)
  echo "onnxruntime $version: $said"
  [ "$said" = "['Mul', 'Cast', 'Cast'] 2.0 2.0 2.0" ] || { echo "this has changed"; exit 1; }
done
