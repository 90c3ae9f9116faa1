#!/usr/bin/env python3
"""Makes tests/operators/*.onnx: one node each, with what ONNX Runtime's CPU provider gives for random inputs.

    python operators.py          (numpy, onnx 1.23, onnxruntime 1.31)

The values fed lie in the file as initializers `feed/<input>`, the results as `want/<output>`; no node reads them.
"""
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper, numpy_helper

OUT = Path(__file__).parent / "operators"
rng = np.random.default_rng(20261121)
F, H = np.float32, np.float16
DT = {np.dtype(F): T.FLOAT, np.dtype(H): T.FLOAT16, np.dtype(np.int64): T.INT64, np.dtype(np.int32): T.INT32,
      np.dtype(np.uint8): T.UINT8, np.dtype(np.int8): T.INT8, np.dtype(bool): T.BOOL}
names = []


class Nibbles:
    """A tensor of four-bit elements."""
    def __init__(self, codes, kind):
        self.codes, self.kind = codes, kind


def f(*shape, kind=F):
    return rng.standard_normal(shape).astype(kind)


def i(*values):
    return np.array(values, np.int64)


def proto(name, value):
    if isinstance(value, Nibbles):
        flat = value.codes.reshape(-1).astype(np.int64) & 15
        flat = np.append(flat, np.zeros(len(flat) % 2, np.int64))
        raw = (flat[0::2] | flat[1::2] << 4).astype(np.uint8).tobytes()
        return helper.make_tensor(name, value.kind, value.codes.shape, raw, raw=True)
    return numpy_helper.from_array(np.asarray(value), name)


def case(name, op, inputs, outputs=1, ms=False, constant=(), opset=21, extra=None, skip=(), **attrs):
    """inputs: arrays, or None for one left out; `constant`: which of them are initializers."""
    ins, inits, graph_ins, feeds = [], [], [], {}
    for k, v in enumerate(inputs):
        if v is None:
            ins.append("")
            continue
        n = f"x{k}"
        ins.append(n)
        if k in constant or isinstance(v, Nibbles):
            inits.append(proto(n, v))
        else:
            v = np.asarray(v)
            graph_ins.append(helper.make_tensor_value_info(n, DT[v.dtype], [None] * v.ndim))
            feeds[n] = v
    outs = ["" if k in skip else f"y{k}" for k in range(outputs)]
    nodes = [helper.make_node(op, ins, outs, name=name, domain="com.microsoft" if ms else "", **attrs)]
    if extra:
        nodes = extra(nodes)
    # Output types are what the runtime infers.
    graph = helper.make_graph(nodes, name, graph_ins, [onnx.ValueInfoProto(name=o) for o in outs if o], inits)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if opset < 23 else 11)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(o, DT[r.dtype], r.shape) for o, r in results.items())
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10 if opset < 23 else 11)
    model.graph.initializer.extend(proto("feed/" + n, v) for n, v in feeds.items())
    model.graph.initializer.extend(proto("want/" + n, v) for n, v in results.items())
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString())
    names.append(name)


