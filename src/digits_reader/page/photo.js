/** Finds the ink of handwriting on a photograph, by the same steps as photo.py: a small network says where a pen was. */

import * as ort from "./ort.wasm.bundle.min.js";
import { labelled } from "./marks.js";
import { clip, quantile, range, rounded } from "./numbers.js";
import { resized, triangle } from "./resize.js";

const LOOK = 160; // pixels; the longest side of the whole picture for the first look;
const NARROW = 80; // the shorter one is at least as long, for rows of small digits, until
const MOST = 384; // is the longest side of any look
const LOOKS = 3; // at most after the first: the ink of a sign that it missed may end at a side
const SIGN = 96; // pixels; the tallest sign in the second look
const LARGE = 64; // pixels; a sign that was so tall in the first look needs no second one
const GROWTH = 4; // at most; larger pixels show no more
const MULTIPLE = 16; // of which the network's sides must be
const IS_INK = 0.5; // of the network's probability
const LEAST_SIGN = 6; // pixels with ink in the first look
const DUST = 0.08; // of the largest mark; what is smaller does not count
const ROOM = 0.25; // heights of a sign that the second look shows round the signs
const PATCH = 10; // patches along the longest side, in each of which the paper has one colour
const LEAST_CONTRAST = 0.015; // between ink and paper
const NOISE = 3; // standard deviations of the paper, below which the network has taken noise for ink
const WIDE = [0.2, 0.3]; // probabilities: from the first on a pixel belongs to a stroke, fully after the second more

const load = async () => ort.InferenceSession.create(new Uint8Array(await (await fetch("ink.onnx")).arrayBuffer()));
let network = null; // loads from the first picture on

/** The ink on a picture {width, height, depth: 3, data} of levels, as drawnInk() gives it, `scale` pixels of the picture to one of its own; null without any. */
export async function findInk(picture) {
  const { width, height } = picture;
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const firstScale = Math.min(Math.max(LOOK / long, NARROW / short), MOST / long, GROWTH);
  const first = await lookedAt(picture, [0, 0, width, height], firstScale);
  const signs = boxesOfSigns(first, width / first.width, height / first.height);
  if (!signs.length) return null;
  const tallest = Math.max(...signs.map(([left, top, right, bottom]) => Math.max(bottom - top, 0.6 * (right - left))));
  if (firstScale * tallest >= LARGE) return strengthOf(first, 0, 0, width / first.width);
  const room = ROOM * tallest + 4;
  const low = (side) => Math.max(0, Math.min(...signs.map((box) => box[side])) - room);
  const high = (side, end) => Math.min(end, Math.max(...signs.map((box) => box[side])) + room);
  let [further, box, look] = [[low(0), low(1), high(2, width), high(3, height)]];
  for (let count = 0; count < LOOKS && String(further) !== String(box); count++) {
    box = further;
    const scale = Math.min(SIGN / tallest, MOST / Math.max(box[2] - box[0], box[3] - box[1]), GROWTH);
    look = await lookedAt(picture, box, scale);
    const cut = cutSides(look);
    further = box.map((at, side) => Math.min(Math.max(at + tallest * cut[side], 0), [width, height][side % 2]));
  }
  return strengthOf(look, box[0], box[1], (box[2] - box[0]) / look.width);
}

/** Which of its sides cut ink: -1 for left and top, 1 for right and bottom, else 0. */
function cutSides({ width, height, where }) {
  const hasInk = (from, step, end) => range(Math.ceil((end - from) / step)).some((k) => where[from + k * step] > IS_INK);
  const [all, last] = [width * height, width * (height - 1)];
  return [-hasInk(0, width, all), -hasInk(0, 1, width), +hasInk(width - 1, width, all), +hasInk(last, 1, all)];
}

