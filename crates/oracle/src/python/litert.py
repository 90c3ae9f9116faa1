"""LiteRT's interpreter: the signatures `decode` and `prefill_N`, caches named kv_cache…."""


def load(path, threads):
    import ai_edge_litert
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    hidden = -0.7 * np.finfo(np.float32).max

    class Model:
        def __init__(self):
            self.interpreter = Interpreter(model_path=path, num_threads=threads)
            self.name = "litert " + ai_edge_litert.__version__
            names = self.interpreter.get_signature_list()
            self.decode = self.interpreter.get_signature_runner("decode")
            sizes = [name.split("_")[1] for name in names if name.startswith("prefill_")]
            self.prefill = {int(n): self.interpreter.get_signature_runner("prefill_" + n) for n in sizes if n.isdigit()}
            self.details = self.decode.get_input_details()
            self.vocab = int(self.decode.get_output_details()["logits"]["shape"][-1])
            self.positions = int(self.details["mask"]["shape"][-1])
            # Room for a last chunk that is not full lies behind the context.
            self.context = self.positions - max(self.prefill, default=0)

        def begin(self):
            caches = {n: d for n, d in self.details.items() if n.startswith("kv_cache")}
            return 0, {n: np.zeros(d["shape"], d["dtype"]) for n, d in caches.items()}

        def mask(self, at, count):
            seen = np.arange(self.positions)[None] <= np.arange(at, at + count)[:, None]
            kind = self.details["mask"]["dtype"]
            mask = seen if kind == np.bool_ else np.where(seen, 0, hidden).astype(kind)
            return mask[None, None]

        def step(self, runner, state, tokens):
            at, caches = state
            count = len(tokens)
            found = runner(
                tokens=np.array([tokens], np.int32),
                input_pos=np.arange(at, at + count, dtype=np.int32),
                mask=self.mask(at, count),
                **caches,
            )
            logits = found.pop("logits", None)
            return (at + count, found), logits

        def feed(self, state, tokens, rows):
            # Chunks give no logits, so what is asked for goes one token at a time.
            silent, asked = tokens[: len(tokens) - rows], tokens[len(tokens) - rows :]
            while silent:
                size = max((n for n in self.prefill if n <= len(silent)), default=1)
                state, _ = self.step(self.prefill.get(size, self.decode), state, silent[:size])
                silent = silent[size:]
            logits = np.zeros((rows, self.vocab), np.float32)
            for row, token in enumerate(asked):
                state, found = self.step(self.decode, state, [token])
                logits[row] = found.reshape(-1)
            return state, logits

    return Model()