def elementwise():
    for op in ("Add", "Sub", "Mul", "Div"):
        case(f"{op}-float", op, [f(2, 3, 4), f(3, 1)])
        case(f"{op}-int", op, [rng.integers(-9, 9, (2, 5)), rng.integers(1, 5, (5,)) * np.array([1, -1, 1, -1, 1])])
        case(f"{op}-half", op, [f(3, 4, kind=H), f(4, kind=H)])
    case("Add-scalar", "Add", [f(), f(2, 3)])
    case("Add-empty", "Add", [f(0, 3), f(1, 3)])
    case("Pow-float", "Pow", [np.abs(f(2, 3)), f(3)])
    case("Pow-square", "Pow", [f(2, 3), np.array(2, F)])
    case("Mod-int", "Mod", [i(-7, 7, -7, 7), i(3, -3, -3, 3)])
    case("Mod-fmod", "Mod", [i(-7, 7, -7, 7), i(3, -3, -3, 3)], fmod=1)
    case("Max-three", "Max", [f(2, 3), f(3), f(2, 1)])
    case("Min-int", "Min", [i(1, 5, 3), i(4)])
    b = rng.integers(0, 2, (2, 3)).astype(bool)
    for op in ("And", "Or", "Xor"):
        case(f"{op}-bool", op, [b, b[:1]])
    for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        case(f"{op}-int", op, [rng.integers(0, 3, (3, 4)), rng.integers(0, 3, (4,))])
        case(f"{op}-float", op, [np.array([[1, 2, np.nan]], F), np.array([[1], [3]], F)])
    case("Where-broadcast", "Where", [b, f(3), f(2, 1)])
    for op in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid",
               "Sign", "Sin", "Tanh"):
        case(f"{op}-float", op, [f(3, 5) * 3])
    case("Round-ties", "Round", [np.array([-1.5, -0.5, 0.5, 1.5, 2.5], F)])
    case("Sigmoid-half", "Sigmoid", [f(3, 5, kind=H)])
    case("Sigmoid-far", "Sigmoid", [np.array([-90, -30, -10, 10, 30, 90], F)])
    for op in ("Log", "Sqrt"):
        case(f"{op}-float", op, [np.abs(f(3, 5))])
    case("Neg-int", "Neg", [rng.integers(-9, 9, (4,))])
    case("Not-bool", "Not", [b])
    case("QuickGelu-silu", "QuickGelu", [f(3, 5)], ms=True, alpha=1.0)
    case("QuickGelu-default", "QuickGelu", [f(3, 5)], ms=True)
    case("Clip-low", "Clip", [f(3, 5), np.array(-0.5, F)])
    case("Clip-both", "Clip", [f(3, 5), np.array(-0.5, F), np.array(0.25, F)])
    for to, v in [("half", T.FLOAT16), ("int", T.INT64), ("int32", T.INT32), ("bool", T.BOOL), ("byte", T.UINT8)]:
        case(f"Cast-{to}", "Cast", [np.abs(f(2, 7)) * 5 * rng.integers(0, 2, (2, 7)).astype(F)], to=v)
    case("Cast-int-float", "Cast", [rng.integers(-9, 9, (4,))], to=T.FLOAT)
    case("Cast-bool-int", "Cast", [b], to=T.INT64)


def movement():
    x = f(2, 3, 4)
    case("Shape-all", "Shape", [x])
    case("Shape-part", "Shape", [x], start=-2, end=3)
    case("Reshape-open", "Reshape", [x, i(0, -1, 2)])
    case("Squeeze-all", "Squeeze", [f(1, 3, 1)])
    case("Squeeze-one", "Squeeze", [f(1, 3, 1), i(-1)])
    case("Unsqueeze-two", "Unsqueeze", [f(3, 4), i(0, -1)])
    case("Flatten-two", "Flatten", [x], axis=2)
    case("Expand-rows", "Expand", [f(3, 1), i(2, 1, 4)])
    case("Transpose-middle", "Transpose", [x], perm=[0, 2, 1])
    case("Transpose-reverse", "Transpose", [x])
    case("Transpose-half", "Transpose", [f(2, 3, 4, kind=H)], perm=[2, 0, 1])
    case("Concat-last", "Concat", [f(2, 3), f(2, 1), f(2, 0)], axis=-1)
    case("Concat-first", "Concat", [rng.integers(0, 9, (2, 3)), rng.integers(0, 9, (1, 3))], axis=0)
    case("Split-sizes", "Split", [f(5, 4), i(2, 0, 3)], outputs=3, axis=0)
    case("Split-equal", "Split", [f(2, 9)], outputs=3, axis=1, num_outputs=3)
    case("Split-uneven", "Split", [f(2, 8)], outputs=3, axis=1, num_outputs=3)
    big = 2**31 - 1
    case("Slice-end", "Slice", [x, i(-2), i(big), i(2)])
    case("Slice-two", "Slice", [x, i(1, 0), i(3, 2), i(1, 2)])
    case("Slice-back", "Slice", [x, i(-1, 2), i(-big, 0), i(2, 1), i(-2, -1)])
    case("Slice-nothing", "Slice", [x, i(2), i(1), i(0)])
    case("Gather-rows", "Gather", [f(5, 3), rng.integers(-5, 5, (2, 2))])
    case("Gather-stored", "Gather", [f(5, 3), rng.integers(-5, 5, (2, 2))], constant=[0])
    case("Gather-axis", "Gather", [x, i(2, 0)], axis=1)
    case("Gather-scalar", "Gather", [i(7, 8, 9), np.array(-1)])
    case("GatherElements-one", "GatherElements", [f(3, 4), rng.integers(-4, 4, (3, 2))], axis=1)
    case("GatherElements-zero", "GatherElements", [f(3, 4), rng.integers(0, 3, (2, 4))], axis=0)
    case("ScatterElements-one", "ScatterElements", [f(3, 6), np.stack([rng.permutation(6)[:2] for _ in range(3)]), f(3, 2)], axis=1)
    case("ConstantOfShape-zero", "ConstantOfShape", [i(2, 3)])
    case("ConstantOfShape-low", "ConstantOfShape", [i(4)], value=helper.make_tensor("v", T.FLOAT, [1], [-1e4]))
    case("Range-up", "Range", [np.array(2), np.array(11), np.array(3)])
    case("Range-down", "Range", [np.array(2), np.array(-3), np.array(-2)])
    case("Range-float", "Range", [np.array(0.5, F), np.array(2, F), np.array(0.25, F)])
    case("Trilu-up", "Trilu", [f(3, 4), np.array(1)], upper=1)
    case("Trilu-low", "Trilu", [f(2, 3, 4), np.array(-1)], upper=0)


