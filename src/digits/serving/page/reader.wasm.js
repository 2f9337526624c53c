/** Reads digits in the browser with ONNX Runtime Web; takes the place of reader.js in the static site. */

import * as ort from "./ort.wasm.bundle.min.mjs";
import { prepare } from "./prepare.js";

export const canSave = false; // so the page never calls the other two
export const saveDrawing = null;
export const deleteDrawing = null;

ort.env.wasm.numThreads = 1; // more threads need headers that plain file servers do not send
const sessions = new Map();

/** As in reader.js. Loads every model now, so that the page works offline afterwards. */
export async function loadModels() {
  const { models } = await (await load("models.json")).json();
  for (const { name, file } of models) {
    const content = new Uint8Array(await (await load(file)).arrayBuffer());
    sessions.set(name, await ort.InferenceSession.create(content, { executionProviders: ["wasm"] }));
  }
  for (const { classes, name } of models) sessions.get(name).classes = classes;
  return models;
}

/** As in reader.js. */
export async function readPicture(picture, names) {
  const pixels = await prepare(picture); // Float32Array of 784
  const images = new ort.Tensor("float32", pixels, [1, 1, 28, 28]);
  const answers = [];
  for (const model of names) {
    const session = sessions.get(model);
    const { data } = (await session.run({ images }, ["probabilities"])).probabilities;
    const probabilities = session.classes
      .map((digit, index) => ({ digit, probability: data[index] }))
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