/** Shows a part of a picture to the network: {width, height, pixels: RGB from 0 to 1, where: the probability of ink}. */
async function lookedAt(picture, box, scale) {
  const sides = [box[2] - box[0], box[3] - box[1]];
  const [width, height] = sides.map((side) => Math.max(2, rounded((scale * side) / MULTIPLE)) * MULTIPLE);
  const small = resized(bytesOf(picture), [width, height], box, 1, triangle).data; // RGBA, rounded as in Pillow
  const pixels = Float32Array.from({ length: 3 * width * height }, (_, at) => small[at + Math.floor(at / 3)] / 255);
  const planes = new Float32Array(pixels.length);
  pixels.forEach((value, at) => (planes[(at % 3) * width * height + Math.floor(at / 3)] = value));
  network ??= load();
  const { logits } = await (await network).run({ pictures: new ort.Tensor("float32", planes, [1, 3, height, width]) });
  return { width, height, pixels, where: logits.data.map((logit) => 1 / (1 + Math.exp(-logit))) };
}

/** RGB as RGBA. */
function bytesOf({ width, height, data }) {
  const rgba = new Uint8Array(4 * width * height).fill(255);
  data.forEach((level, at) => (rgba[at + Math.floor(at / 3)] = level));
  return { width, height, depth: 4, data: rgba };
}

/** The boxes [left, top, right, bottom] of all marks but dust, in pixels of the picture. */
function boxesOfSigns({ width, height, where }, across, down) {
  const { labels, marks } = labelled(where.map((share) => share > IS_INK), width, height);
  const amounts = new Float64Array(marks.length);
  labels.forEach((label, index) => label && (amounts[label] += where[index]));
  const least = Math.max(LEAST_SIGN, DUST * Math.max(...amounts));
  const boxOf = ({ box: [[top, bottom], [left, right]] }) => [left * across, top * down, right * across, bottom * down];
  return marks.filter((_, label) => amounts[label] >= least).map(boxOf);
}

/** How strong the ink is: the difference from the paper round it, in the ink's direction. */
function strengthOf({ width, height, pixels, where }, left, top, scale) {
  const near = widened(where, width);
  const isPaper = widened(near, width).map((share) => clip(1 - share, 0.001, 1) ** 2);
  const amount = smoothed(isPaper, width, height);
  const difference = new Float32Array(pixels.length);
  for (let c = 0; c < 3; c++) {
    const total = smoothed(isPaper.map((share, index) => share * pixels[3 * index + c]), width, height);
    total.forEach((value, index) => (difference[3 * index + c] = pixels[3 * index + c] - value / amount[index]));
  }
  const direction = [0, 0, 0];
  where.forEach((share, index) => {
    if (share > IS_INK) for (let c = 0; c < 3; c++) direction[c] += share * difference[3 * index + c];
  });
  const norm = Math.max(Math.hypot(...direction), 1e-9);
  const along = (index) => range(3).reduce((all, c) => all + (difference[3 * index + c] * direction[c]) / norm, 0);
  const levels = where.map((_, index) => along(index));
  const inked = levels.filter((_, index) => where[index] > IS_INK);
  const full = inked.length ? quantile(inked, 0.6) : 0;
  const plain = levels.filter((_, index) => near[index] < WIDE[0]);
  // One standard deviation of a normal distribution; printed lines, which cover less than half, do not count.
  const middle = plain.length ? quantile(plain, 0.5) : 0;
  const noise = plain.length ? 1.48 * quantile(plain.map((level) => Math.abs(level - middle)), 0.5) : 0;
  if (full < Math.max(LEAST_CONTRAST, NOISE * noise)) return null;
  const data = levels.map((level, index) => clip(level / full, 0, 1) * clip((near[index] - WIDE[0]) / WIDE[1], 0, 1));
  return { width, height, depth: 1, data, left, top, scale };
}

/** The highest of each value and its eight neighbours. */
function widened(values, width) {
  const highest = (list, step, isEdge) =>
    list.map((value, index) => {
      const before = isEdge(index, -1) ? 0 : list[index - step];
      return Math.max(value, before, isEdge(index, 1) ? 0 : list[index + step]);
    });
  const rows = highest(values, 1, (index, side) => index % width === (side < 0 ? 0 : width - 1));
  return highest(rows, width, (index, side) => index + side * width < 0 || index + side * width >= values.length);
}

/** Reduces to patches and enlarges again. */
function smoothed(data, width, height) {
  const step = Math.max(width, height) / PATCH;
  const size = [width, height].map((side) => Math.max(2, rounded(side / step)));
  const patches = resized({ width, height, depth: 1, data }, size, [0, 0, width, height], 1, triangle);
  return resized(patches, [width, height], [0, 0, ...size], 1, triangle).data;
}
