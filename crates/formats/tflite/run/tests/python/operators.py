"""Builds one small model for each operator and runs it in LiteRT's interpreter, with and without XNNPACK.

    operators.py FOLDER

Writes FOLDER/NAME.tflite and FOLDER/cases.json: for each name the inputs and what both sets of kernels make of them.
"""

import json
import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as fb
from flatbuffers import flexbuffers

OP, KIND = fb.BuiltinOperator, fb.TensorType
KINDS = {"float32": KIND.FLOAT32, "float16": KIND.FLOAT16, "int32": KIND.INT32, "int8": KIND.INT8, "bool": KIND.BOOL}
NOISE = np.random.default_rng(20)


class Graph:
    """A subgraph of a file that is being written."""

    def __init__(self, file, name):
        self.file, self.name = file, name
        self.tensors, self.nodes, self.inputs, self.outputs = [], [], {}, {}

    def tensor(self, shape, kind, name="", buffer=0, quantization=None):
        name = name or f"{self.name}:{len(self.tensors)}"
        tensor = fb.TensorT(shape=np.array(shape, np.int32), type=kind, buffer=buffer, name=name)
        tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(self, name, shape, kind=KIND.FLOAT32):
        self.inputs[name] = self.tensor(shape, kind, name)
        return self.inputs[name]

    def const(self, values, kind=None, shape=None, quantization=None):
        values = np.ascontiguousarray(values)
        kind = KINDS[str(values.dtype)] if kind is None else kind
        return self.tensor(values.shape if shape is None else shape, kind, "", self.file.buffer(values), quantization)

    def node(self, op, inputs, shapes, kinds=KIND.FLOAT32, options=None, version=1, second=None):
        """Adds a node; `shapes` is one shape or a list of them. Gives its outputs."""
        many = isinstance(shapes, list) and shapes and isinstance(shapes[0], (list, tuple))
        shapes = shapes if many else [shapes]
        kinds = kinds if isinstance(kinds, list) else [kinds] * len(shapes)
        made = [self.tensor(shape, kind) for shape, kind in zip(shapes, kinds)]
        node = fb.OperatorT(self.file.operator(op, version), np.array(inputs, np.int32), np.array(made, np.int32))
        if options is not None:
            node.builtinOptionsType = getattr(fb.BuiltinOptions, type(options).__name__[:-1])
            node.builtinOptions = options
        if second is not None:
            node.builtinOptions2Type = getattr(fb.BuiltinOptions2, type(second).__name__[:-1])
            node.builtinOptions2 = second
        self.nodes.append(node)
        return made if many else made[0]


class File:
    def __init__(self):
        self.buffers, self.graphs, self.operators = [b""], [], []

    def buffer(self, values):
        self.buffers.append(values.tobytes())
        return len(self.buffers) - 1

    def graph(self, name="main"):
        self.graphs.append(Graph(self, name))
        return self.graphs[-1]

    def operator(self, op, version):
        if (op, version) not in self.operators:
            self.operators.append((op, version))
        return self.operators.index((op, version))

    def bytes(self):
        codes = [fb.OperatorCodeT(min(op, 127), None, version, op) for op, version in self.operators]
        ints = lambda values: np.array(list(values), np.int32)
        graphs = [fb.SubGraphT(g.tensors, ints(g.inputs.values()), ints(g.outputs.values()), g.nodes, g.name) for g in self.graphs]
        names = lambda of: [fb.TensorMapT(name, index) for name, index in of.items()]
        main = self.graphs[0]
        signature = fb.SignatureDefT(names(main.inputs), names(main.outputs), "main", 0)
        buffers = [fb.BufferT(np.frombuffer(b, np.uint8) if b else None) for b in self.buffers]
        model = fb.ModelT(3, codes, graphs, "lfmq", buffers, signatureDefs=[signature])
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


# ------------------------------------------------------------------------------------------------ cases

CASES = {}


