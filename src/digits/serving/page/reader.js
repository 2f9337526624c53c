/** Reads digits by asking the server. reader.wasm.js has the same face and reads in the browser. */

/** Whether drawings can be kept. */
export const keeps = true;

/** Resolves to [{name, classes, test_accuracy, dataset}], the default model first. */
export const models = async () => (await ask("GET", "api/models")).models;

/**
 * What each model of `names` takes a picture for, in one preparation for all.
 * @param {HTMLCanvasElement | Blob} picture - a drawing, or a picture's file.
 * @param {string[]} names - at least one.
 * @returns {Promise<{image: number[][], answers: object[]}>} the 28 rows of 28 inks (0 to 1) that the models saw, and
 *   an answer each: {model, digit, confidence, runner_up, probabilities: [{digit, probability}], the surest first}.
 * @throws {Error} with `status` where the server said no, and `wait` (seconds) where it said when to come again.
 */
export async function read(picture, names) {
  const answers = [];
  for (const model of names) {
    const path = `api/predict?model=${encodeURIComponent(model)}`;
    const pixels = answers[0]?.image;
    answers.push(await (pixels ? ask("POST", path, { pixels }) : ask("POST", path, await file(picture))));
  }
  return { image: answers[0].image, answers };
}

/** Keeps {id, pixels, label, model, answer}; a second time with the same id changes nothing. */
export const keep = (drawing) => ask("POST", "api/drawings", drawing);

/** Forgets what was kept under `id`, if anything was. */
export const forget = (id) =>
  ask("DELETE", `api/drawings/${id}`).catch((error) => error.status === 404 || Promise.reject(error));

const file = (picture) => (picture instanceof Blob ? picture : new Promise((done) => picture.toBlob(done, "image/png")));

async function ask(method, path, content) {
  const json = content && !(content instanceof Blob);
  const response = await fetch(path, {
    method,
    body: json ? JSON.stringify(content) : content,
    headers: json ? { "Content-Type": "application/json" } : {}, // a Blob brings its own
    signal: AbortSignal.timeout(15_000),
  });
  if (response.ok) return response.status === 204 ? null : response.json();
  const { error } = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) || undefined;
  throw Object.assign(new Error(error ?? response.statusText), { status: response.status, wait });
}
