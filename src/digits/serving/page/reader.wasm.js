/** Reads digits in the browser with ONNX Runtime Web: the face of reader.js, without a server. */

import * as ort from "./ort.wasm.bundle.min.mjs";
import { prepare } from "./prepare.js";

/** There is nowhere to keep drawings; the page asks this first. */
export const keeps = false;
export const keep = null;
export const forget = null;

ort.env.wasm.numThreads = 1; // more would need headers that plain file servers do not send
const sessions = new Map();

/** As in reader.js. All is loaded now, so that from here on it works offline. */
export async function models() {
  const { models: found } = await (await load("models.json")).json();
  for (const { name, file } of found) {
    const content = new Uint8Array(await (await load(file)).arrayBuffer());
    sessions.set(name, await ort.InferenceSession.create(content, { executionProviders: ["wasm"] }));
  }
  for (const { classes, name } of found) sessions.get(name).classes = classes;
  return found;
}

/** As in reader.js. */
export async function read(picture, names) {
  const pixels = await prepare(picture); // Float32Array of 784
  const images = new ort.Tensor("float32", pixels, [1, 1, 28, 28]);
  const answers = [];
  for (const model of names) {
    const session = sessions.get(model);
    const { data } = (await session.run({ images }, ["probabilities"])).probabilities;
    const probabilities = session.classes
      .map((digit, at) => ({ digit, probability: data[at] }))
      .sort((a, b) => b.probability - a.probability);
    const [{ digit, probability: confidence }, second] = probabilities;
    answers.push({ model, digit, confidence, runner_up: second?.digit, probabilities });
  }
  return { image: Array.from({ length: 28 }, (_, y) => [...pixels.subarray(28 * y, 28 * y + 28)]), answers };
}

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw Object.assign(new Error(`${path}: ${response.statusText}`), { status: response.status });
  return response;
}
