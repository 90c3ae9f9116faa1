"""Checks one exported folder with onnx.checker and runs it in onnxruntime.

    check.py FOLDER/case.json

The case names the graph, the tokens, how they are cut into steps (several ways), and a file of expected logits
`[tokens, vocab]`. Prints one JSON object: for each way the largest difference over the standard deviation of the
expected logits, and the mean KL divergence in nats.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

# onnxruntime's own operator lives in the standard's domain, so the checker has to be told of it. Of com.microsoft it
# takes everything.
onnx.defs.register_schema(
    onnx.defs.OpSchema(
        "SimplifiedLayerNormalization",
        "",
        1,
        inputs=[onnx.defs.OpSchema.FormalParameter(n, "T") for n in ("X", "scale")],
        outputs=[onnx.defs.OpSchema.FormalParameter("Y", "T")],
        type_constraints=[("T", ["tensor(float)", "tensor(float16)"], "floats")],
        attributes=[
            onnx.defs.OpSchema.Attribute("axis", onnx.defs.OpSchema.AttrType.INT),
            onnx.defs.OpSchema.Attribute("epsilon", onnx.defs.OpSchema.AttrType.FLOAT),
            onnx.defs.OpSchema.Attribute("stash_type", onnx.defs.OpSchema.AttrType.INT),
        ],
    )
)


def with_accuracy(path, level):
    """The same graph beside the first one, every matrix at this accuracy level."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = level
    other = path.with_name(f"accuracy{level}.onnx")
    other.write_bytes(model.SerializeToString())
    return other


def run(path, ids, steps, threads):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    inputs = {i.name: i for i in session.get_inputs()}
    cache = {}
    for name, i in inputs.items():
        if name.startswith("past"):
            shape = [1 if d == "batch_size" else 0 if isinstance(d, str) else d for d in i.shape]
            cache[name] = np.zeros(shape, np.float16 if "float16" in i.type else np.float32)
    logits, at = [], 0
    for n in steps:
        feeds = dict(cache, input_ids=np.array([ids[at : at + n]]), attention_mask=np.ones((1, at + n), np.int64))
        if "num_logits_to_keep" in inputs:
            feeds["num_logits_to_keep"] = np.array(0)
        at += n
        found = dict(zip(names, session.run(None, feeds)))
        logits.append(found.pop("logits")[0])
        assert logits[-1].dtype == np.float32
        cache = {}
        for name, value in found.items():
            assert list(value.shape[:2]) == list(inputs_shape(inputs, past(name), value)), name
            cache[past(name)] = value
    return np.concatenate(logits)


def past(present):
    return present.replace("present_conv", "past_conv").replace("present.", "past_key_values.")


def inputs_shape(inputs, name, value):
    return [v if isinstance(d, str) else d for d, v in zip(inputs[name].shape[:2], value.shape)]


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    case_file = Path(sys.argv[1])
    case = json.loads(case_file.read_text())
    graph = case_file.parent / case["graph"]
    onnx.checker.check_model(str(graph))
    model = onnx.load(graph, load_external_data=False)
    if case.get("accuracy") is not None:
        graph = with_accuracy(graph, case["accuracy"])
    expected = np.fromfile(case_file.with_name(case["expected"]), "<f4").reshape(len(case["ids"]), -1)
    truth = log_softmax(expected)
    out = []
    for steps in case["steps"]:
        got = run(graph, case["ids"], steps, case["threads"])
        kld = (np.exp(truth) * (truth - log_softmax(got))).sum(-1)
        worst = float(np.abs(got - expected).max() / expected.std())
        median = float(np.median(np.abs(got - expected).max(-1)) / expected.std())
        same = float((got.argmax(-1) == expected.argmax(-1)).mean())
        out.append({"steps": len(steps), "worst": worst, "median": median, "kld": float(kld.mean()), "same_top": same})
    operators = sorted({n.op_type for n in model.graph.node})
    print(json.dumps({"ort": ort.__version__, "nodes": len(model.graph.node), "operators": operators, "runs": out}))


main()
