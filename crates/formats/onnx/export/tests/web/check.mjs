// Runs a case in onnxruntime-web, by WebAssembly on one thread.
//
//     node check.mjs MODULES FOLDER/case.json
//
// MODULES is the folder that holds node_modules. The case names the graph, the tokens, how they are cut into steps
// (several ways), and a file of expected logits [tokens, vocab]. Prints one JSON object: for each way the largest
// difference over the standard deviation of the expected logits, the median of it by position, and the mean KL
// divergence in nats.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

const [modules, caseFile] = process.argv.slice(2);
const ort = createRequire(join(modules, "package.json"))("onnxruntime-web");
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const folder = dirname(caseFile);
const task = JSON.parse(readFileSync(caseFile));
const graph = join(folder, task.graph);

function session() {
  const externalData = [];
  for (let n = 0; ; n++) {
    const path = graph + "_data" + (n ? `_${n}` : "");
    if (!existsSync(path)) break;
    externalData.push({ path: basename(path), data: readFileSync(path) });
  }
  return ort.InferenceSession.create(readFileSync(graph), { executionProviders: ["wasm"], externalData });
}

const int64 = (values, dims) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
const past = (present) => present.replace("present_conv", "past_conv").replace("present.", "past_key_values.");

function emptyCache(input) {
  const dims = input.shape.map((d) => (d === "batch_size" ? 1 : typeof d === "number" ? d : 0));
  const size = dims.reduce((a, b) => a * b, 1);
  const half = input.type === "float16";
  return new ort.Tensor(input.type, half ? new Uint16Array(size) : new Float32Array(size), dims);
}

async function run(model, steps) {
  const inputs = Object.fromEntries(model.inputMetadata.map((i) => [i.name, i]));
  let cache = {};
  for (const name of Object.keys(inputs)) if (name.startsWith("past")) cache[name] = emptyCache(inputs[name]);
  const rows = [];
  let at = 0;
  for (const n of steps) {
    const feeds = { ...cache, input_ids: int64(task.ids.slice(at, at + n), [1, n]) };
    feeds.attention_mask = int64(Array(at + n).fill(1), [1, at + n]);
    if (inputs.num_logits_to_keep) feeds.num_logits_to_keep = int64([0], []);
    at += n;
    const found = await model.run(feeds);
    cache = {};
    for (const [name, value] of Object.entries(found)) if (name !== "logits") cache[past(name)] = value;
    rows.push(...split(found.logits.data, n));
  }
  return rows;
}

function split(values, rows) {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, i) => values.slice(i * width, (i + 1) * width));
}

function logSoftmax(row) {
  const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const v of row) sum += Math.exp(v - max);
  const lse = max + Math.log(sum);
  return Float64Array.from(row, (v) => v - lse);
}

function compare(rows, expected) {
  const all = expected.flatMap((row) => Array.from(row));
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const deviation = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
  const gaps = rows.map((row, i) => row.reduce((worst, v, j) => Math.max(worst, Math.abs(v - expected[i][j])), 0));
  let kld = 0;
  rows.forEach((row, i) => {
    const [p, q] = [logSoftmax(expected[i]), logSoftmax(row)];
    p.forEach((lp, j) => (kld += Math.exp(lp) * (lp - q[j])));
  });
  gaps.sort((a, b) => a - b);
  const worst = gaps.at(-1) / deviation;
  return { worst, median: gaps[gaps.length >> 1] / deviation, kld: kld / rows.length };
}

const bytes = readFileSync(join(folder, task.expected));
const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const expected = split(logits, task.ids.length);
const model = await session();
const runs = [];
for (const steps of task.steps) runs.push({ steps: steps.length, ...compare(await run(model, steps), expected) });
console.log(JSON.stringify({ web: ort.env.versions.web, runs }));