def case(name, inputs, plain=True):
    """Registers a builder: it gets a graph and its inputs and gives outputs. `plain`: the builtin kernels agree too."""

    def register(build):
        CASES[name] = (inputs, build, plain)
        return build

    return register


def floats(*shape, scale=1.0):
    return (NOISE.standard_normal(shape) * scale).astype(np.float32)


def ints(*shape, low=0, high=10):
    return NOISE.integers(low, high, shape).astype(np.int32)


def set_options(kind, **fields):
    options = kind()
    for name, value in fields.items():
        setattr(options, name, value)
    return options


BINARY = {
    "ADD": fb.AddOptionsT, "SUB": fb.SubOptionsT, "MUL": fb.MulOptionsT, "DIV": fb.DivOptionsT,
    "MAXIMUM": fb.MaximumMinimumOptionsT, "MINIMUM": fb.MaximumMinimumOptionsT,
    "SQUARED_DIFFERENCE": fb.SquaredDifferenceOptionsT,
}
for op, options in BINARY.items():
    for label, a, b, out in [
        ("same", (1, 3, 40), (1, 3, 40), (1, 3, 40)), ("row", (1, 3, 40), (40,), (1, 3, 40)),
        ("column", (1, 3, 40), (1, 3, 1), (1, 3, 40)), ("scalar", (2, 40), (1,), (2, 40)),
        ("middle", (1, 2, 3, 8), (1, 2, 1, 8), (1, 2, 3, 8)), ("left", (1, 3, 1), (1, 3, 40), (1, 3, 40)),
        ("long", (1, 130, 100), (1, 130, 100), (1, 130, 100)),
    ]:
        if label == "same" or op in ("ADD", "SUB", "MUL", "DIV"):
            @case(f"{op}-{label}", {"a": floats(*a), "b": floats(*b) + 3})
            def build(g, a, b, op=op, options=options, out=out):
                return g.node(getattr(OP, op), [a, b], list(out), options=options())

for op in ("ADD", "SUB", "MUL"):
    @case(f"{op}-int", {"a": ints(2, 5), "b": ints(5)})
    def build(g, a, b, op=op):
        return g.node(getattr(OP, op), [a, b], [2, 5], KIND.INT32, BINARY[op]())

for op, options in [
    ("GREATER", fb.GreaterOptionsT), ("GREATER_EQUAL", fb.GreaterEqualOptionsT), ("LESS", fb.LessOptionsT),
    ("LESS_EQUAL", fb.LessEqualOptionsT), ("EQUAL", fb.EqualOptionsT), ("NOT_EQUAL", fb.NotEqualOptionsT),
]:
    for kind, values in [("float", floats(3, 4).round()), ("int", ints(3, 4, high=3))]:
        @case(f"{op}-{kind}", {"a": values, "b": values[:1].copy()})
        def build(g, a, b, op=op, options=options):
            return g.node(getattr(OP, op), [a, b], [3, 4], KIND.BOOL, options())

UNARY = {
    "LOGISTIC": None, "SIN": None, "COS": fb.CosOptionsT, "RSQRT": None, "SQRT": None, "EXP": fb.ExpOptionsT,
    "TANH": None, "NEG": fb.NegOptionsT, "ABS": fb.AbsOptionsT, "SQUARE": fb.SquareOptionsT, "RELU": None, "LOG": None,
}
for op, options in UNARY.items():
    values = floats(1, 3, 77, scale=3)
    values = np.abs(values) + 0.1 if op in ("RSQRT", "SQRT", "LOG") else values

    @case(op, {"x": values})
    def build(g, x, op=op, options=options):
        return g.node(getattr(OP, op), [x], [1, 3, 77], options=options and options())

for label, wide in [("short", 40), ("long", 3000)]:
    @case(f"SOFTMAX-{label}", {"x": floats(1, 2, 3, wide, scale=4)})
    def build(g, x, wide=wide):
        return g.node(OP.SOFTMAX, [x], [1, 2, 3, wide], options=set_options(fb.SoftmaxOptionsT, beta=1.0))

