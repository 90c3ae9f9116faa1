"""Continues a prompt greedily with LiteRT-LM, and answers a chat.

    generate.py FOLDER/generate.json

The case names the bundle, a prompt as it is and a question for the chat template, with the number of tokens. Prints
one JSON object: the tokens of the prompt, the text that follows it, the rendered question and its answer.
"""

import json
import sys
from pathlib import Path

import litert_lm
from litert_lm import interfaces


def main():
    case_file = Path(sys.argv[1])
    case = json.loads(case_file.read_text())
    cpu = interfaces.Backend.CPU()
    engine = litert_lm.Engine(str(case_file.with_name(case["bundle"])), backend=cpu, enable_benchmark=True)
    out = {"start": engine.bos_token_id, "stops": [ids[0] for ids in engine.eos_token_ids], "raw": []}
    for prompt in case["prompts"]:
        session = engine.create_session(apply_prompt_template=False, max_output_tokens=case["tokens"])
        session.run_prefill([prompt])
        text = session.run_decode().texts[0]
        out["raw"].append({"ids": engine.tokenize(prompt), "text": text})
        session.close()
    chat = engine.create_conversation(max_output_tokens=case["tokens"])
    out["rendered"] = chat.render_message_to_string(case["question"])
    out["answer"] = str(chat.send_message(case["question"]))
    # The token in front of everything included.
    out["fed"] = chat.get_benchmark_info().last_prefill_token_count
    print(json.dumps(out))


main()
