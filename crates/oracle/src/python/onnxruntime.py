"""onnxruntime: any causal graph with `input_ids`, `logits`, and caches named past… and present…."""


def load(path, threads):
    import numpy as np
    import onnxruntime as ort

    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}

    class Model:
        context = None

        def __init__(self):
            options = ort.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = threads
            self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.name = "onnxruntime " + ort.__version__
            self.inputs = {i.name: i for i in self.session.get_inputs()}
            self.outputs = [o.name for o in self.session.get_outputs()]
            vocab = dict((o.name, o.shape[-1]) for o in self.session.get_outputs() if o.shape)["logits"]
            self.vocab = vocab if isinstance(vocab, int) else self.feed(self.begin(), [0], 1)[1].shape[1]

        def begin(self):
            # The batch is one, what else is open is the length of the past: none.
            shape = lambda i: [1 if at == 0 else 0 if not isinstance(d, int) else d for at, d in enumerate(i.shape)]
            caches = [i for i in self.inputs.values() if i.name.startswith("past")]
            return 0, {i.name: np.zeros(shape(i), kinds[i.type]) for i in caches}

        def past(self, present):
            names = [present.replace("present", past, 1) for past in ("past", "past_key_values")]
            return next(name for name in names if name in self.inputs)

        def feed(self, state, tokens, rows):
            at, caches = state
            end = at + len(tokens)
            feeds = dict(caches, input_ids=np.array([tokens], np.int64))
            known = {
                "attention_mask": lambda: np.ones((1, end), np.int64),
                "position_ids": lambda: np.arange(at, end, dtype=np.int64)[None],
                "num_logits_to_keep": lambda: np.array(max(rows, 1), np.int64),
            }
            feeds.update((name, make()) for name, make in known.items() if name in self.inputs)
            found = dict(zip(self.outputs, self.session.run(None, feeds)))
            logits = found.pop("logits")[0]
            return (end, {self.past(name): v for name, v in found.items()}), logits[len(logits) - rows :]

    return Model()
