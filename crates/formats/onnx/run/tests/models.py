#!/usr/bin/env python3
"""Writes tests/models/*.f32: logits that ONNX Runtime's CPU provider gives for the models of `tests/models.rs`.

    LFMQ_ONNX_CASES=DIR cargo test -p lfmq-onnx-run --test models rounded
    python models.py DIR          (numpy, onnxruntime 1.31)

For each of 9 prompts of 4 tokens, every 8th logit of the last token.
"""
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

OUT = Path(__file__).parent / "models"
OUT.mkdir(exist_ok=True)
names = []
for path in sorted(Path(sys.argv[1]).glob("*/model.onnx")):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rows = []
    for prompt in range(9):
        ids = np.array([[(prompt * 191 + t * t * 37 + 11 * t + 6) % 2048 for t in range(4)]])
        feeds = {"input_ids": ids, "attention_mask": np.ones((1, 4), np.int64)}
        for i in session.get_inputs():
            if i.name not in feeds:
                shape = [1 if k == 0 else (0 if isinstance(d, str) else d) for k, d in enumerate(i.shape)]
                feeds[i.name] = np.zeros(shape, np.float16 if "float16" in i.type else np.float32)
        rows.append(session.run(["logits"], feeds)[0][0, -1, ::8])
    name = f"{path.parent.name}.f32"
    (OUT / name).write_bytes(np.stack(rows).astype("<f4").tobytes())
    names.append(name)
(OUT / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((OUT / n).read_bytes()).hexdigest()}  {n}\n" for n in names))