def reductions():
    x = f(2, 3, 20)
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
        case(f"{op}-last", op, [x, i(-1)])
        case(f"{op}-middle", op, [x, i(1)], keepdims=0)
        case(f"{op}-all", op, [x])
    case("ReduceSum-int", "ReduceSum", [rng.integers(0, 9, (3, 4)), i(0)], keepdims=0)
    case("ReduceSum-empty", "ReduceSum", [f(3, 0, 2), i(1)])
    case("CumSum-one", "CumSum", [f(2, 5), np.array(1)])
    case("CumSum-reverse", "CumSum", [rng.integers(0, 9, (3, 4)), np.array(0)], reverse=1, exclusive=1)
    case("TopK-best", "TopK", [f(3, 9), i(4)], outputs=2)
    case("TopK-least", "TopK", [rng.integers(0, 4, (12,)), i(12)], outputs=2, axis=0, largest=0, sorted=1)
    case("TopK-ties", "TopK", [rng.integers(0, 3, (2, 9)).astype(F), i(5)], outputs=2)
    case("Softmax-last", "Softmax", [f(3, 19)])
    case("Softmax-first", "Softmax", [f(3, 4, 2)], axis=0)


def products():
    case("MatMul-constant", "MatMul", [f(2, 3, 40), f(40, 33)], constant=[1])
    case("MatMul-half", "MatMul", [f(3, 40, kind=H), f(40, 9, kind=H)], constant=[1])
    case("MatMul-batch", "MatMul", [f(2, 1, 3, 20), f(4, 20, 5)])
    case("MatMul-vector", "MatMul", [f(20), f(20, 5)])
    case("MatMul-column", "MatMul", [f(3, 20), f(20)])
    case("MatMul-empty", "MatMul", [f(0, 20), f(20, 5)], constant=[1])
    case("Gemm-plain", "Gemm", [f(3, 20), f(20, 5), f(5)], constant=[1], alpha=0.5, beta=2.0)
    case("Gemm-turned", "Gemm", [f(3, 20), f(5, 20)], constant=[1], transB=1)
    case("Conv-depthwise", "Conv", [f(2, 6, 9), f(6, 1, 3)], group=6, kernel_shape=[3])
    case("Conv-padded", "Conv", [f(1, 6, 5), f(6, 1, 3), f(6)], group=6, kernel_shape=[3], pads=[2, 0])
    case("CausalConvWithState-plain", "CausalConvWithState", [f(1, 6, 5), f(6, 1, 3), None, f(1, 6, 2)], outputs=2, ms=True, activation="none", ndim=1)
    case("CausalConvWithState-silu", "CausalConvWithState", [f(2, 6, 1), f(6, 1, 4), f(6), f(2, 6, 3)], outputs=2, ms=True, activation="silu", ndim=1)
    case("CausalConvWithState-last", "CausalConvWithState", [f(1, 5, 6), f(6, 1, 3), None, f(1, 2, 6)], outputs=2, ms=True, activation="none", channels_last=1)
    case("SimplifiedLayerNormalization-row", "SimplifiedLayerNormalization", [f(2, 3, 48), f(48)], axis=-1, epsilon=1e-5, stash_type=1)
    case("SimplifiedLayerNormalization-half", "SimplifiedLayerNormalization", [f(2, 48, kind=H), f(48, kind=H)], axis=-1, epsilon=1e-5, stash_type=1)
    case("RMSNormalization-row", "RMSNormalization", [f(2, 3, 48), f(48)], opset=23, axis=-1, epsilon=1e-5)
    case("SkipSimplifiedLayerNormalization-sum", "SkipSimplifiedLayerNormalization", [f(1, 3, 48), f(1, 3, 48), f(48)], outputs=4, skip=(1, 2), ms=True, epsilon=1e-5)
    case("SkipSimplifiedLayerNormalization-bias", "SkipSimplifiedLayerNormalization", [f(1, 3, 48), f(1, 3, 48), f(48), f(48)], outputs=1, ms=True, epsilon=1e-5)


