/** The page: the answer follows the pen. */

import { Pad } from "./pad.js";
import { forget, keep, keeps, models, read } from "./reader.js";
import { measured, percent, speak, words } from "./words.js";

const UNSURE = 0.8; // below this the runner-up is named too
const PATIENCE = 300; // milliseconds that an answer may stay while the drawing has moved on
const byId = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const passes = ({ status }) => !status || status === 429 || status >= 500; // what another try may mend

speak(document);
const pad = new Pad(byId("pad"), changed);
const cards = new Map(); // model name -> {article, bars: digit -> element}
let names = []; // of the models, the default first
let drawn = 0; // counts the changes of the drawing
let answered = 0; // the change that was answered last
let current = null; // the answer to the drawing as it is, once there: {image, answers}, {id, label} once corrected
let following = false;
let tooLate = null; // timer
let trouble = null; // why the last question found no answer, while it may be asked again

function changed() {
  drawn++;
  offerCorrection(null);
  if (pad.empty) return blank("empty");
  tooLate ??= setTimeout(() => blank(trouble ?? "reading"), PATIENCE);
  follow();
}

/** Reads until the newest drawing is answered: one question at a time, and between drawings only the newest. */
async function follow() {
  if (following || !names.length) return;
  following = true;
  let wait = 1;
  while (answered !== drawn && !pad.empty) {
    const [version, { stroke }] = [drawn, pad];
    // Old is what no longer belongs to the drawing; a stroke still under the pen may be a little ahead of its answer.
    const old = () => version !== drawn && !(stroke && stroke === pad.stroke);
    try {
      const result = await read(pad.picture, names);
      [wait, trouble] = [1, null];
      if (!old()) show(result, version === drawn && !pad.stroke);
      answered = version;
    } catch (error) {
      trouble = passes(error) ? explained(error) : null;
      if (trouble ? !pad.empty : !old()) blank(explained(error));
      if (trouble) await pause(error.wait ?? wait);
      else answered = version;
      wait = Math.min(2 * wait, 8);
    }
  }
  following = false;
}

function explained(error) {
  if (error.status === undefined) return "away";
  if (passes(error)) return "busy";
  return { 413: "tooLarge", 415: "noPicture", 422: "noInk" }[error.status] ?? words.failed(error.message);
}

/** Shows what read() found; `last` where nothing of the drawing is to come. */
function show(result, last) {
  const { answers, image } = result;
  for (const answer of answers) fillCard(cards.get(answer.model), answer, named(answer), answers[0].digit);
  const spoken = ({ model, confidence, ...answer }) => `${named({ confidence, ...answer })}, ${words.sure(percent(confidence))}`;
  settle(image, answers.map((answer) => (names[1] ? `${answer.model}: ` : "") + spoken(answer)).join("; "));
  if (last) offerCorrection(result);
}

/** No answer, but a word why: one of `words`, or a sentence. */
function blank(why) {
  offerCorrection(null);
  const text = words[why] ?? why;
  for (const [name, card] of cards) fillCard(card, { probabilities: [] }, name === names[0] ? text : "");
  settle([], text);
}

/** What an answer and its absence have in common. */
function settle(image, text) {
  clearTimeout(tooLate);
  tooLate = null;
  drawSeen(image);
  announce(text);
}

/** "a 4, perhaps a 9" */
function named({ digit, confidence, runner_up: second }) {
  const first = words.is(digit);
  return confidence < UNSURE && second != null ? words.perhaps(first, words.is(second)) : first;
}

let spoken = null; // timer
function announce(text) {
  clearTimeout(spoken); // a screen reader is told once the pen rests
  spoken = setTimeout(() => (byId("spoken").textContent = text), 600);
}

function makeCard({ name, classes, test_accuracy: accuracy, dataset }, place) {
  const article = byId("card").content.cloneNode(true).firstElementChild;
  const [title, tested, digit, saying, sure, bars] = ["h2", ".tested", ".digit", "b", ".sure", ".bars"].map((part) =>
    article.querySelector(part),
  );
  title.textContent = name;
  if (accuracy != null) tested.textContent = words.tested(measured(accuracy));
  tested.title = dataset ?? "";
  const meters = classes.map((digit) => {
    const meter = Object.assign(document.createElement("div"), { className: "bar", role: "meter", ariaLabel: digit });
    Object.assign(meter, { ariaValueMin: 0, ariaValueMax: 100 });
    meter.append(...["b", "i", "span"].map((tag) => document.createElement(tag)));
    meter.firstChild.textContent = digit;
    return [digit, meter];
  });
  bars.append(...meters.map(([, meter]) => meter));
  place.append(article);
  cards.set(name, { article, digit, saying, sure, meters: new Map(meters) });
}

/** Shows an answer, or none, with what is said about it; `first` is the default model's digit. */
function fillCard(card, answer, text, first) {
  const { digit, confidence, probabilities } = answer;
  const blank = digit === undefined;
  card.digit.textContent = digit ?? "?";
  card.saying.textContent = text;
  card.sure.textContent = blank ? "" : words.sure(percent(confidence));
  card.article.classList.toggle("blank", blank);
  card.article.classList.toggle("differs", !blank && digit !== first);
  const shares = new Map(probabilities.map(({ digit, probability }) => [digit, probability]));
  for (const [of, meter] of card.meters) {
    const share = shares.get(of) ?? 0;
    meter.style.setProperty("--share", share);
    meter.classList.toggle("most", of === digit);
    meter.ariaValueNow = (100 * share).toFixed(1);
    meter.ariaValueText = meter.lastChild.textContent = percent(share);
  }
}

