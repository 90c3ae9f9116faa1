"""Runs one exported model in LiteRT's interpreter.

    check.py FOLDER/case.json

The case names the model, the tokens, a file of expected logits `[tokens, vocab]` and which kernels to run on. Every
model is fed in several ways: token by token, and with a part of the tokens in prefill steps, the first of them not
full. Prints one JSON object: for each kernel set and way the largest difference over the standard deviation of the
expected logits, the mean KL divergence in nats and the share of equal likeliest tokens.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as litert

KERNELS = {
    "xnnpack": litert.OpResolverType.AUTO,
    "builtin": litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": litert.OpResolverType.BUILTIN_REF,
}
# What LiteRT-LM fills a mask with.
HIDDEN = np.float32(-0.7 * np.finfo(np.float32).max)


class Sequence:
    def __init__(self, model):
        self.model = model
        self.shapes = model.get_signature_runner("decode").get_input_details()
        self.room = self.shapes["mask"]["shape"][-1]
        self.at = 0
        self.state = {n: np.zeros(d["shape"], d["dtype"]) for n, d in self.shapes.items() if n.startswith("kv_cache")}

    def feed(self, signature, tokens, size):
        """The logits of a step that may be longer than its tokens: filled up as LiteRT-LM does."""
        count = len(tokens)
        ids, positions = np.zeros((1, size), np.int32), np.zeros(size, np.int32)
        mask = np.full((1, 1, size, self.room), HIDDEN, np.float32)
        ids[0, :count], positions[:count] = tokens, np.arange(self.at, self.at + count)
        for row in range(count):
            mask[0, 0, row, : self.at + row + 1] = 0
        out = self.model.get_signature_runner(signature)(tokens=ids, input_pos=positions, mask=mask, **self.state)
        self.at += count
        logits = out.pop("logits", None)
        self.state = out
        return logits


def run(path, kernels, ids, prefill, step):
    """Logits of all tokens behind the first `prefill`."""
    model = litert.Interpreter(str(path), num_threads=2, experimental_op_resolver_type=KERNELS[kernels])
    sequence = Sequence(model)
    first = True
    while sequence.at < prefill:
        # The first step is not full, and so is the last.
        count = min(max(1, step - 3) if first else step, prefill - sequence.at)
        assert sequence.feed(f"prefill_{step}", ids[sequence.at : sequence.at + count], step) is None
        first = False
    return np.concatenate([sequence.feed("decode", ids[at : at + 1], 1)[0] for at in range(prefill, len(ids))])


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    case_file = Path(sys.argv[1])
    case = json.loads(case_file.read_text())
    path = case_file.with_name(case["model"])
    ids = np.array(case["ids"], np.int32)
    expected = np.fromfile(case_file.with_name(case["expected"]), "<f4").reshape(len(ids), -1)
    keys = litert.Interpreter(str(path)).get_signature_list()
    steps = [int(m.group(1)) for key in keys if (m := re.fullmatch(r"prefill_(\d+)", key))]
    runs = []
    for kernels in case["kernels"]:
        for prefill, step in [(0, 0)] + [(case["prefill"], step) for step in steps]:
            got, want = run(path, kernels, ids, prefill, step), expected[prefill:]
            truth = log_softmax(want)
            kld = (np.exp(truth) * (truth - log_softmax(got))).sum(-1)
            runs.append(
                {
                    "kernels": kernels,
                    "step": step,
                    "worst": float(np.abs(got - want).max() / expected.std()),
                    "kld": float(kld.mean()),
                    "same_top": float((got.argmax(-1) == want.argmax(-1)).mean()),
                }
            )
    print(json.dumps({"signatures": keys, "runs": runs}))


main()