HIDDEN = np.float32(-0.7 * np.finfo(np.float32).max)


@case("SOFTMAX-masked", {"x": np.where(np.arange(50) < 20, floats(2, 50), HIDDEN).astype(np.float32)})
def build(g, x):
    return g.node(OP.SOFTMAX, [x], [2, 50], options=set_options(fb.SoftmaxOptionsT, beta=1.0))


for op in ("MEAN", "SUM", "REDUCE_MAX"):
    for label, axes, keep, out in [
        ("last", [2], True, [2, 3, 1]), ("drop", [2], False, [2, 3]), ("first", [0], False, [3, 70]),
        ("two", [0, 1], False, [70]), ("middle", [1], True, [2, 1, 70]),
    ]:
        @case(f"{op}-{label}", {"x": floats(2, 3, 70)})
        def build(g, x, op=op, axes=axes, keep=keep, out=out):
            options = set_options(fb.ReducerOptionsT, keepDims=keep)
            return g.node(getattr(OP, op), [x, g.const(np.array(axes, np.int32))], out, options=options)


@case("REDUCE_MAX-int", {"x": ints(9)})
def build(g, x):
    options = set_options(fb.ReducerOptionsT, keepDims=True)
    return g.node(OP.REDUCE_MAX, [x, g.const(np.array([0], np.int32))], [1], KIND.INT32, options)


@case("SUM-int", {"x": ints(9)})
def build(g, x):
    options = set_options(fb.ReducerOptionsT, keepDims=True)
    return g.node(OP.SUM, [x, g.const(np.array([0], np.int32))], [1], KIND.INT32, options)


def shaped(g, shape):
    return g.const(np.array(shape, np.int32))


@case("RESHAPE", {"x": floats(2, 6)})
def build(g, x):
    options = set_options(fb.ReshapeOptionsT, newShape=np.array([3, 4], np.int32))
    y = g.node(OP.RESHAPE, [x, shaped(g, [3, 4])], [3, 4], options=options)
    return g.node(OP.NEG, [y], [3, 4], options=fb.NegOptionsT())


for label, order in [("heads", [0, 2, 1, 3]), ("last", [0, 2, 3, 1]), ("matrix", [1, 0])]:
    shape = [2, 3] if len(order) == 2 else [1, 5, 3, 4]

    @case(f"TRANSPOSE-{label}", {"x": floats(*shape)})
    def build(g, x, order=order, shape=shape):
        out = [shape[i] for i in order]
        return g.node(OP.TRANSPOSE, [x, shaped(g, order)], out, options=fb.TransposeOptionsT())


for label, begin, size in [("rows", [1, 0], [2, 8]), ("columns", [0, 3], [4, 5]), ("rest", [2, 6], [-1, -1])]:
    @case(f"SLICE-{label}", {"x": floats(4, 8)})
    def build(g, x, begin=begin, size=size):
        out = [e - b if s == -1 else s for b, s, e in zip(begin, size, [4, 8])]
        y = g.node(OP.SLICE, [x, shaped(g, begin), shaped(g, size)], out, options=fb.SliceOptionsT())
        return g.node(OP.NEG, [y], out, options=fb.NegOptionsT())


@case("SLICE-moving", {"x": floats(4, 8), "at": np.array([1, 2], np.int32)})
def build(g, x, at):
    return g.node(OP.SLICE, [x, at, shaped(g, [2, 5])], [2, 5], options=fb.SliceOptionsT())


@case("STRIDED_SLICE", {"x": floats(4, 9)})
def build(g, x):
    options = set_options(fb.StridedSliceOptionsT, beginMask=0, endMask=2, shrinkAxisMask=1)
    at = [shaped(g, [1, 2]), shaped(g, [2, 0]), shaped(g, [1, 3])]
    return g.node(OP.STRIDED_SLICE, [x, *at], [3], options=options)


