"""Weights as int8 in blocks, arithmetic row by row: vectors do not depend on their batch-mates.

Each 16 numbers of a matrix's column have a scale. Matrices become ONNX Runtime's MatMulNBits
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmatmulnbits), which
computes on int8 and therefore gives each 16 numbers of an activation's row a scale too; or, for models that
this rounds too much, they are multiplied out once, when the model is loaded. Embedding tables are read as
int8 rows with a scale each; convolutions are multiplied out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

__all__ = ["BLOCK", "quantize_weights"]

BLOCK = 16
"""Numbers of a column with one scale: with 32, all-MiniLM-L6-v2 stays under a cosine of 0.999."""

_ZERO = 128
_SMALLEST = 4096
"""Tensors of fewer numbers stay as they are: they are no size, and often matter most."""


def quantize_weights(model: onnx.ModelProto, *, float_arithmetic: bool = False) -> None:
    """Replace the large float32 weights of a model by int8, in place.

    Args:
        model: an ONNX model with its weights in memory.
        float_arithmetic: multiply matrices out when the model is loaded, instead of computing on int8.
    """
    _Quantizer(model, float_arithmetic).run()


class _Quantizer:
    def __init__(self, model: onnx.ModelProto, float_arithmetic: bool) -> None:
        self._model = model
        self._float_arithmetic = float_arithmetic
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self._nodes: list[Any] = []
        self._made: dict[str, list[str]] = {}
        self._dropped: set[str] = set()

    def run(self) -> None:
        for node in self._model.graph.node:
            if not self._replaced(node):
                self._nodes.append(node)
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._tensors.values() if tensor.name in used]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        if any(node.domain == "com.microsoft" for node in self._nodes) and not any(
            entry.domain == "com.microsoft" for entry in self._model.opset_import
        ):
            self._model.opset_import.add(domain="com.microsoft", version=1)

    def _replaced(self, node: Any) -> bool:
        if node.op_type == "MatMul" and (weight := self._weight(node.input[1], rank=2)) is not None:
            self._matrix(node, weight, node.output[0])
            return True
        if node.op_type == "Gemm" and (weight := self._weight(node.input[1], rank=2)) is not None:
            return self._gemm(node, weight)
        if node.op_type == "Gather" and (table := self._weight(node.input[0], rank=2)) is not None:
            return self._gather(node, table)
        if node.op_type == "Conv" and (kernel := self._weight(node.input[1], rank=4)) is not None:
            self._convolution(node, kernel)
        return False

    def _weight(self, name: str, *, rank: int) -> npt.NDArray[np.float32] | None:
        from onnx import TensorProto, numpy_helper

        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != rank:
            return None
        if int(np.prod(tensor.dims)) < _SMALLEST:
            return None
        array: npt.NDArray[np.float32] = numpy_helper.to_array(tensor)
        return array

    def _release(self, name: str) -> None:
        """Give back the memory of a tensor that nothing else reads: a model's weights are gigabytes."""
        if self._uses[name] == 1:
            self._tensors.pop(name).ClearField("raw_data")

    def _add(self, name: str, array: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _matrix(self, node: Any, weight: npt.NDArray[np.float32], output: str) -> None:
        """Write the product with weights of shape (k, n)."""
        from onnx import helper

        depth, width = weight.shape
        name = node.input[1]
        if name not in self._made:
            blocks = -(-depth // BLOCK)
            columns = np.zeros((width, blocks * BLOCK), dtype=np.float32)
            columns[:, :depth] = weight.T
            numbers, scales = _rounded(columns.reshape(width, blocks, BLOCK))
            self._release(name)
            if self._float_arithmetic:
                self._made[name] = [self._multiplied_out(name, numbers, scales, depth)]
            else:  # stored as (n, blocks, 16), uint8 around 128
                self._made[name] = [
                    self._add(f"{name}_int8", (numbers.astype(np.int16) + _ZERO).astype(np.uint8)),
                    self._add(f"{name}_scales", scales.reshape(width * blocks)),
                ]
        if self._float_arithmetic:
            self._nodes.append(helper.make_node("MatMul", [node.input[0], *self._made[name]], [output]))
            return
        settings = {"K": depth, "N": width, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        inputs = [node.input[0], *self._made[name]]
        self._nodes.append(
            helper.make_node("MatMulNBits", inputs, [output], domain="com.microsoft", **settings)
        )

    def _multiplied_out(
        self, name: str, numbers: npt.NDArray[np.int8], scales: npt.NDArray[np.float32], depth: int
    ) -> str:
        """Write the nodes that make the matrix (k, n) of its blocks (n, blocks, 16): all of them constant."""
        from onnx import TensorProto, helper

        width = len(numbers)
        whole = f"{name}_columns"
        self._nodes += [
            helper.make_node(
                "Cast", [self._add(f"{name}_int8", numbers)], [f"{name}_float"], to=TensorProto.FLOAT
            ),
            helper.make_node(
                "Mul", [f"{name}_float", self._add(f"{name}_scales", scales)], [f"{name}_blocks"]
            ),
            helper.make_node(
                "Reshape", [f"{name}_blocks", self._add(f"{name}_shape", np.array([width, -1]))], [whole]
            ),
        ]
        if numbers[0].size != depth:
            ends = [self._add(f"{name}_{part}", np.array([at])) for part, at in (("from", 0), ("to", depth))]
            axis = self._add(f"{name}_axis", np.array([1]))
            self._nodes.append(helper.make_node("Slice", [whole, *ends, axis], [f"{name}_cut"]))
            whole = f"{name}_cut"
        self._nodes.append(helper.make_node("Transpose", [whole], [f"{name}_whole"], perm=[1, 0]))
        return f"{name}_whole"

    def _gemm(self, node: Any, weight: npt.NDArray[np.float32]) -> bool:
        from onnx import helper

        settings = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        plain = all(settings.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
        if not plain or settings.get("transA") or self._uses[node.input[1]] > 1:
            return False
        biased = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}_product" if biased else node.output[0]
        self._matrix(node, weight.T if settings.get("transB") else weight, product)
        if biased:
            self._nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]]))
        return True

    def _gather(self, node: Any, table: npt.NDArray[np.float32]) -> bool:
        from onnx import TensorProto, helper

        if any(entry.name == "axis" and entry.i != 0 for entry in node.attribute):
            return False
        name, ids, output = node.input[0], node.input[1], node.output[0]
        if name not in self._made:
            numbers, scales = _rounded(table)
            self._release(name)
            self._made[name] = [self._add(f"{name}_int8", numbers), self._add(f"{name}_scales", scales)]
        numbers_name, scales_name = self._made[name]
        self._nodes += [
            helper.make_node("Gather", [numbers_name, ids], [f"{output}_int8"]),
            helper.make_node("Cast", [f"{output}_int8"], [f"{output}_float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [scales_name, ids], [f"{output}_scales"]),
            helper.make_node("Mul", [f"{output}_float", f"{output}_scales"], [output]),
        ]
        return True

    def _convolution(self, node: Any, kernel: npt.NDArray[np.float32]) -> None:
        """Put the kernel's dequantisation before the node: the runtime does it once, when it loads."""
        from onnx import TensorProto, helper

        name = node.input[1]
        if name not in self._made:
            numbers, scales = _rounded(kernel.reshape(len(kernel), -1))
            self._release(name)
            self._add(f"{name}_int8", numbers.reshape(kernel.shape))
            self._add(f"{name}_scales", scales.reshape(-1, *[1] * (kernel.ndim - 1)))
            self._made[name] = [f"{name}_whole"]
            self._nodes += [
                helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}_float", f"{name}_scales"], [f"{name}_whole"]),
            ]
        node.input[1] = self._made[name][0]


def _rounded(
    array: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 numbers and scales, one for each row of the last axis, so that numbers × scales ≈ array."""
    scales = np.abs(array).max(axis=-1, keepdims=True) / np.float32(127)
    safe = np.where(scales > 0, scales, np.float32(1))
    return np.rint(array / safe).astype(np.int8), safe.astype(np.float32)
