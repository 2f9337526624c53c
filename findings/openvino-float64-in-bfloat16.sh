#!/usr/bin/env bash
# A file that asks for 64-bit numbers gets 8 bits of mantissa. Where the processor has bfloat16, OpenVINO computes in it by
# default (INFERENCE_PRECISION_HINT), which its documentation says of 32-bit models. It is so for a file whose tensors are
# all double, too, without a word: the squared distance |x|² + |s|² - 2 x·s of two close points, from which kernels of
# support vector machines are made, is off by more than the distance itself. With the hint f32 it is right. OpenVINO 2026.4.
set -euo pipefail
grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo || { echo "this processor has no bfloat16: nothing can be seen here"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/distance.py" <<'PYTHON'
import sys
import numpy as np, onnx, openvino
from onnx import TensorProto as T, helper as h, numpy_helper
rng = np.random.default_rng(0)
support = rng.random((50, 1)) * 3
points = (support + rng.normal(0, 0.1, (50, 8))).T.copy()  # 8 points close to it
constants = {"s": support, "ss": (support**2).sum(keepdims=True), "two": np.array(2.0)}
nodes = [
    h.make_node("Mul", ["x", "x"], ["squares"]), h.make_node("MatMul", ["squares", "ones"], ["xx"]),
    h.make_node("MatMul", ["x", "s"], ["xs"]), h.make_node("Mul", ["xs", "two"], ["twice"]),
    h.make_node("Add", ["xx", "ss"], ["sum"]), h.make_node("Sub", ["sum", "twice"], ["distance"]),
]
constants["ones"] = np.ones((50, 1))
ends = [h.make_tensor_value_info("x", T.DOUBLE, [8, 50])], [h.make_tensor_value_info("distance", T.DOUBLE, [8, 1])]
weights = [numpy_helper.from_array(np.asarray(value, np.float64), name) for name, value in constants.items()]
model = h.make_model(h.make_graph(nodes, "g", *ends, weights), opset_imports=[h.make_opsetid("", 18)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, sys.argv[1])
right = ((points - support.T) ** 2).sum(axis=1, keepdims=True)
for name, hint in (("default", {}), ("f32", {"INFERENCE_PRECISION_HINT": "f32"})):
    found = openvino.compile_model(sys.argv[1], "CPU", hint)(points)["distance"]
    error = abs(found - right).max()
    print(f"{name}: {found.dtype}, distances {right.min():.1f} to {right.max():.1f}, error {error:.1g}", file=sys.stderr)
    print(name, found.dtype, "more than the distance" if error > right.max() else "less than 0.001" if error < 1e-3 else "else")
PYTHON
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
said=$("$folder/environment/bin/python" "$folder/distance.py" "$folder/model.onnx")
echo "$said"
wanted="default float64 more than the distance
f32 float64 less than 0.001"
[ "$said" = "$wanted" ] || { echo "this has changed"; exit 1; }