for axis in (0, 1, 2):
    @case(f"CONCATENATION-{axis}", {"a": floats(2, 3, 4), "b": floats(2, 3, 4)})
    def build(g, a, b, axis=axis):
        out = [2, 3, 4]
        out[axis] *= 2
        return g.node(OP.CONCATENATION, [a, b], out, options=set_options(fb.ConcatenationOptionsT, axis=axis))

    @case(f"SPLIT-{axis}", {"x": floats(6, 6, 6)})
    def build(g, x, axis=axis):
        out = [6, 6, 6]
        out[axis] = 2
        parts = g.node(OP.SPLIT, [shaped(g, axis), x], [out] * 3, options=set_options(fb.SplitOptionsT, numSplits=3))
        return [g.node(OP.NEG, [part], out, options=fb.NegOptionsT()) for part in parts]


@case("CONCATENATION-ints", {"at": ints(1)})
def build(g, at):
    zero = g.const(np.zeros(1, np.int32))
    options = set_options(fb.ConcatenationOptionsT, axis=0)
    return g.node(OP.CONCATENATION, [zero, zero, at, zero], [4], KIND.INT32, options)


@case("PACK", {"a": floats(2, 3), "b": floats(2, 3)})
def build(g, a, b):
    return g.node(OP.PACK, [a, b], [2, 2, 3], options=set_options(fb.PackOptionsT, valuesCount=2, axis=1))


for label, axis, out in [("rows", 0, [3, 4]), ("middle", 1, [5, 3])]:
    @case(f"GATHER-{label}", {"x": floats(5, 4), "at": np.array([3, 0, 3], np.int32)})
    def build(g, x, at, axis=axis, out=out):
        return g.node(OP.GATHER, [x, at], out, options=set_options(fb.GatherOptionsT, axis=axis), version=2)


for label, at in [("inside", [0, 1, 2]), ("past", [0, 9, 9]), ("before", [-3, 0, 1])]:
    @case(f"DYNAMIC_UPDATE_SLICE-{label}", {"x": floats(2, 5, 6), "new": floats(2, 2, 3)})
    def build(g, x, new, at=at):
        return g.node(OP.DYNAMIC_UPDATE_SLICE, [x, new, shaped(g, at)], [2, 5, 6], options=fb.DynamicUpdateSliceOptionsT())


@case("DYNAMIC_UPDATE_SLICE-over", {"x": floats(1, 5, 6), "new": floats(1, 1, 6), "at": np.array([0, 3, 0], np.int32)})
def build(g, x, new, at):
    # The operand is a value of the graph that nothing reads afterwards: it may be written over.
    y = g.node(OP.NEG, [x], [1, 5, 6], options=fb.NegOptionsT())
    return g.node(OP.DYNAMIC_UPDATE_SLICE, [y, new, at], [1, 5, 6], options=fb.DynamicUpdateSliceOptionsT())


@case("TOPK_V2", {"x": floats(1, 4, 9)})
def build(g, x):
    shapes = [[1, 4, 3], [1, 4, 3]]
    return g.node(OP.TOPK_V2, [x, shaped(g, 3)], shapes, [KIND.FLOAT32, KIND.INT32], fb.TopKV2OptionsT())


@case("TOPK_V2-ties", {"x": np.array([[1, 2, 2, 1, 2]], np.float32)})
def build(g, x):
    shapes = [[1, 4], [1, 4]]
    return g.node(OP.TOPK_V2, [x, shaped(g, 4)], shapes, [KIND.FLOAT32, KIND.INT32], fb.TopKV2OptionsT())


@case("ONE_HOT", {"x": np.array([[0, 4], [2, 7]], np.int32)})
def build(g, x):
    values = [shaped(g, 5), g.const(np.array(1, np.float32)), g.const(np.array(0, np.float32))]
    return g.node(OP.ONE_HOT, [x, *values], [2, 2, 5], options=set_options(fb.OneHotOptionsT, axis=-1))


