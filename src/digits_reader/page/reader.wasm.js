/** Reads digits in the browser with ONNX Runtime Web; takes the place of reader.js in the static site. */

import * as ort from "./ort.wasm.bundle.min.js";
import { sum } from "./numbers.js";
import { prepare, prepareNumber } from "./prepare.js";

export const canSave = false; // so the page never calls the other two
export const saveDrawing = null;
export const deleteDrawing = null;

const EVEN = 0.5; // a digit that is less probable is more likely another
const WASM = "ort-wasm-simd-threaded.wasm";
const SITE = new URL("./", document.baseURI).href; // names the cache too, which all pages of a host share
const sessions = new Map();
let limits = null; // of numbers.py

/** As in reader.js. Resolves when the first model can read; each further one can after its load(report). */
export async function loadModels(report) {
  const listed = await (await get("models.json", { cache: "no-cache" })).json();
  const { models, files, runtime } = listed; // files: their bytes
  limits = listed.limits;
  const addressOf = ({ file, sha256 }) => `${file}?${sha256}`; // another content has another address
  const fetchModel = (model, progress) => {
    progress.total += files[model.file];
    return kept(addressOf(model), async (address) => received(await get(address), progress));
  };
  const [first, ...others] = models;
  const progress = new Progress(report);
  const content = fetchModel(first, progress); // at the same time as the runtime
  ort.env.wasm.numThreads = 1; // more threads need headers that plain file servers do not send
  ort.env.wasm.wasmBinary = await kept(`${WASM}?${runtime}`, (address) => fetchRuntime(address, files, progress));
  await startSession(first, await content);
  for (const model of others) {
    model.load = async (report) => startSession(model, await fetchModel(model, new Progress(report)));
  }
  keepPage(Object.keys(files), [`${WASM}?${runtime}`, ...models.map(addressOf)]).catch(console.info);
  return models;
}

/** As in reader.js. */
export async function readPicture(picture, names) {
  const pixels = await prepare(picture); // Float32Array of 784
  const answers = [];
  for (const model of names) answers.push({ model, ...(await answer(model, pixels)) });
  return { image: Array.from({ length: 28 }, (_, y) => [...pixels.subarray(28 * y, 28 * y + 28)]), answers };
}

/** As in reader.js. */
export async function readNumber(picture, names) {
  const rows = await prepareNumber(picture);
  const answers = [];
  for (const model of names) {
    const lines = [];
    for (const row of rows) {
      const digits = [];
      for (const cluster of row) {
        const read = await answer(model, cluster.image);
        if (!isDigit(cluster, read)) throw Object.assign(new Error("no single digit"), { code: "no_single_digit" });
        digits.push({ ...read, box: cluster.box });
      }
      lines.push({ number: digits.map(({ digit }) => digit).join(""), digits });
    }
    answers.push({ model, lines });
  }
  return { answers };
}

/** Whether a cluster of marks is a single digit, as in numbers.py. */
function isDigit({ width, height, crowding }, { certain, confidence }) {
  const unlikeliness = Math.log(1.001 - confidence);
  const doubt = limits.width_weight * width + limits.crowding_weight * Math.sqrt(crowding) + limits.unlikeliness_weight * unlikeliness;
  return certain !== false && confidence >= limits.min_confidence && height >= limits.min_height && doubt <= limits.max_doubt;
}

async function answer(model, pixels) {
  const session = sessions.get(model);
  const images = new ort.Tensor("float32", pixels, [1, 1, 28, 28]);
  const { logits, probabilities: shares } = await session.run({ images }, ["logits", "probabilities"]);
  const probabilities = session.classes
    .map((digit, index) => ({ digit, probability: shares.data[index] }))
    .sort((a, b) => b.probability - a.probability);
  const [{ digit, probability: confidence }, second] = probabilities;
  const isKnown = (least) => energyOf([...logits.data]) >= least && confidence >= EVEN;
  const certain = session.leastEnergy == null ? null : isKnown(session.leastEnergy);
  return { digit, confidence, runner_up: second?.digit, certain, probabilities };
}

/** The logarithm of the sum of the exponentials; low where the model knows no such digit. */
function energyOf(logits) {
  const most = Math.max(...logits);
  return most + Math.log(sum(logits.map((logit) => Math.exp(logit - most))));
}

async function startSession({ name, classes, least_energy: leastEnergy }, content) {
  const session = await ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"] });
  sessions.set(name, Object.assign(session, { classes, leastEnergy }));
}

/** Counts the bytes that have been loaded, and reports them with the total. */
class Progress {
  done = 0;
  total = 0;

  constructor(report) {
    this.report = report;
  }

  add(bytes) {
    this.done += bytes;
    this.report(this.done, this.total);
  }
}

/** Fetches the runtime in the smallest form that both this host and this browser support; `files` has the sizes. */
async function fetchRuntime(address, files, progress) {
  for (const suffix of [".br", ""]) {
    const response = await get(address.replace(WASM, WASM + suffix));
    const encoding = response.headers.get("Content-Encoding"); // the browser has already unpacked it
    if (encoding === "br" || (encoding && !suffix)) {
      const size = files[WASM + (encoding === "br" ? ".br" : ".gz")];
      progress.total += size;
      return received(response, progress, size / files[WASM]);
    }
    response.body.cancel();
  }
  const suffix = globalThis.DecompressionStream ? ".gz" : "";
  progress.total += files[WASM + suffix];
  const content = await received(await get(address.replace(WASM, WASM + suffix)), progress);
  if (new Uint8Array(content)[0] !== 0x1f) return content; // not packed, or the browser has unpacked it
  return new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** The content of an address, from the browser's store, or else fetched and stored. */
async function kept(address, fetchContent) {
  const cache = await globalThis.caches?.open(SITE).catch(() => null); // plain HTTP has none, a full disk refuses
  const found = await cache?.match(address);
  if (found) return found.arrayBuffer();
  const content = await fetchContent(address);
  cache?.put(address, new Response(content)).catch(console.info);
  return content;
}

/** Keeps the page too, so that from now on it works without its host; deletes what an earlier export has kept. */
async function keepPage(files, addresses) {
  if (!navigator.serviceWorker) return; // plain HTTP has none
  await navigator.serviceWorker.register("offline.js");
  const cache = await caches.open(SITE);
  const page = ["./", "models.json", ...files.filter((name) => /^ink.onnx$|\.(html|css|js|svg)$/.test(name))];
  await cache.addAll(page.map((name) => new Request(name, { cache: "no-cache" })));
  const wanted = new Set([...page, ...addresses].map((name) => new URL(name, SITE).href));
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
}

async function get(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw Object.assign(new Error(`${address}: ${response.statusText}`), { status: response.status });
  return response;
}

/** Reads a response to its end; each byte counts as `share` of one. */
async function received(response, progress, share = 1) {
  const [reader, parts] = [response.body.getReader(), []];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    progress.add(share * part.value.length);
  }
  return new Blob(parts).arrayBuffer();
}
