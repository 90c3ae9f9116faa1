#!/usr/bin/env python3
"""Instructions of the kernels' products, which repeat exactly where times do not.

    python3 benches/instructions.py [--out FILE]

Runs each product once and three times under `valgrind --tool=callgrind` and divides the difference by two: instructions
for a product of 512 rows of 1024 columns with so many tokens, and for a thousand multiplications. valgrind knows no
AVX-512 and no AMX, so the rungs are scalar and avx2 on x86-64, and those of ARM there. Needs cargo and valgrind only.
"""
import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNGS = ["scalar", "avx2"] if platform.machine() == "x86_64" else ["scalar", "neon", "neon-dotprod"]
PRODUCTS, TOKENS, ROWS, COLUMNS = ["f32", "Q4_0", "Q8_0", "Q4_K", "Q6_K"], [1, 16], 512, 1024


def binary():
    built = subprocess.run(
        ["cargo", "bench", "-q", "-p", "lfmq-kernels", "--bench", "speed", "--no-run", "--message-format=json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    found = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    return [path for path in found if path][-1]


def count(program, *arguments):
    ran = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "count", *map(str, arguments)],
        capture_output=True, text=True,
    )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    return int(found.group(1)) if ran.returncode == 0 and found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out")
    out = parser.parse_args().out
    if not shutil.which("valgrind"):
        sys.exit("SKIPPED: valgrind is not installed")
    program, rows = binary(), []
    for rung in RUNGS:
        for product in PRODUCTS:
            for tokens in TOKENS:
                once, thrice = (count(program, rung, product, tokens, times) for times in (1, 3))
                if once is None or thrice is None:
                    print(f"SKIPPED: {rung} cannot be counted here", file=sys.stderr)
                    continue
                instructions = (thrice - once) / 2
                per = 1000 * instructions / (tokens * ROWS * COLUMNS)
                rows.append({"rung": rung, "product": product, "tokens": tokens, "instructions": round(instructions),
                             "per_thousand_multiplications": round(per, 1)})
                print(f"{rung:8} {product:5} {tokens:3} tokens: {instructions:12.0f}, {per:8.1f} a thousand multiplications")
    if out:
        Path(out).write_text(json.dumps({"schema_version": 1, "rows": ROWS, "columns": COLUMNS, "counts": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
