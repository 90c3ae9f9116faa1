#!/usr/bin/env python3
"""Times lfmq and the tools it is compared with, in alternation, on one synthetic checkpoint; writes one JSON file.

    python3 benches/run.py [--shape 350M] [--out benches/results/NAME.json] [--work DIR] [--rounds 2] [--only quantize,run,...] [--recipes Q4_0,...]
    python3 benches/run.py --shape 8B-A1B --only whole      a mixture of experts through every format, and its memory

Standard library only. lfmq and lfmq-testkit are looked for in target/release (LFMQ, LFMQ_TESTKIT name others). The others
run where they are found, on PATH or by environment variable, and are skipped by name where not:

    LLAMA_CONVERT   the converter as a command, e.g. "python3 /src/convert_hf_to_gguf.py"   (convert_hf_to_gguf.py)
    LLAMA_QUANTIZE  llama.cpp's quantizer                                                   (llama-quantize)
    LLAMA_BENCH     llama.cpp's bench                                                       (llama-bench)
    ORT_PYTHON      a python that imports onnxruntime and numpy
    LITERT_PYTHON   a python that imports ai_edge_litert and numpy

See docs/speed.md for what the figures mean. Nothing here asserts a time.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from measure import ROOT, find, machine, median, note, ratio, summary, timed
from whole import whole

QUANTIZE = ["Q8_0", "Q4_0", "Q6_K", "Q4_K_M", "IQ4_XS"]
RUN = ["Q4_0", "Q4_K_M", "Q8_0"]
PREFILL, DECODE, DEPTH = 512, 32, 128
# A peer that takes longer than this is run once.
PATIENCE_S = 8.0


class Bench:
    def __init__(self, args):
        self.args = args
        # A folder a shape: what lies in it is used again.
        self.work = Path(args.work) / args.shape
        self.work.mkdir(parents=True, exist_ok=True)
        self.syn = self.work / "synth"
        self.lfmq = find("LFMQ", None) or [ROOT / "target/release/lfmq"]
        self.licence = self.work / "LICENSE"
        self.licence.write_text("synthetic weights, no rights reserved\n")
        self.threads = ["--threads", str(args.threads)]

    def synth(self):
        if not (self.syn / "config.json").exists():
            testkit = shlex.split(os.environ.get("LFMQ_TESTKIT", str(ROOT / "target/release/lfmq-testkit")))
            if timed(testkit + ["synth", self.args.shape, self.syn]) is None:
                sys.exit("no checkpoint to work on")

    def quantized(self, recipe, to="gguf"):
        """Quantizes; the measurement. The artifact is left in `folder(recipe)`."""
        folder = self.folder(recipe)
        shutil.rmtree(folder, ignore_errors=True)
        return timed(self.lfmq + ["-q", *self.threads, "quantize", self.syn, "--recipe", recipe, "--to", to,
                                  "--no-verify", "--license-file", self.licence, "-o", folder])

    def folder(self, recipe):
        return self.work / f"ours-{recipe}"

    def file(self, recipe, extension="gguf"):
        found = sorted(self.folder(recipe).rglob(f"*.{extension}"))
        return found[0] if found else None

    # ---- quantizing

    def quantize(self):
        converter, quantizer = find("LLAMA_CONVERT", "convert_hf_to_gguf.py"), find("LLAMA_QUANTIZE", "llama-quantize")
        source, conversion = self.work / "bf16.gguf", None
        if converter and quantizer:
            conversion = timed(converter + [self.syn, "--outtype", "bf16", "--outfile", source])
            if conversion is None and self.quantized("BF16") is not None:
                note("llama.cpp's quantizer gets the BF16 file of lfmq")
                shutil.move(self.file("BF16"), source)
        rows = {}
        for recipe in QUANTIZE:
            ours, theirs = [], []
            for round_ in range(self.args.rounds + 1):
                ours.append(self.quantized(recipe))
                slow = theirs and theirs[-1] and theirs[-1]["wall_s"] > PATIENCE_S
                if quantizer and source.exists() and not slow and round_ < self.args.rounds:
                    theirs.append(timed(quantizer + [source, self.work / "theirs.gguf", recipe, str(self.args.threads)]))
            rows[recipe] = {"lfmq": self.costs(ours), "llama_quantize": self.costs(theirs)}
            note(f"quantize {recipe}: lfmq {rows[recipe]['lfmq']}, llama-quantize {rows[recipe]['llama_quantize']}")
        return {"converter": self.costs([conversion]), "recipes": rows}

    @staticmethod
    def costs(runs):
        runs = [r for r in runs if r]
        if not runs:
            return None
        cpu = summary([r["user_s"] + r["system_s"] for r in runs])
        return {"cpu_s": cpu, "peak_mib": max(r["peak_mib"] for r in runs)} | {
            k: summary([r[k] for r in runs]) for k in ("user_s", "system_s", "wall_s")
        }

    # ---- running

    def bench_lfmq(self, recipe, path, out):
        ran = timed(self.lfmq + ["--format", "json", "-q", *self.threads, "bench", path, "--prefill", PREFILL, "--decode", DECODE])
        if ran:
            latency = json.loads(ran["printed"])["result"]["latency"]
            out["prefill"].append(latency["prefill"][0]["tokens_per_second"])
            out["decode"].append(latency["decode"]["tokens_per_second"])
            out["load_ms"].append(latency["load_ms"])

    def bench_llama(self, bench, path, out):
        common = [*bench, "-m", path, "-t", self.args.threads, "-r", 3, "-o", "json"]
        for key, asked in [("prefill", ["-p", PREFILL, "-n", 0]), ("decode", ["-p", 0, "-n", DECODE, "-d", DEPTH])]:
            if ran := timed(common + asked):
                out[key].append(json.loads(ran["printed"])[0]["avg_ts"])

    def bench_script(self, script, path, out):
        ran = timed([*script, path, str(self.args.threads), str(PREFILL), str(DECODE), str(DEPTH)])
        if ran:
            figures = json.loads(ran["printed"].splitlines()[-1])
            out["prefill"].append(figures["prefill"])
            out["decode"].append(figures["decode"])

    def compare(self, recipe, ours, peers, limits, weights):
        """`ours` and each of `peers`, functions that add to lists of rates, in alternation."""
        rates = {name: {"prefill": [], "decode": [], "load_ms": []} for name in ["lfmq", *peers]}
        for _ in range(self.args.rounds):
            ours(rates["lfmq"])
            for name, peer in peers.items():
                peer(rates[name])
        row = {name: {k: summary(v) for k, v in lists.items() if v} for name, lists in rates.items()}
        for name in peers:
            row[f"times_{name}"] = {k: ratio(row["lfmq"].get(k), row[name].get(k)) for k in ("prefill", "decode")}
        row["weight_bytes"], (linear, read, stream, int8) = weights, limits
        decode, prefill = median(row["lfmq"].get("decode")), median(row["lfmq"].get("prefill"))
        if decode and stream:
            row["decode_share_of_stream"] = round(decode * weights * read / 1e9 / stream, 3)
        if prefill and int8:
            row["prefill_share_of_int8_peak"] = round(prefill * 2 * linear / 1e9 / int8, 3)
        note(f"run {recipe}: " + json.dumps(row))
        return row

    def active(self):
        """Weights that meet every token, the head apart; and the share of all bytes that a token reads, the head with it."""
        met, read, held = 0, 0, 0
        config = json.loads((self.syn / "config.json").read_text())
        share = config.get("num_experts_per_tok", 0) / config["num_experts"] if config.get("num_experts") else 1
        for shard in self.syn.glob("*.safetensors"):
            with shard.open("rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            for name, tensor in header.items():
                shape = tensor.get("shape", [])
                if len(shape) != 2:
                    continue
                used = shape[0] * shape[1] * (share if ".experts." in name else 1)
                met += used if "embed" not in name and "lm_head" not in name else 0
                read, held = read + used, held + shape[0] * shape[1]
        return met, read / held

    def run(self, here):
        limits = *self.active(), here["stream_read_gb_s"], here["int8_peak_gop_s"]
        llama, rows = find("LLAMA_BENCH", "llama-bench"), {}
        for recipe in self.args.recipes.split(","):
            if self.file(recipe) is None:
                self.quantized(recipe)
            path = self.file(recipe)
            peers = {"llama_cpp": lambda out: self.bench_llama(llama, path, out)} if llama else {}
            rows[recipe] = self.compare(recipe, lambda out: self.bench_lfmq(recipe, path, out), peers, limits, path.stat().st_size)
        return rows

    def other(self, here, recipe, to, extension, variable, script):
        """A format whose runtime is driven from Python."""
        python = find(variable, None)
        if not python:
            return note(f"SKIPPED: no ${variable}")
        cost = self.quantized(recipe, to)
        path = self.file(recipe, extension)
        if path is None:
            return None
        limits = *self.active(), here["stream_read_gb_s"], here["int8_peak_gop_s"]
        weights = sum(f.stat().st_size for f in path.parent.iterdir() if f.name.startswith(path.name))
        peer = {"runtime": lambda out: self.bench_script([*python, ROOT / "benches" / script], path, out)}
        row = self.compare(recipe, lambda out: self.bench_lfmq(recipe, path, out), peer, limits, weights)
        return row | {"quantize": self.costs([cost])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="350M")
    parser.add_argument("--out", default=str(ROOT / "benches/results/run.json"))
    parser.add_argument("--work", default=str(Path(tempfile.gettempdir()) / "lfmq-bench"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="quantize,run,onnx,tflite", help="of these, and `whole`")
    parser.add_argument("--recipes", default=",".join(RUN), help="GGUF recipes to run")
    args = parser.parse_args()
    wanted, bench = set(args.only.split(",")), Bench(args)
    here = machine(args.threads)
    note(json.dumps(here))
    bench.synth()
    result = {"schema_version": 1, "shape": args.shape, "threads": args.threads, "rounds": args.rounds,
              "prefill_tokens": PREFILL, "decode_tokens": DECODE, "decode_depth": DEPTH, "machine": here,
              "load_before": os.getloadavg()[0]}
    if "quantize" in wanted:
        result["quantize"] = bench.quantize()
    if "whole" in wanted:
        result["whole"] = whole(bench)
    if "run" in wanted:
        result["gguf"] = bench.run(here)
    if "onnx" in wanted:
        result["onnx"] = bench.other(here, "onnx-q4", "onnx", "onnx", "ORT_PYTHON", "peer_ort.py")
    if "tflite" in wanted:
        result["tflite"] = bench.other(here, "tflite-q8", "tflite", "tflite", "LITERT_PYTHON", "peer_litert.py")
    result["load_after"] = os.getloadavg()[0]
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    note(f"wrote {args.out}")


if __name__ == "__main__":
    main()
