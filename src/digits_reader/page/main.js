/** The page: reads the drawing while it is drawn, shows the answers, saves labelled drawings. */

import { addCard, digitText, emptyCards, fillCards, showInput, showNumbers, sureText } from "./cards.js";
import { Pad } from "./pad.js";
import { canSave, deleteDrawing, loadModels, readNumber, readPicture, saveDrawing } from "./reader.js";
import { megabytes, translate, words } from "./words.js";

const OUTDATED_AFTER = 300; // milliseconds that an answer may stay after the drawing has changed
const byId = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const isTemporary = ({ status, code }) => !code && (!status || status === 429 || status >= 500); // try again
const REASONS = { no_picture: "noPicture", no_ink: "noInk", no_single_digit: "touching" }; // by an error's code

translate(document);
const pad = new Pad(byId("pad"), onChange);
let names = []; // of the models that can read, the default first
let version = 0; // counts the drawing's changes
let answeredVersion = 0;
let current = null; // {image, answers} of the drawing as it is now; {id, label} too once it was sent to be saved
let saved = null; // the last such that was saved
let isReading = false;
let outdatedTimer = null;
let trouble = null; // why the last request failed, while it is tried again

function onChange() {
  version++;
  offerLabels(null);
  showEraser();
  if (pad.empty) return showNoAnswer("empty");
  outdatedTimer ??= setTimeout(() => showNoAnswer(trouble ?? "reading"), OUTDATED_AFTER);
  readUntilCurrent();
}

/** Reads until the newest drawing has an answer: one request at a time, and only for the newest drawing. */
async function readUntilCurrent() {
  if (isReading || !names.length) return;
  isReading = true;
  let wait = 1;
  while (answeredVersion !== version && !pad.empty) {
    const [readVersion, { stroke }] = [version, pad];
    // An answer to an earlier part of the same stroke is still shown: the next one follows at once.
    const isOutdated = () => readVersion !== version && !(stroke && stroke === pad.stroke);
    try {
      const result = await readPicture(pad.picture, names).catch((error) =>
        error.code === "several_digits" ? readSeveral(pad.picture) : Promise.reject(error),
      );
      [wait, trouble] = [1, null];
      if (!isOutdated()) showAnswers(result, readVersion === version && !pad.stroke);
      answeredVersion = readVersion;
    } catch (error) {
      trouble = isTemporary(error) ? explain(error) : null;
      if (trouble ? !pad.empty : !isOutdated()) showNoAnswer(explain(error));
      if (trouble) await pause(error.wait ?? wait);
      else answeredVersion = readVersion;
      wait = Math.min(2 * wait, 8);
    }
  }
  isReading = false;
}

/** The result of readNumber(), and `parts`: the picture of each digit, cut out. */
async function readSeveral(picture) {
  const { answers } = await readNumber(picture, names);
  const cut = ({ box: [left, top, right, bottom] }) =>
    createImageBitmap(picture, left, top, right - left || 1, bottom - top || 1);
  const digits = answers[0].lines.flatMap(({ digits }) => digits);
  return { answers, parts: await Promise.all(digits.map(cut)) };
}

/** A key of `words`, or a sentence. */
function explain(error) {
  if (isTemporary(error)) return error.status ? "busy" : "noAnswer";
  return REASONS[error.code] ?? { 413: "tooLarge", 415: "noPicture" }[error.status] ?? words.failed(error.message);
}

/** Shows the result of readPicture() or readSeveral(); `isFinal` if it is of a digit and belongs to the complete drawing, which may then be saved. */
function showAnswers(result, isFinal) {
  const { answers, image, parts } = result;
  if (parts) {
    offerLabels(null);
    return finishShowing([], showNumbers(answers, parts));
  }
  fillCards(answers);
  const text = (answer) => `${digitText(answer)}, ${sureText(answer)}`;
  finishShowing(image, answers.map((answer) => (names[1] ? `${answer.model}: ` : "") + text(answer)).join("; "));
  if (isFinal) offerLabels(result);
}

/** Shows why there is no answer; `reason` is a key of `words` or a sentence. */
function showNoAnswer(reason) {
  offerLabels(null);
  const text = words[reason] ?? reason;
  emptyCards(text);
  finishShowing([], text);
}

function finishShowing(image, text) {
  clearTimeout(outdatedTimer);
  outdatedTimer = null;
  showInput(image);
  announce(text);
}

let announceTimer = null;
function announce(text) {
  clearTimeout(announceTimer); // a screen reader reads only the text that stays
  announceTimer = setTimeout(() => (byId("announcement").textContent = text), 600);
}

const fieldset = document.querySelector("fieldset");
const savedLine = document.querySelector(".saved");

/** Enables the label buttons for `result`; null disables them, so that no click goes to an outdated answer. */
function offerLabels(result) {
  current = result;
  fieldset.disabled = !current;
  byId("saving").textContent = "";
  fieldset.hidden = false;
  savedLine.hidden = true;
}

/** Sends a request, and up to three times again after a temporary error. */
async function withRetries(send) {
  for (const wait of [1, 2, 4]) {
    try {
      return await send();
    } catch (error) {
      if (!isTemporary(error)) throw error;
      await pause(error.wait ?? wait);
    }
  }
  return send();
}

