/** One card for each model: its name, its answer and a bar for each digit. */

import { exactPercent, percent, words } from "./words.js";

const UNSURE = 0.8; // below this confidence the text names the second digit too
const cards = new Map(); // model name -> its card's elements, the default model first

/** "a 4, perhaps a 9", or that it is no digit. */
export function digitText({ digit, confidence, runner_up: second, certain }) {
  if (certain === false) return words.noDigit;
  const first = words.digit(digit);
  return confidence < UNSURE && second != null ? words.unsure(first, words.digit(second)) : first;
}

/** "98.7% sure", "only 51.7% sure, if it is a digit", or the digit that a picture without a digit is most like. */
export function sureText({ digit, confidence, certain }) {
  if (certain === false) return words.likest(words.digit(digit));
  const sure = (confidence < UNSURE ? words.doubt : words.confidence)(percent(confidence));
  return certain == null ? words.ifDigit(sure) : sure; // null: the model has not learned to tell
}

/** Adds an empty card for a model, as from loadModels(), to a section of the page. */
export function addCard({ name, classes, test_accuracy: testAccuracy, dataset, strangers }, section) {
  const article = document.getElementById("card").content.cloneNode(true).firstElementChild;
  const selectors = ["h2", ".accuracy", ".digit", "b", ".confidence", ".parts", ".bars"];
  const [title, accuracy, digit, text, confidence, parts, bars] = selectors.map((each) => article.querySelector(each));
  title.textContent = name;
  if (testAccuracy != null) accuracy.textContent = words.accuracy(exactPercent(testAccuracy));
  accuracy.title = strangers ?? dataset ?? "";
  const meters = classes.map((digit) => {
    const meter = Object.assign(document.createElement("div"), { className: "bar", role: "meter", ariaLabel: digit });
    Object.assign(meter, { ariaValueMin: 0, ariaValueMax: 100 });
    meter.append(...["b", "i", "span"].map((tag) => document.createElement(tag)));
    meter.firstChild.textContent = digit;
    return [digit, meter];
  });
  bars.append(...meters.map(([, meter]) => meter));
  section.append(article);
  cards.set(name, { article, digit, text, confidence, parts, meters: new Map(meters) });
}

/** "42", and how sure the model is of its least sure digit: an answer of readNumber() as the card shows it. */
const ofNumber = ({ model, lines }) => ({
  model, number: lines.map(({ number }) => number).join("\n"), probabilities: [],
  certain: lines[0].digits[0].certain,
  digits: lines.flatMap(({ digits }) => digits),
  confidence: Math.min(...lines.flatMap(({ digits }) => digits.map(({ confidence }) => confidence))),
});

/** Shows the answers of readNumber() with the parts of the picture that were read, and returns them as text. */
export function showNumbers(answers, parts) {
  const [first, ...others] = answers.map(ofNumber);
  for (const each of [first, ...others]) {
    const card = cards.get(each.model);
    fillCard(card, each, words.number, first.number);
    card.parts.append(...each.digits.map((digit, index) => partOf(digit, parts[index])));
  }
  return first.number;
}

/** A part of the picture, the digit that it was read as, and how sure the model is of it. */
function partOf({ digit, confidence }, bitmap) {
  const item = document.createElement("li");
  const [canvas, name, sure] = ["canvas", "b", "span"].map((tag) => document.createElement(tag));
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height }).getContext("2d").drawImage(bitmap, 0, 0);
  [name.textContent, sure.textContent] = [digit, percent(confidence)];
  item.append(canvas, name, " ", sure);
  return item;
}

/** Shows the answers of readPicture(); an answer that differs from the default model's is marked. */
export function fillCards(answers) {
  for (const answer of answers) fillCard(cards.get(answer.model), answer, digitText(answer), answers[0].digit);
}

/** Removes all answers and shows a text on the default model's card. */
export function emptyCards(text) {
  for (const [index, card] of [...cards.values()].entries()) fillCard(card, { probabilities: [] }, index ? "" : text);
}

/** Fills a card with an answer, or with none, and a text; `firstDigit` is the default model's. */
function fillCard(card, answer, text, firstDigit) {
  const { digit, confidence, certain, probabilities, number } = answer;
  const shown = number ?? digit;
  const isBlank = shown === undefined;
  const isRefused = !isBlank && certain === false;
  card.digit.textContent = isRefused ? "" : (shown ?? "?");
  card.parts.replaceChildren();
  card.text.textContent = text;
  card.confidence.textContent = isBlank ? "" : sureText(answer);
  card.article.classList.toggle("blank", isBlank);
  card.article.classList.toggle("refused", isRefused);
  card.article.classList.toggle("differs", !isBlank && shown !== firstDigit);
  card.article.classList.toggle("number", number !== undefined);
  const shares = new Map(probabilities.map(({ digit, probability }) => [digit, probability]));
  for (const [meterDigit, meter] of card.meters) {
    const share = shares.get(meterDigit) ?? 0;
    meter.style.setProperty("--share", share);
    meter.classList.toggle("highest", meterDigit === digit);
    meter.ariaValueNow = (100 * share).toFixed(1);
    meter.ariaValueText = meter.lastChild.textContent = percent(share);
  }
}

/** Shows the models' input, 28 rows of 28, or nothing. */
export function showInput(image) {
  const context = document.querySelector("figure canvas")?.getContext("2d");
  context?.clearRect(0, 0, 28, 28);
  image.forEach((row, y) =>
    row.forEach((ink, x) => {
      context.globalAlpha = ink;
      context.fillRect(x, y, 1, 1);
    }),
  );
}
