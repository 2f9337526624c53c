/** Turns a picture into the 28x28 image that MNIST would have made of it, by the same steps as pictures.py. */

import { drawnInk, mayShowMore } from "./drawing.js";
import { crowdingOf, hasSeveral, heightOf, labelled, rowsOf, widthOf } from "./marks.js";
import { clip, quantile, range, rounded, sum } from "./numbers.js";
import { findInk } from "./photo.js";
import { resized, triangle } from "./resize.js";

const WORKING_SIDE = 512; // pixels; larger pictures are reduced to this longest side first
const MAX_MARKS = 200; // of ink, on a picture
const STRONG = 0.35; // of full ink; what is weaker is no mark
const MIN_SIDE = 8; // pixels
const SOLID = 200; // of 255: what is more opaque belongs to a sheet
const [SHEET_SPAN, RIM_SPAN] = [64, 32]; // levels: a sheet with ink has more, its rim has less

/**
 * @param {HTMLCanvasElement | Blob} picture - a drawing, or a picture file.
 * @returns {Promise<Float32Array>} 784 numbers: ink 1, paper 0, longest side 20 pixels, centre of mass in the middle.
 * @throws {Error} with the code no_picture, no_ink, several_digits or no_single_digit.
 */
export async function prepare(picture) {
  const { strength, rows } = await inked(await canvasOf(picture));
  if (hasSeveral(rows)) throw failure("several_digits");
  return centred(scaled(strength));
}

/**
 * @param {HTMLCanvasElement | Blob} picture - as for prepare().
 * @returns {Promise<{image, width, height, crowding, box}[][]>} line by line, the image of each digit, its size in shares
 *   of the line's greatest height, its crowding, and its box: left, top, right, bottom in pixels of the picture.
 * @throws {Error} as prepare().
 */
export async function prepareNumber(picture) {
  const canvas = await canvasOf(picture);
  const { strength, labels, rows } = await inked(canvas);
  const { width, left, top, scale } = strength;
  const reduced = Math.max(1, Math.max(canvas.width, canvas.height) / WORKING_SIDE);
  const placed = (at, start) => rounded(reduced * rounded(scale * at + start));
  return rows.map((row) => {
    const tallest = Math.max(...row.map(heightOf));
    return row.map((digit) => {
      const own = labels.map((label) => Number(digit.labels.includes(label)));
      const near = dilated(dilated(own, width), width);
      const alone = strength.data.map((ink, index) => (near[index] && (own[index] || !labels[index]) ? ink : 0));
      const image = centred(scaled({ ...strength, data: alone }));
      const box = [placed(digit.left, left), placed(digit.top, top), placed(digit.right, left), placed(digit.bottom, top)];
      return { image, width: widthOf(digit) / tallest, height: heightOf(digit) / tallest, crowding: crowdingOf(digit, own, width), box };
    });
  });
}

const canvasOf = (picture) => (picture instanceof Blob ? toCanvas(picture) : picture);

/** Finds the ink: its strength from 0 to 1, the labels of its marks, and the digits that they make. */
async function inked(canvas) {
  const picture = toColours(canvas);
  const drawn = drawnInk(picture);
  const isDrawing = drawn && !mayShowMore(drawn, Math.max(picture.width, picture.height));
  const ink = isDrawing ? drawn : await findInk(picture);
  if (!ink) throw failure("no_ink");
  const { width, height } = ink;
  const { labels, groups } = marksOf(ink.data.map((share) => share > STRONG), width, height);
  if (!groups.length) throw failure("no_ink");
  if (groups.length > MAX_MARKS) throw failure("no_single_digit", "too many marks");
  const near = dilated(dilated(Uint8Array.from(labels, (label) => label > 0), width), width); // keeps the soft edge of a stroke
  const data = ink.data.map((share, index) => near[index] * share);
  return { strength: { ...ink, data }, labels, rows: rowsOf(groups) };
}

const failure = (code, text = code) => Object.assign(new Error(text), { code });

async function toCanvas(file) {
  const bitmap = await createImageBitmap(file).catch(() => Promise.reject(failure("no_picture")));
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

/** Reads a canvas as {width, height, depth: 3, data}: levels 0 to 255, RGB, at most WORKING_SIDE pixels a side. */
function toColours(canvas) {
  const { width, height } = canvas;
  if (Math.min(width, height) < MIN_SIDE) throw failure("no_picture", "too small");
  const { data: rgba } = canvas.getContext("2d").getImageData(0, 0, width, height);
  for (let index = 3; index < rgba.length; index += 4) {
    if (rgba[index] < 255) for (let c = index - 3; c < index; c++) rgba[c] = (rgba[c] * rgba[index]) / 255;
  }
  const scale = Math.min(1, WORKING_SIDE / Math.max(width, height));
  const size = [width, height].map((side) => Math.max(1, rounded(side * scale)));
  let small = { width, height, depth: 4, data: rgba };
  if (scale < 1) small = resized(small, size, [0, 0, width, height], 0.5, () => 1);
  return { width: size[0], height: size[1], depth: 3, data: opaque(small) };
}

/** Fills the transparent parts of RGBA, whose colours are multiplied by alpha: RGB. */
function opaque(image) {
  const { data } = image;
  const filled = new Float32Array((data.length / 4) * 3);
  const behind = behindOf(image);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const clear = 1 - data[from + 3] / 255;
    for (let c = 0; c < 3; c++) filled[to + c] = rounded(data[from + c] + clear * behind[c]);
  }
  return filled;
}

