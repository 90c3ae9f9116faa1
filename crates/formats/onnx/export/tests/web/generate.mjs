// Continues a prompt greedily with transformers.js, from a folder and nothing else.
//
//     node generate.mjs MODULES FOLDER PROMPT TOKENS
//
// MODULES is the folder that holds node_modules. Prints one JSON object: the prompt's tokens as the folder's tokenizer
// gives them and those that follow.

import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, prompt, count] = process.argv.slice(2);
const entry = createRequire(join(modules, "package.json")).resolve("@huggingface/transformers");
const { AutoModelForCausalLM, AutoTokenizer, env } = await import(pathToFileURL(entry));
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(folder));

// No dtype and no file name: the folder says it.
const name = basename(resolve(folder));
const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModelForCausalLM.from_pretrained(name);
const inputs = tokenizer(prompt);
const output = await model.generate({ ...inputs, max_new_tokens: Number(count), do_sample: false });
const start = inputs.input_ids.dims.at(-1);
const tokens = Array.from(output.tolist()[0], Number);
console.log(JSON.stringify({ version: env.version, prompt: tokens.slice(0, start), tokens: tokens.slice(start) }));
process.exit(0);
