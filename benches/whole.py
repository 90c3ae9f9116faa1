"""A checkpoint through the whole program: written in every format from one reading, verified from each file, run.

What it is for is a mixture of experts larger than memory (`--shape 8B-A1B --only whole`): what it costs in time, in anonymous memory,
and beside llama.cpp's converter and quantizer. Each file is removed when its figures are taken, but for the one that runs.
"""

import json
import shutil

from measure import find, note, timed

FORMATS = {"gguf": "gguf", "onnx": "onnx", "tflite": "tflite"}
WINDOWS, WINDOW = 4, 128


def costs(ran):
    return {k: v for k, v in ran.items() if k != "printed"} if ran else None


def warm(folder):
    """Reads every shard, so that the kernel holds what fits."""
    for shard in folder.glob("*.safetensors"):
        with shard.open("rb") as file:
            while file.read(1 << 24):
                pass


def said(ran, *keys):
    """A value of the JSON that lfmq printed; None where it did not run."""
    value = json.loads(ran["printed"])["result"] if ran else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def verified(bench, path):
    command = ["verify", path, "--against", bench.syn, "--windows", WINDOWS, "--window", WINDOW, "--task-items", 0, "--no-latency"]
    ran = timed(bench.lfmq + ["--format", "json", "-q", *bench.threads, *command], fine=(0, 1))
    row = costs(ran) or {}
    gates = said(ran, "gates", "gates") or []
    return row | {
        "windows": WINDOWS, "tokens_a_window": WINDOW,
        "mean_kld_nats": said(ran, "drift", "kld", "mean", "value"),
        "router_overlap": said(ran, "drift", "router", "overlap", "value"),
        "values_exact": said(ran, "weights", "exact"), "values_differ": said(ran, "weights", "differs"),
        "gates": {g["name"]: g["verdict"] for g in gates},
    }


def ran_alone(bench, path):
    """`lfmq bench` in a process of its own: rates and memory, of which mapped pages and reads from disk apart."""
    ran = timed(bench.lfmq + ["--format", "json", "-q", *bench.threads, "bench", path, "--prefill", 128, "--decode", 32])
    return (costs(ran) or {}) | {"latency": said(ran, "latency")}


def beside(bench):
    """llama.cpp's two steps to the same Q4_0 file: convert, then quantize."""
    converter, quantizer = find("LLAMA_CONVERT", "convert_hf_to_gguf.py"), find("LLAMA_QUANTIZE", "llama-quantize")
    if not converter or not quantizer:
        return None
    source, target = bench.work / "bf16.gguf", bench.work / "theirs.gguf"
    rows = {"converter": costs(timed(converter + [bench.syn, "--outtype", "bf16", "--outfile", source]))}
    rows["quantizer"] = costs(timed(quantizer + [source, target, "Q4_0", str(bench.args.threads)]))
    for file in (source, target):
        file.unlink(missing_ok=True)
    return rows


def whole(bench):
    result = {"checkpoint_bytes": sum(f.stat().st_size for f in bench.syn.glob("*.safetensors"))}
    warm(bench.syn)
    result["q4_0"] = [costs(bench.quantized("Q4_0")) for _ in range(bench.args.rounds)]
    note(f"Q4_0: {result['q4_0']}")
    result["run_q4_0"] = ran_alone(bench, bench.file("Q4_0"))
    note(f"bench: {result['run_q4_0']}")
    shutil.rmtree(bench.folder("Q4_0"))
    result["llama_cpp_q4_0"] = beside(bench)
    note(f"llama.cpp: {result['llama_cpp_q4_0']}")
    folder = bench.folder("every-format")
    shutil.rmtree(folder, ignore_errors=True)
    result["three_formats"] = costs(timed(bench.lfmq + [
        "-q", *bench.threads, "quantize", bench.syn, "--bits", 4, "--to", ",".join(FORMATS), "--no-verify",
        "--license-file", bench.licence, "-o", folder]))
    note(f"three formats: {result['three_formats']}")
    result["verify"] = {}
    for name, extension in FORMATS.items():
        path = next((folder / name).rglob(f"*.{extension}"), None)
        if path is None:
            continue
        result["verify"][name] = {"file_bytes": sum(f.stat().st_size for f in path.parent.glob(path.name + "*"))} | verified(bench, path)
        note(f"verify {name}: {result['verify'][name]}")
        shutil.rmtree(folder / name)
    return result
