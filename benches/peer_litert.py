"""Tokens a second of ai-edge-litert on a decoder with signatures: MODEL THREADS PREFILL DECODE DEPTH. One JSON line.

Signatures named `prefill...` take the prompt in pieces of their own length; `decode` takes one token. States go from the
outputs of a call to the inputs of the same name of the next.
"""

import json
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model, threads, prefill, decode, depth = sys.argv[1], *map(int, sys.argv[2:6])
interpreter = Interpreter(model_path=model, num_threads=threads)
signatures = interpreter.get_signature_list()


def runner(name):
    run = interpreter.get_signature_runner(name)
    details = run.get_input_details()
    tokens = max((d["shape"][-1] for n, d in details.items() if "token" in n or "ids" in n), default=1)
    return run, details, int(tokens)


def call(of, state, position):
    run, details, tokens = of
    given = {}
    for name, detail in details.items():
        if "token" in name or "ids" in name:
            given[name] = (np.arange(tokens) * 7919 % 60000).astype(detail["dtype"]).reshape(detail["shape"])
        elif "pos" in name:
            given[name] = np.arange(position, position + tokens, dtype=detail["dtype"]).reshape(detail["shape"])
        else:
            given[name] = state.get(name, np.zeros(detail["shape"], detail["dtype"]))
    return run(**given)


def run_for(of, tokens, state, position):
    step = of[2]
    for at in range(0, tokens, step):
        state = call(of, state, position + at)
    return state


one = runner("decode" if "decode" in signatures else next(iter(signatures)))
prompts = sorted((runner(n) for n in signatures if n.startswith("prefill")), key=lambda r: r[2])
prompt = next((p for p in reversed(prompts) if prefill % p[2] == 0), one)
rates = []
for _ in range(3):
    start = time.perf_counter()
    run_for(prompt, prefill, {}, 0)
    rates.append(prefill / (time.perf_counter() - start))
state = run_for(prompt, depth, {}, 0) if depth % prompt[2] == 0 else {}
start = time.perf_counter()
run_for(one, decode, state, depth)
print(json.dumps({"prefill": sorted(rates)[1], "decode": decode / (time.perf_counter() - start)}))