/** The colour that the transparent parts become, by the same rule as in decode.py. */
function behindOf({ width, height, data }) {
  if (data.every((value, index) => index % 4 < 3 || value === 255)) return [0, 0, 0];
  const isSolid = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x) + 3] > SOLID;
  const near = range(9).map((index) => [(index % 3) - 1, Math.floor(index / 3) - 1]);
  const [inside, rim] = [[], []]; // their offsets in `data`
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isSolid(x, y)) continue;
      (near.every(([dx, dy]) => isSolid(x + dx, y + dy)) ? inside : rim).push(4 * (y * width + x));
    }
  }
  const colour = (at, c) => (data[at + c] * 255) / data[at + 3];
  const span = (offsets, rest) => {
    const levels = offsets.map((at) => (colour(at, 0) + colour(at, 1) + colour(at, 2)) / 3);
    return quantile(levels, 1 - rest) - quantile(levels, rest);
  };
  if (inside.length && span(inside, 0.001) > SHEET_SPAN && span(rim, 0.1) < RIM_SPAN)
    return range(3).map((c) => quantile(rim.map((at) => colour(at, c)), 0.5));
  const totals = [0, 0]; // of the colours, of alpha
  data.forEach((value, index) => (totals[index % 4 === 3 ? 1 : 0] += value));
  return totals[0] > 1.5 * totals[1] ? [0, 0, 0] : [255, 255, 255];
}

/** Labels the marks that can belong to a digit, and gives a group for each; drops dust. */
function marksOf(isInk, width, height) {
  const { labels, marks } = labelled(isInk, width, height);
  const least = Math.max(1, 0.08 * marks.reduce((most, { size }) => Math.max(most, size), 0));
  const groups = marks.map(({ box: [[top, bottom], [left, right]] }, label) => ({ labels: [label], left, top, right, bottom }));
  const isKept = (label) => label > 0 && marks[label].size >= least;
  return { labels: labels.map((label) => (isKept(label) ? label : 0)), groups: groups.filter((_, label) => isKept(label)) };
}

/** Adds the four neighbours of each pixel of a mask. */
function dilated(mask, width) {
  return mask.map((set, index) => {
    const x = index % width;
    const isBeside = (x > 0 && mask[index - 1]) || (x < width - 1 && mask[index + 1]);
    return set || isBeside || mask[index - width] || mask[index + width];
  });
}

/** Crops to the ink, scales its longest side to 20 pixels and its strongest parts to 1. */
function scaled(image) {
  const { width, height, data } = image;
  const box = [width, height, 0, 0];
  data.forEach((ink, index) => {
    if (ink <= Math.fround(0.2)) return;
    const x = index % width;
    const y = (index - x) / width;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x >= box[2]) box[2] = x + 1;
    if (y >= box[3]) box[3] = y + 1;
  });
  const sides = [box[2] - box[0], box[3] - box[1]];
  const size = sides.map((side) => Math.max(1, Math.trunc((20 * side) / Math.max(...sides) + 0.5)));
  const small = resized(image, size, box, 1, triangle);
  const least = 0.1 * Math.max(...small.data);
  const strong = quantile(small.data.filter((ink) => ink > least), 0.8); // a thin pen is grey at this size
  return { ...small, data: small.data.map((ink) => clip(ink / strong, 0, 1)) };
}

/** Pastes into 28x28 with the centre of mass at pixel (14, 14), as far as nothing is cut off. */
function centred({ width, height, data }) {
  const total = sum(data);
  const start = (size, coordinate) => {
    const centre = sum(data.map((ink, index) => ink * coordinate(index))) / total;
    return Math.trunc(clip(14.5 + 1e-6 - centre, 0, 28 - size));
  };
  const top = start(height, (index) => Math.floor(index / width));
  const left = start(width, (index) => index % width);
  const image = new Float32Array(784);
  data.forEach((ink, index) => (image[(top + Math.floor(index / width)) * 28 + left + (index % width)] = ink));
  return image;
}