def tables(n, d):
    a = np.outer(np.arange(n), 1e4 ** (-np.arange(0, d, 2) / d))
    return np.cos(a).astype(F), np.sin(a).astype(F)


def attention():
    cos, sin = tables(32, 16)
    pos = np.tile(np.arange(3, 8), (2, 1))
    case("RotaryEmbedding-heads", "RotaryEmbedding", [f(2, 3, 5, 16), cos, sin, pos], opset=23)
    case("RotaryEmbedding-interleaved", "RotaryEmbedding", [f(2, 3, 5, 16), cos, sin, pos], opset=23, interleaved=1)
    case("RotaryEmbedding-flat", "RotaryEmbedding", [f(2, 5, 48), cos, sin, pos], opset=23, num_heads=3)
    case("RotaryEmbedding-contrib", "RotaryEmbedding", [f(2, 3, 5, 16), pos, cos, sin], ms=True)
    case("RotaryEmbedding-contrib-start", "RotaryEmbedding", [f(1, 5, 32), i(4), cos, sin], ms=True)

    def gqa(name, s, past, b=1, window=None, kind=F, packed=False, **more):
        nh, kv, d = 4, 2, 16
        total = past + s
        q, k, v = f(b, s, nh * d, kind=kind), f(b, s, kv * d, kind=kind), f(b, s, kv * d, kind=kind)
        ins = [np.concatenate([q, k, v], -1), None, None] if packed else [q, k, v]
        ins += [f(b, kv, past, d, kind=kind), f(b, kv, past, d, kind=kind), np.full((b,), total - 1, np.int32), np.array(total, np.int32)]
        at = dict(num_heads=nh, kv_num_heads=kv, **more)
        if more.get("do_rotary"):
            ins += [cos.astype(kind), sin.astype(kind)]
        if window:
            at["local_window_size"] = window
        case(f"GroupQueryAttention-{name}", "GroupQueryAttention", ins, outputs=3, ms=True, **at)

    gqa("prompt", 5, 0, do_rotary=1)
    gqa("decode", 1, 6, do_rotary=1)
    gqa("chunk", 4, 6, do_rotary=1, scale=0.3)
    gqa("plain", 3, 2)
    gqa("interleaved", 3, 2, do_rotary=1, rotary_interleaved=1)
    gqa("packed", 3, 2, do_rotary=1, packed=True)
    gqa("softcap", 3, 2, softcap=5.0)
    gqa("window", 6, 3, window=3)
    gqa("batch", 1, 5, b=2, do_rotary=1)
    gqa("half", 3, 2, kind=H, do_rotary=1)

    def att(name, s, past, mask=None, flat=False, **more):
        nh, kv, d, t = 4, 2, 16, past + s
        q, k, v = f(1, nh, s, d), f(1, kv, s, d), f(1, kv, s, d)
        if flat:
            q, k, v = (x.transpose(0, 2, 1, 3).reshape(1, s, -1) for x in (q, k, v))
            more.update(q_num_heads=nh, kv_num_heads=kv)
        ins = [q, k, v, mask, f(1, kv, past, d), f(1, kv, past, d)]
        case(f"Attention-{name}", "Attention", ins, outputs=3, opset=23, **more)

    att("mask", 4, 3, np.arange(7)[None] <= np.arange(3, 7)[:, None])
    att("bias", 4, 3, f(4, 7))
    att("causal", 4, 0, is_causal=1)
    att("flat", 2, 3, np.arange(5)[None] <= np.arange(3, 5)[:, None], flat=True)