for label, values, kind in [
    ("int-float", ints(7), KIND.FLOAT32), ("float-int", floats(7, scale=5), KIND.INT32),
    ("bool-int", floats(7) > 0, KIND.INT32),
]:
    @case(f"CAST-{label}", {"x": values})
    def build(g, x, values=values, kind=kind):
        options = set_options(fb.CastOptionsT, inDataType=KINDS[str(values.dtype)], outDataType=kind)
        return g.node(OP.CAST, [x], [7], kind, options)


@case("SELECT_V2", {"which": floats(3, 4) > 0, "yes": floats(3, 4), "no": floats(1, 4)})
def build(g, which, yes, no):
    return g.node(OP.SELECT_V2, [which, yes, no], [3, 4], options=fb.SelectV2OptionsT())


for label, turned, a, b in [
    ("rows", True, (1, 4, 6, 16), (1, 4, 50, 16)), ("columns", False, (1, 4, 6, 16), (1, 4, 16, 50)),
    ("broadcast", True, (3, 1, 16), (1, 50, 16)), ("tall", True, (1, 2, 70, 33), (1, 2, 40, 33)),
]:
    @case(f"BATCH_MATMUL-{label}", {"a": floats(*a), "b": floats(*b)})
    def build(g, a_, b_, turned=turned, a=a, b=b):
        out = [max(x, y) for x, y in zip(a[:-2], b[:-2])] + [a[-2], 50 if b[-2] == 50 or b[-1] == 50 else 40]
        options = set_options(fb.BatchMatMulOptionsT, adjX=False, adjY=turned, asymmetricQuantizeInputs=False)
        return g.node(OP.BATCH_MATMUL, [a_, b_], out, options=options)


# Softmax attention under a mask, as one chain and with a value of its middle kept.
VISIBLE = np.arange(100)[None] <= np.minimum(np.arange(40)[:, None] + 3, 42)
for label, kept, seen in [("chain", False, VISIBLE), ("kept", True, VISIBLE), ("blind", False, VISIBLE & (np.arange(40)[:, None] % 7 > 0))]:
    mask = np.where(seen, np.float32(0), HIDDEN)[None, None].astype(np.float32)

    @case(f"BATCH_MATMUL-attention-{label}", {"q": floats(1, 2, 40, 16), "k": floats(1, 2, 100, 16), "v": floats(1, 2, 16, 100), "mask": mask})
    def build(g, q, k, v, mask, kept=kept):
        options = lambda: set_options(fb.BatchMatMulOptionsT, adjX=False, adjY=True, asymmetricQuantizeInputs=False)
        scores = g.node(OP.BATCH_MATMUL, [q, k], [1, 2, 40, 100], options=options())
        scores = g.node(OP.ADD, [scores, mask], [1, 2, 40, 100], options=fb.AddOptionsT())
        soft = g.node(OP.SOFTMAX, [scores], [1, 2, 40, 100], options=set_options(fb.SoftmaxOptionsT, beta=1.0))
        out = g.node(OP.BATCH_MATMUL, [soft, v], [1, 2, 40, 16], options=options())
        return [out, soft] if kept else out


for biased in (False, True):
    @case(f"DEPTHWISE_CONV_2D-{'bias' if biased else 'plain'}", {"x": floats(1, 1, 10, 24)})
    def build(g, x, biased=biased):
        options = set_options(
            fb.DepthwiseConv2DOptionsT, padding=fb.Padding.VALID, strideW=1, strideH=1, depthMultiplier=1,
            dilationWFactor=1, dilationHFactor=1,
        )
        bias = g.const(floats(24) if biased else np.zeros(24, np.float32))
        return g.node(OP.DEPTHWISE_CONV_2D, [x, g.const(floats(1, 1, 3, 24)), bias], [1, 1, 8, 24], options=options)


# Weights in every form, and activations that are of one sign, zero, or far apart.


