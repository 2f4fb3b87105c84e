// transformers.js on onnxruntime-node; speaks as benchmarks/programs/runs.py says.
// Arguments: folder of images, model folder, dtype, batch size.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { env, pipeline } from "@huggingface/transformers";

const [images, model, dtype, batch] = process.argv.slice(2);
const files = readdirSync(images).sort().map((name) => join(images, name));
const batchSize = Number(batch);

env.allowRemoteModels = false;
env.localModelPath = dirname(model);
const classifier = await pipeline("image-classification", basename(model), { dtype, device: "cpu" });

async function runOnce(count) {
  const labels = [];
  const start = performance.now();
  for (let first = 0; first < count; first += batchSize) {
    const several = [];
    for (let n = first; n < Math.min(first + batchSize, count); n += 1) several.push(files[n % files.length]);
    for (const best of await classifier(several, { top_k: 1 })) labels.push(best[0].label);
  }
  const seconds = (performance.now() - start) / 1000;
  if (labels.length !== count) throw new Error(`${labels.length} labels for ${count} images`);
  return { images: count, seconds, labels: labels.slice(0, files.length) };
}

function versionOf(name) {
  const folder = createRequire(import.meta.url).resolve.paths(name)[0];
  return JSON.parse(readFileSync(join(folder, name, "package.json"))).version;
}

const names = ["@huggingface/transformers", "onnxruntime-node", "sharp"];
const versions = Object.fromEntries(names.map((name) => [name, versionOf(name)]));
console.log(JSON.stringify({ versions: { node: process.version, ...versions } }));
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await runOnce(Number(line))));
}
