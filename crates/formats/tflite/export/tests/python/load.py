"""Opens models in LiteRT's stock interpreter, runs one token and looks at the logits.

    load.py FILE.tflite...

For files too large for the tests; exits with an error if one does not load or gives anything but numbers.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as litert


def main():
    for path in sys.argv[1:]:
        model = litert.Interpreter(path, num_threads=2)
        decode = model.get_signature_runner("decode")
        inputs = {name: np.zeros(d["shape"], d["dtype"]) for name, d in decode.get_input_details().items()}
        inputs["tokens"][:] = 1
        # Only the position of the token itself is visible.
        inputs["mask"][..., 1:] = -0.7 * np.finfo(np.float32).max
        logits = decode(**inputs)["logits"]
        assert np.isfinite(logits).all() and logits.std() > 0, path
        print(f"{path}: {Path(path).stat().st_size} bytes, logits {logits.shape}, spread {logits.std():.3f}")


main()
