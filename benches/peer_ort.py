"""Tokens a second of onnxruntime on a decoder with past states: MODEL THREADS PREFILL DECODE DEPTH. One JSON line."""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

model, threads, prefill, decode, depth = sys.argv[1], *map(int, sys.argv[2:6])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
inputs, outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def past():
    """Empty states: a named length is 0, a batch is 1."""
    def size(dim):
        return dim if isinstance(dim, int) else 1 if "batch" in str(dim) else 0
    return {i.name: np.zeros([size(d) for d in i.shape], KINDS[i.type]) for i in inputs if i.name.startswith("past")}


def feed(tokens, state, seen):
    given = dict(state)
    for i in inputs:
        if i.name == "input_ids":
            given[i.name] = np.array([tokens], KINDS[i.type])
        elif i.name == "attention_mask":
            given[i.name] = np.ones([1, seen + len(tokens)], KINDS[i.type])
        elif i.name == "position_ids":
            given[i.name] = np.arange(seen, seen + len(tokens), dtype=KINDS[i.type])[None]
        elif i.name == "num_logits_to_keep":
            given[i.name] = np.array(1, KINDS[i.type])
    results = dict(zip(outputs, session.run(None, given)))
    return {name: results[name.replace("past_key_values", "present").replace("past_conv", "present_conv")] for name in state}


def prompt(n):
    return [(i * 7919 + 13) % 60000 for i in range(n)]


rates = []
for _ in range(4):
    start = time.perf_counter()
    feed(prompt(prefill), past(), 0)
    rates.append(prefill / (time.perf_counter() - start))
state = feed(prompt(depth), past(), 0)
start = time.perf_counter()
for i in range(decode):
    state = feed([(i * 31 + 7) % 60000], state, depth + i)
print(json.dumps({"prefill": sorted(rates[1:])[1], "decode": decode / (time.perf_counter() - start)}))
