"""The other end of the pipe: `-c SCRIPT FILE THREADS`, this after the runtime's own part.

The runtime's part defines `Model(path, threads)` with `name`, `vocab`, `context` (None: any), `begin()` for the state
of a new sequence, and `feed(state, tokens, rows)`, which returns the new state and the logits `[rows, vocab]` of the
last `rows` tokens. A request is a line of JSON, an answer a line of JSON, after `rows` by their float32 little-endian.
"""

import json
import os
import sys


def serve():
    # What runtimes print goes to stderr; nothing but answers may come by the pipe.
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(rows=None, **fields):
        pipe.write(json.dumps(fields).encode() + b"\n")
        if rows is not None:
            pipe.write(rows.astype("<f4").tobytes())
        pipe.flush()

    try:
        model = load(sys.argv[1], int(sys.argv[2]))
    except ImportError as error:
        return answer(error=str(error), missing=True)
    except Exception as error:
        return answer(error=str(error))
    answer(name=model.name, vocab=model.vocab, context=model.context)
    states = {}
    for line in sys.stdin.buffer:
        ask = json.loads(line)
        key = ask["sequence"]
        try:
            if "tokens" not in ask:
                states.pop(key, None)
                answer()
                continue
            state = states[key] if key in states else model.begin()
            states[key], logits = model.feed(state, ask["tokens"], ask["rows"])
            answer(rows=logits, shape=list(logits.shape))
        except Exception as error:
            answer(error=str(error))


serve()
