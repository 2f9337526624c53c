#!/usr/bin/env bash
# Since operator set 18, ONNX gives the axes of every reduction as a second input, not as an attribute any more. MNN's
# converter reads that input for ReduceSum, ReduceMax and ReduceMean. For ReduceLogSumExp, ReduceLogSum and ReduceL2 it
# converts without a word, and the result is one number: the reduction over all axes. With operator set 17, where the
# axes are an attribute, all are right. So the same network in a newer operator set is wrong in silence. MNN 3.6.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > reduced.py <<'PYTHON'
import subprocess, sys
import numpy as np
import MNN, onnx
from onnx import TensorProto, helper
x = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 10
right = {
    "ReduceSum": x.sum(1), "ReduceMax": x.max(1), "ReduceMean": x.mean(1),
    "ReduceLogSumExp": np.log(np.exp(x).sum(1)), "ReduceLogSum": np.log(x.sum(1)), "ReduceL2": np.sqrt((x**2).sum(1)),
}
for version in 17, 18:
    for operator, wanted in right.items():
        as_input = version == 18 or operator == "ReduceSum"  # whose axes are an input since 13
        axes = [helper.make_tensor("axes", TensorProto.INT64, [1], [1])] if as_input else []
        node = helper.make_node(operator, ["x"] + ["axes"] * as_input, ["y"], keepdims=0, **({} if as_input else {"axes": [1]}))
        ends = [helper.make_tensor_value_info(*each) for each in (("x", 1, ["n", 2, 3]), ("y", 1, ["n", 3]))]
        graph = helper.make_graph([node], "graph", ends[:1], ends[1:], axes)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, "a.onnx")
        convert = ["mnnconvert", "-f", "ONNX", "--modelFile", "a.onnx", "--MNNModel", "a.mnn", "--bizCode", "x"]
        subprocess.run(convert, check=True, capture_output=True)
        net = MNN.nn.load_module_from_file("a.mnn", ["x"], ["y"])
        found = MNN.expr.convert(net.forward([MNN.expr.const(x, x.shape)])[0], MNN.expr.NCHW).read()
        is_right = found.shape == wanted.shape and np.allclose(found, wanted, atol=1e-5)
        print(version, operator, "right" if is_right else f"wrong: shape {found.shape}")
PYTHON
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check MNN==3.6.1 onnx==1.23.2 numpy==2.4.6
said=$(PATH="$folder/environment/bin:$PATH" environment/bin/python reduced.py 2>/dev/null | grep -E '^1[78] ')
echo "$said"
wanted="17 ReduceSum right
17 ReduceMax right
17 ReduceMean right
17 ReduceLogSumExp right
17 ReduceLogSum right
17 ReduceL2 right
18 ReduceSum right
18 ReduceMax right
18 ReduceMean right
18 ReduceLogSumExp wrong: shape ()
18 ReduceLogSum wrong: shape ()
18 ReduceL2 wrong: shape ()"
[ "$said" = "$wanted" ] || { echo "this has changed"; exit 1; }