def codes(rows, blocks, block, bits):
    q = rng.integers(0, 1 << bits, (rows, blocks, block)).astype(np.uint8)
    return q if bits == 8 else pack(q, bits)


def pack(q, bits):
    per = 8 // bits
    pad = -q.shape[-1] % per
    q = np.concatenate([q, np.zeros((*q.shape[:-1], pad), np.uint8)], -1).reshape(*q.shape[:-1], -1, per)
    return (q << (np.arange(per) * bits).astype(np.uint8)).sum(-1).astype(np.uint8)


def nbits(name, n, k, bits, bs, zero=None, level=0, m=3, kind=F, bias=False):
    nb = -(-k // bs)
    ins = [f(m, k, kind=kind), codes(n, nb, bs, bits), (f(n, nb) * 0.1).astype(kind)]
    z = rng.integers(0, 1 << bits, (n, nb)).astype(np.uint8)
    ins.append({None: None, "codes": z if bits == 8 else pack(z, bits), "floats": (z + 0.25).astype(kind)}[zero])
    if bias:
        ins += [None, f(n)]
    while ins[-1] is None:
        ins.pop()
    case(f"MatMulNBits-{name}", "MatMulNBits", ins, ms=True, constant=[1, 2, 3, 5], K=k, N=n, bits=bits, block_size=bs, accuracy_level=level)


def quantized():
    nbits("4", 33, 64, 4, 32)
    nbits("4-zero", 33, 96, 4, 32, "codes")
    nbits("4-floats", 20, 64, 4, 32, "floats")
    nbits("4-16", 17, 64, 4, 16, "codes")
    nbits("4-128", 17, 256, 4, 128)
    nbits("4-ragged", 17, 80, 4, 32, "codes")
    nbits("8", 20, 64, 8, 32)
    nbits("8-zero", 20, 96, 8, 32, "codes")
    nbits("4-bias", 20, 64, 4, 32, bias=True)
    nbits("4-half", 20, 64, 4, 32, kind=H)
    nbits("4-level4", 33, 64, 4, 32, level=4)
    nbits("4-level4-zero", 33, 96, 4, 32, "codes", level=4)
    nbits("4-level4-16", 33, 64, 4, 16, level=4)
    nbits("4-level4-64", 33, 128, 4, 64, "codes", level=4, m=1)
    nbits("8-level4", 33, 64, 8, 32, level=4)
    nbits("8-level4-zero", 33, 96, 8, 32, "codes", level=4, m=1)
    ids = rng.integers(0, 12, (2, 3))
    at = dict(ms=True, gather_axis=0, quantize_axis=1, block_size=32)
    case("GatherBlockQuantized-4", "GatherBlockQuantized", [codes(12, 2, 32, 4).reshape(12, 32), ids, f(12, 2)], constant=[0, 2, 3], bits=4, **at)
    z = pack(rng.integers(0, 16, (12, 3)).astype(np.uint8), 4)
    case("GatherBlockQuantized-4-zero", "GatherBlockQuantized", [codes(12, 3, 32, 4).reshape(12, 48), ids, f(12, 3), z], constant=[0, 2, 3], bits=4, **at)
    case("GatherBlockQuantized-8", "GatherBlockQuantized", [codes(12, 2, 32, 8).reshape(12, 64), ids, f(12, 2)], constant=[0, 2, 3], bits=8, **at)
    case("GatherBlockQuantized-int4", "GatherBlockQuantized", [Nibbles(rng.integers(-8, 8, (12, 64)), T.INT4), ids, f(12, 2)], constant=[0, 2, 3], **at)

    for kind, low in ((T.UINT4, 0), (T.INT4, -8)):
        q, z = rng.integers(low, low + 16, (64, 9)), rng.integers(low, low + 16, (2, 9))
        pair = lambda nodes: [helper.make_node("DequantizeLinear", ["x1", "x2", "x3"], ["w"], name="widen", axis=0, block_size=32),
                              helper.make_node("MatMul", ["x0", "w"], ["y0"], name="times")]
        case(f"MatMul-blocks-{'u' if low == 0 else ''}int4", "MatMul", [f(3, 64), Nibbles(q, kind), f(2, 9), Nibbles(z, kind)], constant=[2], extra=pair)
    x, w = rng.integers(0, 256, (3, 40)).astype(np.uint8), rng.integers(-127, 128, (40, 9)).astype(np.int8)
    case("MatMulInteger-signed", "MatMulInteger", [x, w, np.array(117, np.uint8)], constant=[1])
    u = rng.integers(0, 256, (40, 9)).astype(np.uint8)
    case("MatMulInteger-unsigned", "MatMulInteger", [x, u, np.array(128, np.uint8), np.array(128, np.uint8)], constant=[1, 3])
    case("MatMulInteger-rows", "MatMulInteger", [x, u, np.array(3, np.uint8), rng.integers(0, 256, (9,)).astype(np.uint8)], constant=[1, 3])
    case("DynamicQuantizeLinear-both", "DynamicQuantizeLinear", [f(3, 7)], outputs=3)
    case("DynamicQuantizeLinear-positive", "DynamicQuantizeLinear", [np.abs(f(3, 7)) + 1], outputs=3)
    case("DequantizeLinear-tensor", "DequantizeLinear", [x, np.array(0.1, F), np.array(7, np.uint8)])
    case("DequantizeLinear-axis", "DequantizeLinear", [w, f(9), np.zeros(9, np.int8)], axis=1)
    case("QuantizeLinear-tensor", "QuantizeLinear", [f(3, 9), np.array(0.02, F), np.array(7, np.uint8)])
    case("QuantizeLinear-axis", "QuantizeLinear", [f(3, 9), np.abs(f(9)) * 0.02, np.zeros(9, np.int8)], axis=1)


def experts():
    e, h, inner, k = 4, 64, 32, 2
    for bits in (4, 8):
        base = [f(5, h), f(5, e), codes(e * 2 * inner, h // 32, 32, bits).reshape(e, 2 * inner, -1), np.abs(f(e, 2 * inner, h // 32)) * 0.05, None,
                codes(e * h, inner // 32, 32, bits).reshape(e, h, -1), np.abs(f(e, h, inner // 32)) * 0.05]
        at = dict(ms=True, constant=list(range(2, 13)), k=k, activation_type="swiglu", swiglu_fusion=1, activation_alpha=1.0, activation_beta=0.0,
                  expert_weight_bits=bits, block_size=32, use_sparse_mixer=0)
        case(f"QMoE-{bits}", "QMoE", base, normalize_routing_weights=1, **at)
        z = [rng.integers(0, 1 << bits, (e, r, n)).astype(np.uint8) for r, n in ((2 * inner, h // 32), (h, inner // 32))]
        z = z if bits == 8 else [pack(a, bits) for a in z]
        case(f"QMoE-{bits}-zero", "QMoE", base + [None] * 4 + z, normalize_routing_weights=1, **at)
        if bits == 4:
            case("QMoE-4-weights", "QMoE", base + [None] * 7 + [np.abs(f(5, e))], normalize_routing_weights=0, **at)
            case("QMoE-4-level4", "QMoE", base, normalize_routing_weights=1, accuracy_level=4, **at)


OUT.mkdir(exist_ok=True)
for old in OUT.glob("*.onnx"):
    old.unlink()
for family in (elementwise, movement, reductions, products, attention, quantized, experts):
    family()
sums = "".join(f"{hashlib.sha256((OUT / f'{n}.onnx').read_bytes()).hexdigest()}  {n}.onnx\n" for n in sorted(names))
(OUT / "SHA256SUMS").write_text(sums)
