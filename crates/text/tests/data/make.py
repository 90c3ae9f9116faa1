"""Writes what outsiders say: ids.json by `tokenizers`, chats.json and sampling.json by `transformers`.

Run from anywhere: python make.py. Needs tokenizers, transformers (with jinja2) and torch; no network.
"""

import datetime
import json
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = Path(__file__).parent
TINY = HERE / "../../../../fixtures/lfm2-tiny/tokenizer.json"
RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def dump(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


def small_tokenizer():
    """Every special kind of token in 400 ids: control, user-defined, normalized, and ids that stand for nothing."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in own}
    letters |= {b: chr(256 + k) for k, b in enumerate(b for b in range(256) if b not in own)}
    control = ["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|tool_call_start|>"]
    vocab = {token: i for i, token in enumerate(control)}
    for byte in range(256):
        vocab[letters[byte]] = 10 + byte  # ids 6 to 9 stand for nothing
    pairs = "t h|h e|th e|i n|a n|e r|o n|r e|Ġ t|Ġ a|in g|an d|Ġ and|Ċ Ċ|Ġ Ġ|ĠĠ ĠĠ|# #|Ã ©|Ã ¼|1 0|10 0|ã ģ|ð Ł"
    merges = [pair.split(" ") for pair in pairs.split("|")]
    for i, (left, right) in enumerate(merges):
        vocab[left + right] = 270 + i
    vocab["whole"] = 350  # a word no merge builds: found only because words that are tokens are never split
    added = [(token, True, False) for token in control]
    added += [("<think>", False, False), ("plain word", False, False), ("ordinary", False, True)]
    for i, (token, _, _) in enumerate(added[len(control):]):
        vocab[token] = 360 + i
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    bos = {"SpecialToken": {"id": control[1], "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    template = dict(
        type="TemplateProcessing",
        single=[bos, sequence],
        pair=[bos, sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        special_tokens={control[1]: dict(id=control[1], ids=[1], tokens=[control[1]])},
    )
    split = dict(type="Split", pattern={"Regex": RULE}, behavior="Isolated", invert=False)
    tokenizer = dict(
        version="1.0",
        # Left over from training: must not cut a text.
        truncation=dict(direction="Right", max_length=4, strategy="LongestFirst", stride=0),
        padding=None,
        added_tokens=[
            dict(id=vocab[t], content=t, single_word=False, lstrip=False, rstrip=False, normalized=n, special=s)
            for t, s, n in added
        ],
        normalizer=None,
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, byte_level]),
        post_processor=dict(type="Sequence", processors=[byte_level, template]),
        decoder=byte_level | dict(add_prefix_space=True, use_regex=True),
        model=dict(
            type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
            fuse_unk=False, byte_fallback=False, ignore_merges=True, vocab=vocab, merges=merges,
        ),
    )
    dump("small/tokenizer.json", tokenizer)
    config = dict(
        bos_token=control[1], eos_token=dict(content=control[4], lstrip=False), pad_token=control[0],
        add_bos_token=True, add_eos_token=False, tokenizer_class="PreTrainedTokenizerFast",
    )
    dump("small/tokenizer_config.json", config)


TEXTS = [
    "",
    "the",
    "whole",
    "The quick brown fox isn't slow; it's the one that'll win, they'VE said.",
    "and in the thing, whole wholes the whole",
    "Zwölf große Boxkämpfer jagten Eva über den Deich — für 12,50 €.",
    "こんにちは、世界。今日はいい天気ですね！",
    "数字１２３と半角123456789",
    "0 1 22 333 4444 55555 3.14159 1,000,000 0x1F",
    "a\nb\r\nc\n\n\nd\t\te   f    \n   g",
    "    indented\n\tand tabbed   ",
    "emoji: 😀👍🏽👩‍👩‍👧‍👦🇯🇵 done",
    "e\u0301 versus é, ﬁ, Å, \u200b\u00a0x",
    "### heading\n```rust\nfn main() { println!(\"{}\", x[0]); }\n```\n",
    "<|startoftext|><|im_start|>user\nthe plain word<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|><|im_start|>x<|im_end|",
    "<think>an ordinary plain word</think> extraordinary plain  word",
    "<|tool_call_start|>[f(a=1, b=\"x\")]<|tool_call_end|> <|unknown|> <|pad|>",
    "Mixed: Ünïcödé 漢字 кириллица العربية हिन्दी ไทย 한국어",
    "\u0000\u0001\u007f\ufffd\U0010ffff",
    " leading, trailing ",
    "'s 'S 'T don'T I'M",
]


def ids():
    result = {"made_by": f"tokenizers {tokenizers.__version__}", "texts": TEXTS}
    for name, path in (("small", HERE / "small/tokenizer.json"), ("lfm2-tiny", TINY)):
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        parsed = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        decoded = [tokenizer.decode(one, skip_special_tokens=True) for one in parsed]
        tokenizer.encode_special_tokens = True
        plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        result[name] = {"ids": parsed, "plain": plain, "decoded_without_special": decoded}
    dump("ids.json", result)


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's <weather> & more — für „überall“",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "days": {"type": "integer", "default": 1, "scale": 1.0}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}
CALL = {
    "role": "assistant",
    "tool_calls": [
        {"type": "function", "function": {"name": "weather", "arguments": {
            "place": "Köln", "days": 2, "exact": True, "unit": None, "scale": 0.5, "extra": {"b": 1, "a": [1, 2]}}}},
        {"type": "function", "function": {"name": "now", "arguments": {}}},
    ],
}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


CHATS = [
    ("one question", [say("user", "What is C. elegans?")], {"add_generation_prompt": True}),
    ("system", [say("system", "Be brief."), say("user", "Hi"), say("assistant", "Hello."), say("user", "Bye")],
     {"add_generation_prompt": True}),
    ("no generation prompt", [say("user", "Hi"), say("assistant", "Hello.")], {}),
    ("tools", [say("system", "Be brief."), say("user", "Weather?")], {"tools": [WEATHER, WEATHER]}),
    ("tools without system", [say("user", "Weather?")], {"tools": [WEATHER], "add_generation_prompt": True}),
    ("tool answer", [say("user", "Weather?"), say("assistant", "[weather()]"), say("tool", "{\"sun\": true}")],
     {"add_generation_prompt": True}),
    ("thinking is cut", [say("user", "1"), say("assistant", "<think>a\nb</think>\n one \n"), say("user", "2"),
                         say("assistant", "<think>c</think>two")], {}),
    ("thinking is kept", [say("user", "1"), say("assistant", "<think>a</think>one"), say("user", "2")],
     {"keep_past_thinking": True, "add_generation_prompt": True}),
    ("wrong role", [say("user", "1"), say("critic", "2")], {}),
    ("odd text", [say("user", "{{ not a template }} <|im_end|> \\n \"quotes\" 'single' &amp; <b>\n\ntail  ")], {}),
]
CHATS_25 = [
    ("calls", [say("user", "Weather?"), CALL, say("tool", "sun")], {"tools": [WEATHER], "add_generation_prompt": True}),
    ("thinking field", [say("user", "1"), say("assistant", "one", thinking="t1"), say("user", "2"),
                        say("assistant", "two", thinking="t2")], {}),
    ("parts", [say("user", [{"type": "text", "text": "See: "}, {"type": "image"}, {"type": "audio", "rate": 16000}])], {}),
]
VALUES = {"z": 1, "a": [1.5, True, None, "ä\"\\\n\u0007\u007f😀"], "empty": {}, "none": [], "nested": {"k": {"x": 1e-7}}}
WHITE = [
    ("three", [say("user", "Uno"), say("assistant", "due"), say("user", "tre")],
     {"values": VALUES, "add_generation_prompt": True}),
    ("one", [say("user", "solo")], {"values": VALUES}),
]


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5, 14, 7, 9)


def chats():
    chat_template_utils.datetime = Clock
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(HERE / "small/tokenizer.json"), bos_token="<|startoftext|>", eos_token="<|im_end|>"
    )
    cases = []
    for file, chats in (("lfm2", CHATS), ("lfm25", CHATS + CHATS_25), ("whitespace", WHITE)):
        source = (HERE / f"{file}.jinja").read_text(encoding="utf-8")
        for name, messages, options in chats:
            case = {"template": file, "name": name, "messages": messages, **{"options": options}}
            try:
                case["text"] = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False, **options)
            except Exception as error:  # jinja2's TemplateError carries the template's words
                case["refused"] = str(error)
            cases.append(case)
    dump("chats.json", {"made_by": f"transformers {transformers.__version__}", "now": "2026-03-05 14:07:09", "cases": cases})


SETTINGS = [
    dict(temperature=0.3, min_p=0.15, repetition_penalty=1.05),
    dict(temperature=0.1, top_k=50, repetition_penalty=1.05),
    dict(temperature=0.7, top_k=50, top_p=0.1, repetition_penalty=1.05),
    dict(temperature=1.0, top_k=8),
    dict(temperature=1.0, top_p=0.9),
    dict(temperature=1.5, top_k=20, top_p=0.8, min_p=0.05, repetition_penalty=1.3),
    dict(temperature=0.6, top_p=0.95, min_p=0.1, repetition_penalty=1.05),
    dict(temperature=2.0),
]


def sampling():
    from transformers import generation as g

    draw = torch.Generator().manual_seed(20261121)
    cases = []
    for settings in SETTINGS:
        # Quarters: ties occur, and the numbers are short and exact.
        logits = (torch.randn(1, 64, generator=draw) * 12).round() / 4
        history = torch.randint(0, 64, (1, 12), generator=draw)
        chain = []
        if "repetition_penalty" in settings:
            chain.append(g.RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
        chain.append(g.TemperatureLogitsWarper(settings["temperature"]))
        if "top_k" in settings:
            chain.append(g.TopKLogitsWarper(settings["top_k"]))
        if "top_p" in settings:
            chain.append(g.TopPLogitsWarper(settings["top_p"]))
        if "min_p" in settings:
            chain.append(g.MinPLogitsWarper(settings["min_p"]))
        scores = logits.double()
        for one in chain:
            scores = one(history, scores)
        shares = scores.softmax(-1)[0]
        kept = {str(i): float(f"{p:.12g}") for i, p in enumerate(shares.tolist()) if p > 0}
        cases.append({"options": settings, "logits": logits[0].tolist(), "history": history[0].tolist(), "kept": kept})
    dump("sampling.json", {"made_by": f"transformers {transformers.__version__}", "cases": cases})


if __name__ == "__main__":
    (HERE / "small").mkdir(exist_ok=True)
    small_tokenizer()
    ids()
    chats()
    sampling()
