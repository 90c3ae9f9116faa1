"""Runs a model in LiteRT's interpreter with XNNPACK and writes what it gives.

    logits.py FOLDER/case.json

The case names the model, the tokens and how many of them go through the prefill signature, in steps of which the first
is not full. The others are decoded; their logits `[tokens, vocab]` go to the file that the case names.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as litert

HIDDEN = np.float32(-0.7 * np.finfo(np.float32).max)


def main():
    case_file = Path(sys.argv[1])
    case = json.loads(case_file.read_text())
    model = litert.Interpreter(str(case_file.with_name(case["model"])), num_threads=2)
    steps = [int(m.group(1)) for key in model.get_signature_list() if (m := re.fullmatch(r"prefill_(\d+)", key))]
    inputs = model.get_signature_runner("decode").get_input_details()
    state = {name: np.zeros(d["shape"], d["dtype"]) for name, d in inputs.items() if name.startswith("kv_cache")}
    ids, at, logits = case["ids"], 0, []
    while at < len(ids):
        size, count, key = 1, 1, "decode"
        if at < case["prefill"]:
            size = max(steps)
            count = min(size - 3 if at == 0 else size, case["prefill"] - at)
            key = f"prefill_{size}"
        tokens, positions = np.zeros((1, size), np.int32), np.zeros(size, np.int32)
        mask = np.full((1, 1, size, inputs["mask"]["shape"][-1]), HIDDEN, np.float32)
        tokens[0, :count], positions[:count] = ids[at : at + count], np.arange(at, at + count)
        for row in range(count):
            mask[0, 0, row, : at + row + 1] = 0
        state = model.get_signature_runner(key)(tokens=tokens, input_pos=positions, mask=mask, **state)
        if key == "decode":
            logits.append(state.pop("logits")[0, 0])
        at += count
    np.stack(logits).astype("<f4").tofile(case_file.with_name(case["logits"]))


main()