/** Saves the drawing with a label. After a failure the next click uses the same id, so the drawing is saved once. */
async function save(label) {
  if (!canSave || !current || fieldset.disabled || fieldset.hidden) return;
  const drawing = current;
  const pixels = drawing.image;
  const { model, digit: answer } = drawing.answers[0];
  fieldset.disabled = true;
  byId("saving").textContent = words.saving;
  try {
    if (drawing.id && drawing.label !== label) {
      await withRetries(() => deleteDrawing(drawing.id)); // the server may have saved it although the answer was lost
      delete drawing.id;
    }
    Object.assign(drawing, { id: drawing.id ?? newId(), label });
    await withRetries(() => saveDrawing({ id: drawing.id, pixels, label, model, answer }));
    if (drawing !== current) return;
    saved = drawing;
    pad.clear(); // for the next drawing
    savedLine.firstElementChild.textContent = words.saved(label);
    announce(words.saved(label));
    [fieldset.hidden, savedLine.hidden] = [true, false];
    byId("delete").focus();
  } catch {
    if (drawing === current) byId("saving").textContent = words.notSaved;
  } finally {
    if (drawing === current) fieldset.disabled = false;
  }
}

async function deleteSaved() {
  try {
    await withRetries(() => deleteDrawing(saved.id));
    if (savedLine.hidden) return; // the next drawing has begun
    offerLabels(null);
    byId("saving").textContent = words.deleted;
    byId("undo").focus();
  } catch {
    byId("saving").textContent = words.notDeleted;
  }
}

/** A random UUID; browsers have no crypto.randomUUID on a page that came over plain HTTP from another machine. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

async function open(file) {
  if (!file) return;
  try {
    await pad.open(file);
  } catch {
    showNoAnswer("noPicture");
  }
}

function toggleEraser() {
  pad.erasing = !pad.erasing;
  showEraser();
}

function showEraser() {
  byId("eraser").ariaPressed = pad.erasing;
}

byId("undo").addEventListener("click", () => pad.undo());
byId("clear").addEventListener("click", () => pad.clear());
byId("eraser").addEventListener("click", toggleEraser);
byId("delete").addEventListener("click", deleteSaved);
for (const [button, input] of [["open", "file"], ["camera", "photo"]]) {
  byId(button).addEventListener("click", () => byId(input).click());
  byId(input).addEventListener("change", ({ target }) => {
    open(target.files[0]);
    target.value = ""; // otherwise choosing the same file again would not be a change
  });
}
for (let digit = 0; digit < 10; digit++) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: digit, ariaLabel: words.saveAs(digit) });
  button.addEventListener("click", () => save(digit));
  document.querySelector(".digits").append(button);
}
for (const button of document.querySelectorAll(".examples button")) {
  button.addEventListener("click", () => pad.trace(button.querySelectorAll("path")));
}
byId("labels").hidden = byId("api").hidden = !canSave; // without a server there is neither
document.addEventListener("paste", (event) => open(event.clipboardData.files[0]));
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault(); // otherwise the browser shows the picture instead of the page
    byId("pad").classList.toggle("target", type === "dragover");
    if (type === "drop") open(event.dataTransfer.files[0]);
  });
}
document.addEventListener("keydown", (event) => {
  const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
  const onPad = event.target === byId("pad") && !hasModifier; // elsewhere single keys belong to the browser
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") pad.undo();
  else if (onPad && ["Delete", "Backspace"].includes(event.key)) pad.clear();
  else if (onPad && event.key.toLowerCase() === "e") toggleEraser();
  else if (onPad && /^\d$/.test(event.key)) save(Number(event.key));
  else return;
  event.preventDefault();
});

/** Shows in an element how much has been loaded. */
const progressIn = (id) => (done, total) => {
  byId(id).textContent = words.loadingOf(megabytes(done), megabytes(total));
};

async function start() {
  byId("first").textContent = words.loading;
  for (let wait = 1; ; wait = Math.min(2 * wait, 8)) {
    try {
      const [first, ...others] = await loadModels(progressIn("first"));
      byId("first").textContent = "";
      addCard(first, byId("first"));
      document.querySelector("#first .answer").append(byId("input").content.cloneNode(true));
      translate(byId("first"));
      byId("first").ariaBusy = false;
      names = [first.name];
      onChange();
      return addOthers(others);
    } catch (error) {
      byId("first").textContent = isTemporary(error) ? words.noAnswer : words.failed(error.message);
      await pause(error.wait ?? wait);
    }
  }
}

/** Adds the further models, each as soon as it can read. */
async function addOthers(models) {
  for (const model of models) {
    try {
      await model.load?.(progressIn("loading"));
    } catch (error) {
      byId("failures").textContent += `${model.name}: ${words.failed(error.message)} `;
      continue;
    }
    addCard(model, byId("others"));
    names.push(model.name);
    onChange();
  }
  byId("loading").textContent = "";
}

document.documentElement.dataset.running = ""; // check.js looks for it
start();
