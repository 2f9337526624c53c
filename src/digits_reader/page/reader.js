/** Reads digits and saves drawings through the server. reader.wasm.js exports the same names and needs no server. */

/** Whether drawings can be saved. */
export const canSave = true;

/** Resolves to [{name, classes, test_accuracy, dataset}], the default model first; here all of them are ready to read. */
export const loadModels = async () => (await request("GET", "api/models")).models;

/**
 * Asks models for the digit on a picture. The first prepares it; the others get its 28x28 image.
 * @param {HTMLCanvasElement | Blob} picture - a drawing, or a picture file.
 * @param {string[]} names - of the models, at least one.
 * @returns {Promise<{image: number[][], answers: object[]}>} the models' input, 28 rows of 28 numbers (ink 1, paper 0),
 *   and from each model {model, digit, confidence, runner_up, certain, probabilities: [{digit, probability}, highest first]};
 *   `certain` is false if the picture looks like no digit that the model knows, null if it has not learned to tell.
 * @throws {Error} with the server's `status`, the `code` of what is wrong with a picture and, if it sent Retry-After,
 *   `wait` in seconds.
 */
export async function readPicture(picture, names) {
  const answers = [];
  for (const model of names) {
    const [route, content] = answers[0] ? ["pixels", { pixels: answers[0].image }] : ["predict", await toFile(picture)];
    answers.push(await request("POST", `api/${route}?model=${encodeURIComponent(model)}`, content));
  }
  return { image: answers[0].image, answers };
}

/**
 * Reads several digits, for which readPicture throws an error with the code several_digits. Same arguments as there.
 * @returns {Promise<{answers: {model, lines: {number, digits}[]}[]}>} a digit has its own confidence and its box: left, top,
 *   right, bottom in pixels of the picture.
 */
export async function readNumber(picture, names) {
  const file = await toFile(picture);
  const read = (model) => request("POST", `api/number?model=${encodeURIComponent(model)}`, file);
  return { answers: await Promise.all(names.map(read)) };
}

/** Saves {id, pixels, label, model, answer}; a second call with the same id changes nothing. */
export const saveDrawing = (drawing) => request("POST", "api/drawings", drawing);

/** Deletes the drawing with this id; it is no error if there is none. */
export const deleteDrawing = (id) =>
  request("DELETE", `api/drawings/${id}`).catch((error) => error.status === 404 || Promise.reject(error));

const toFile = (picture) =>
  picture instanceof Blob ? picture : new Promise((resolve) => picture.toBlob(resolve, "image/png"));

async function request(method, path, content) {
  const json = content && !(content instanceof Blob);
  const response = await fetch(path, {
    method,
    body: json ? JSON.stringify(content) : content,
    headers: json ? { "Content-Type": "application/json" } : {}, // fetch sends a Blob's own type
    signal: AbortSignal.timeout(15_000),
  });
  if (response.ok) return response.status === 204 ? null : response.json();
  const { error, code } = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) || undefined;
  throw Object.assign(new Error(error ?? response.statusText), { status: response.status, code, wait });
}
