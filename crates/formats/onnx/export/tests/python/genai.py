"""Continues a case greedily with onnxruntime-genai.

    genai.py FOLDER/case.json

Prints one JSON object with the tokens that follow the case's prompt, as many as the case asks for.
"""

import json
import sys
from pathlib import Path

import onnxruntime_genai as og


def main():
    case_file = Path(sys.argv[1])
    case = json.loads(case_file.read_text())
    model = og.Model(str(case_file.parent))
    # The tokenizer files beside the graph are part of what is promised.
    og.Tokenizer(model)
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(case["ids"]) + case["continue"], do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(case["ids"])
    # An end token stops the search before it is long enough.
    while not generator.is_done():
        generator.generate_next_token()
    tokens = generator.get_sequence(0)[len(case["ids"]) :]
    print(json.dumps({"genai": og.__version__, "tokens": [int(t) for t in tokens]}))


main()