function drawSeen(image) {
  const context = document.querySelector("figure canvas")?.getContext("2d");
  context?.clearRect(0, 0, 28, 28);
  image.forEach((row, y) =>
    row.forEach((ink, x) => {
      context.globalAlpha = ink;
      context.fillRect(x, y, 1, 1);
    }),
  );
}

const fieldset = document.querySelector("fieldset");
const kept = document.querySelector(".kept");

/** Lets `result` be corrected, or nothing: a press must not fall on an answer that is just being replaced. */
function offerCorrection(result) {
  current = result;
  fieldset.disabled = !current;
  byId("keeping").textContent = "";
  fieldset.hidden = false;
  kept.hidden = true;
}

/** Tries again what may pass, three times; the same question each time. */
async function patiently(question) {
  for (const wait of [1, 2, 4]) {
    try {
      return await question();
    } catch (error) {
      if (!passes(error)) throw error;
      await pause(error.wait ?? wait);
    }
  }
  return question();
}

/** Keeps the drawing as `label`; what failed and is pressed again goes under its old id, so that it counts once. */
async function correct(label) {
  if (!keeps || !current || fieldset.disabled || fieldset.hidden) return;
  const mine = current;
  const pixels = mine.image;
  const { model, digit: answer } = mine.answers[0];
  fieldset.disabled = true;
  byId("keeping").textContent = words.keeping;
  try {
    if (mine.id && mine.label !== label) {
      await patiently(() => forget(mine.id)); // it may have arrived though its receipt did not
      delete mine.id;
    }
    Object.assign(mine, { id: mine.id ?? newId(), label });
    await patiently(() => keep({ id: mine.id, pixels, label, model, answer }));
    if (mine !== current) return;
    kept.firstElementChild.textContent = words.kept(label);
    byId("keeping").textContent = "";
    announce(words.kept(label));
    [fieldset.hidden, kept.hidden] = [true, false];
    byId("forget").focus();
  } catch {
    if (mine === current) byId("keeping").textContent = words.notKept;
  } finally {
    if (mine === current) fieldset.disabled = false;
  }
}

async function takeBack() {
  const mine = current;
  try {
    await patiently(() => forget(mine.id));
    if (mine !== current) return;
    offerCorrection(mine);
    byId("keeping").textContent = words.forgotten;
    document.querySelectorAll(".digits button")[mine.label].focus();
    delete mine.id;
  } catch {
    byId("keeping").textContent = words.notForgotten;
  }
}

/** A random UUID; crypto.randomUUID is absent where the page came over plain HTTP from another machine. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("").replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

async function open(file) {
  if (!file) return;
  try {
    await pad.open(file);
  } catch {
    blank("noPicture");
  }
}

function toggleEraser() {
  pad.erasing = !pad.erasing;
  byId("eraser").ariaPressed = pad.erasing;
}

byId("undo").addEventListener("click", () => pad.undo());
byId("clear").addEventListener("click", () => pad.clear());
byId("eraser").addEventListener("click", toggleEraser);
byId("forget").addEventListener("click", takeBack);
for (const [button, input] of [["open", "file"], ["camera", "photo"]]) {
  byId(button).addEventListener("click", () => byId(input).click());
  byId(input).addEventListener("change", ({ target }) => {
    open(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
}
for (let digit = 0; digit < 10; digit++) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: digit, ariaLabel: words.keepAs(digit) });
  button.addEventListener("click", () => correct(digit));
  document.querySelector(".digits").append(button);
}
byId("correct").hidden = !keeps;
document.addEventListener("paste", (event) => open(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // or the browser leaves the page for the picture
    byId("pad").classList.toggle("target", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}
document.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const atPad = event.target === byId("pad"); // single keys act only here, where nobody types
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") pad.undo();
  else if (atPad && plain && ["Delete", "Backspace"].includes(event.key)) pad.clear();
  else if (atPad && plain && event.key.toLowerCase() === "e") toggleEraser();
  else if (atPad && plain && /^\d$/.test(event.key)) correct(Number(event.key));
  else return;
  event.preventDefault();
});

async function start() {
  byId("first").textContent = words.loading;
  for (let wait = 1; ; wait = Math.min(2 * wait, 8)) {
    try {
      const found = await models();
      byId("first").textContent = "";
      found.forEach((model, at) => makeCard(model, byId(at ? "others" : "first")));
      document.querySelector("#first .answer").append(byId("seen").content.cloneNode(true));
      speak(byId("first"));
      names = found.map(({ name }) => name);
      byId("first").ariaBusy = false;
      return changed();
    } catch (error) {
      byId("first").textContent = passes(error) ? words.away : words.failed(error.message);
      await pause(error.wait ?? wait);
    }
  }
}

start();