def packed(codes, bits):
    per = 8 // bits
    lanes = (codes.astype(np.int16) & (2**bits - 1)).reshape(-1, per)
    return (lanes << (np.arange(per) * bits)).sum(1).astype(np.uint8)


def weights(g, form, rows, cols):
    """A tensor of random weights: `i8`, `i8t`, `i4`, `i2`, `i4b32` and so on, `f32`, `f16`."""
    if form in ("f32", "f16"):
        return g.const(floats(rows, cols).astype({"f32": np.float32, "f16": np.float16}[form]))
    bits = int(form[1])
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    codes = NOISE.integers(low, high, (rows, cols))
    kind = {8: KIND.INT8, 4: KIND.INT4, 2: KIND.INT2}[bits]
    values = codes.astype(np.int8) if bits == 8 else packed(codes, bits)
    quantization = fb.QuantizationParametersT(quantizedDimension=0)
    if "b" in form:
        block = int(form.split("b")[1])
        scales = NOISE.uniform(0.01, 0.05, (rows, cols // block)).astype(np.float32)
        # Eight significant bits, as XNNPACK keeps them.
        scales = (scales.view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float16)
        quantization.detailsType = fb.QuantizationDetails.BlockwiseQuantization
        quantization.details = fb.BlockwiseQuantizationT(g.const(scales), -1, block)
    else:
        count = 1 if form.endswith("t") else rows
        quantization.scale = NOISE.uniform(0.005, 0.02, count).astype(np.float32)
        quantization.zeroPoint = np.zeros(count, np.int64)
    return g.const(values, kind, [rows, cols], quantization)


def product(g, x, w, shape, biased=None, version=12, keep=True):
    options = set_options(fb.FullyConnectedOptionsT, keepNumDims=keep, asymmetricQuantizeInputs=True)
    inputs = [x, w] if biased is None else [x, w, biased]
    return g.node(OP.FULLY_CONNECTED, inputs, shape, options=options, version=version)


def activations(n, cols):
    x = floats(1, n, cols)
    x[0, 1 % n] = np.abs(x[0, 1 % n])
    x[0, 2 % n] = -np.abs(x[0, 2 % n])
    x[0, 3 % n] = 0
    x[0, 4 % n, 0] = 300
    return x


for form, rows, cols, plain in [
    ("f32", 33, 64, True), ("i8", 33, 64, False), ("i8", 40, 50, False), ("i8t", 33, 64, False), ("i4", 33, 64, False),
    ("i4b32", 33, 96, False), ("i4b64", 32, 128, False), ("i4b128", 17, 256, False), ("i4b256", 16, 512, False),
    ("i2", 32, 64, False),
]:
    for n in (1, 5, 37):
        @case(f"FULLY_CONNECTED-{form}-{rows}x{cols}-{n}", {"x": activations(n, cols)}, plain)
        def build(g, x, form=form, rows=rows, cols=cols, n=n):
            version = 14 if form == "i2" else 12 if form != "f32" else 6
            return product(g, x, weights(g, form, rows, cols), [1, n, rows], version=version)


@case("FULLY_CONNECTED-bias", {"x": activations(5, 64)}, False)
def build(g, x):
    return product(g, x, weights(g, "i8", 33, 64), [1, 5, 33], g.const(floats(33)))


@case("FULLY_CONNECTED-flat", {"x": activations(5, 64)}, False)
def build(g, x):
    return product(g, x, weights(g, "i8", 33, 64), [5, 33], keep=False)


@case("FULLY_CONNECTED-shared", {"x": activations(5, 64)}, False)
def build(g, x):
    return [product(g, x, weights(g, form, 33, 64), [1, 5, 33]) for form in ("i8", "i4b32")]


@case("DEQUANTIZE-f16", {"x": floats(1, 5, 64)})
def build(g, x):
    w = g.node(OP.DEQUANTIZE, [weights(g, "f16", 33, 64)], [33, 64], options=fb.DequantizeOptionsT(), version=3)
    return product(g, x, w, [1, 5, 33], version=6)


for form in ("f32", "i8", "i4", "i4b32"):
    @case(f"EMBEDDING_LOOKUP-{form}", {"ids": np.array([3, 0, 19, 3], np.int32)})
    def build(g, ids, form=form):
        version = 1 if form == "f32" else 4
        return g.node(OP.EMBEDDING_LOOKUP, [ids, weights(g, form, 20, 64)], [4, 64], version=version)


def branching(yes):
    @case(f"IF-{yes}", {"x": floats(1, 3, 8), "acc": floats(1, 3, 8), "on": np.array([yes])})
    def build(g, x, acc, on):
        then, other = g.file.graph("then"), g.file.graph("other")
        a, b = then.input("a", [1, 3, 8]), then.input("b", [1, 3, 8])
        double = then.node(OP.MUL, [b, b], [1, 3, 8], options=fb.MulOptionsT())
        then.outputs["y"] = then.node(OP.ADD, [a, double], [1, 3, 8], options=fb.AddOptionsT())
        a, _ = other.input("a", [1, 3, 8]), other.input("b", [1, 3, 8])
        other.outputs["y"] = a
        first = g.node(OP.NEG, [acc], [1, 3, 8], options=fb.NegOptionsT())
        choose = lambda acc: g.node(
            OP.IF, [on, acc, x], [1, 3, 8], options=set_options(fb.IfOptionsT, thenSubgraphIndex=1, elseSubgraphIndex=2)
        )
        # Twice: what the branches read must still be there the second time.
        return g.node(OP.ADD, [choose(choose(first)), x], [1, 3, 8], options=fb.AddOptionsT())


branching(True)
branching(False)


@case("STABLEHLO_COMPOSITE", {"x": floats(1, 3, 8)})
def build(g, x):
    inside = g.file.graph("odml.rms_norm.impl")
    a = inside.input("a", [1, 3, 8])
    square = inside.node(OP.MUL, [a, a], [1, 3, 8], options=fb.MulOptionsT())
    options = set_options(fb.ReducerOptionsT, keepDims=True)
    mean = inside.node(OP.MEAN, [square, inside.const(np.array([2], np.int32))], [1, 3, 1], options=options)
    inside.outputs["y"] = inside.node(OP.MUL, [a, mean], [1, 3, 8], options=fb.MulOptionsT())
    second = set_options(fb.StableHLOCompositeOptionsT, name="odml.rms_norm", decompositionSubgraphIndex=1, version=1)
    second.compositeAttributes = np.frombuffer(flexbuffers.Dumps({"epsilon": 0.0}), np.uint8)
    return g.node(OP.STABLEHLO_COMPOSITE, [x], [1, 3, 8], second=second)


# ------------------------------------------------------------------------------------------------ running


def run(path, kernels, inputs):
    model = litert.Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kernels)
    return model.get_signature_runner("main")(**inputs)


def spelled(values):
    return {"kind": str(values.dtype), "values": np.asarray(values).reshape(-1).tolist()}


def main():
    folder = Path(sys.argv[1])
    report = {}
    for name, (inputs, build, plain) in CASES.items():
        file = File()
        g = file.graph()
        made = build(g, *[g.input(key, value.shape, KINDS[str(value.dtype)]) for key, value in inputs.items()])
        g.outputs = {f"y{i}": y for i, y in enumerate(made if isinstance(made, list) else [made])}
        path = folder / f"{name}.tflite"
        path.write_bytes(file.bytes())
        resolvers = {"xnnpack": litert.OpResolverType.AUTO}
        if plain:
            resolvers["builtin"] = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        report[name] = {
            "inputs": {key: spelled(value) for key, value in inputs.items()},
            "outputs": {
                kernels: {key: spelled(value) for key, value in run(path, resolver, inputs).items()}
                for kernels, resolver in resolvers.items()
            },
        }
    (folder / "cases.json").write_text(json.dumps(report))


main()
