/** Separates the ink from the paper behind it, whose colour and light may change. */

import { clip, quantile, range, rounded, sum } from "./numbers.js";
import { reduced, resized, triangle } from "./resize.js";

const COARSE_SIDE = 64; // pixels; the paper is estimated on a copy of at most this longest side
const SPACE = 24; // pixels of paper that are left round the ink
const MAX_STROKE = 0.25; // of the longest side; anything wider is light or shadow, not a stroke

/** A copy of a picture on which the paper is looked for, and the paper's colour if there is one only, else null. */
export function coarseOf(colours) {
  const step = Math.ceil(Math.max(colours.width, colours.height) / COARSE_SIDE);
  const coarse = reduced(colours, step);
  return { step, coarse, flat: flatPaper(coarse) };
}

/** Measures each pixel's distance from the paper's colour in the ink's direction, 255 black on white: {width, height, data}. */
export function inkLevels({ width, height, data }, { step, coarse, flat }) {
  // 32 bits as in numpy; otherwise some levels would be rounded differently.
  const paper = flat ? coarse.data.map((_, index) => flat[index % 3]) : Float32Array.from(paperSurface(coarse));
  const difference = coarse.data.map((value, index) => value - paper[index]);
  const pixel = (index) => difference.subarray(3 * index, 3 * index + 3);
  const distances = range(difference.length / 3).map((index) => Math.hypot(...pixel(index)));
  const farEnough = 0.7 * Math.max(...distances);
  const direction = [0, 0, 0];
  distances.forEach((distance, index) => {
    if (distance >= farEnough) for (let c = 0; c < 3; c++) direction[c] += difference[3 * index + c];
  });
  const norm = Math.max(Math.sqrt(3) * Math.hypot(...direction), 1e-9);
  const [r, g, b] = direction.map((value) => Math.fround(value / norm));
  const dot = (values, index) => values[3 * index] * r + values[3 * index + 1] * g + values[3 * index + 2] * b;
  const along = (values) => distances.map((_, index) => dot(values, index));
  const [w, h] = [coarse.width, coarse.height];
  if (flat) {
    const level = dot(flat, 0);
    return cropped(width, height, (index) => dot(data, index) - 255 * level);
  }
  const window = Math.max(2, rounded(MAX_STROKE * Math.max(w, h)));
  const rest = smoothed(opened(along(difference), w, h, window), w, h);
  const background = { width: w, height: h, depth: 1, data: along(paper).map((value, index) => value + rest[index]) };
  const fine = resized(background, [width, height], [0, 0, width / step, height / step], 1, triangle).data;
  return cropped(width, height, (index) => dot(data, index) - 255 * fine[index]);
}

/** Rounds each pixel's level, and crops to all that differs from paper, with a margin. */
function cropped(width, height, levelAt) {
  const levels = range(width * height).map((index) => clip(Math.round(levelAt(index)), 0, 255));
  const marked = range(levels.length).filter((index) => levels[index] > 0);
  if (!marked.length) return { width, height, data: Uint8Array.from(levels) };
  const limits = (places, size) => {
    const [first, last] = places.reduce(([a, b], place) => [Math.min(a, place), Math.max(b, place)], [size, 0]);
    return [Math.max(0, first - SPACE), Math.min(size, last + 1 + SPACE)];
  };
  const [left, right] = limits(marked.map((index) => index % width), width);
  const [top, bottom] = limits(marked.map((index) => Math.floor(index / width)), height);
  const rows = range(bottom - top).map((y) => levels.slice((top + y) * width + left, (top + y) * width + right));
  return { width: right - left, height: bottom - top, data: Uint8Array.from(rows.flat()) };
}

/** The paper's colour if more than half of the picture has exactly this colour, as on a screen. */
function flatPaper({ width, height, data }) {
  const [start, end] = [data.slice(0, 3 * width), data.slice(3 * width * (height - 1))];
  const ends = [...start, ...end];
  const colour = range(3).map((c) => Math.fround(quantile(ends.filter((_, index) => index % 3 === c), 0.5)));
  const isPaper = (index) => colour.every((value, c) => data[3 * index + c] === value);
  return range(width * height).filter(isPaper).length > 0.5 * width * height ? colour : null;
}

/** Fits a smooth surface to most of the colours, by iteratively reweighted least squares. */
function paperSurface({ width, height, data: colours }) {
  const coordinate = (index, n) => (n > 1 ? (2 * index) / (n - 1) - 1 : -1);
  const pixels = range(width * height);
  const terms = pixels.map((index) => {
    const [x, y] = [coordinate(index % width, width), coordinate(Math.floor(index / width), height)];
    return [1, x, y, x * x, x * y, y * y];
  });
  const margin = Math.max(1, rounded(0.08 * Math.min(width, height)));
  const isInside = (index, n) => index >= margin && index < n - margin;
  const isBorder = (index) => !(isInside(index % width, width) && isInside(Math.floor(index / width), height));
  const border = pixels.filter(isBorder);
  const medians = range(3).map((c) => quantile(border.map((index) => colours[3 * index + c]), 0.5));
  let surface = Float64Array.from(colours, (_, index) => medians[index % 3]);
  for (let round = 0; round < 8; round++) {
    // Wide first, so that dark corners count as paper; narrow in the end.
    const scale = 0.3 * (0.04 / 0.3) ** (round / 7);
    const system = range(6).map((k) => range(9).map((l) => (k === l ? 1e-6 : 0)));
    for (const index of pixels) {
      let squaredDistance = 0;
      for (let c = 0; c < 3; c++) squaredDistance += (colours[3 * index + c] - surface[3 * index + c]) ** 2 / 3;
      const weight = 1 / (1 + squaredDistance / scale ** 2) ** 2;
      for (let k = 0; k < 6; k++) {
        const term = weight * terms[index][k];
        for (let l = 0; l < 6; l++) system[k][l] += term * terms[index][l];
        for (let c = 0; c < 3; c++) system[k][6 + c] += term * colours[3 * index + c];
      }
    }
    const factors = solve(system);
    surface = surface.map((_, index) => {
      let value = 0;
      for (let k = 0; k < 6; k++) value += terms[Math.floor(index / 3)][k] * factors[k][index % 3];
      return value;
    });
  }
  return surface;
}

/** Solves AX = B by Gauss-Jordan elimination: rows of [A | B] become rows of X. */
function solve(rows) {
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    const isLarger = (i, j) => Math.abs(rows[i][k]) > Math.abs(rows[j][k]);
    const best = range(n).reduce((found, i) => (i > k && isLarger(i, found) ? i : found), k);
    [rows[k], rows[best]] = [rows[best], rows[k]];
    rows[k] = rows[k].map((value) => value / rows[k][k]);
    rows = rows.map((row, i) => (i === k ? row : row.map((value, index) => value - row[k] * rows[k][index])));
  }
  return rows.map((row) => row.slice(n));
}

/**
 * Combines each value with its neighbours `from` to `to` in its row, then in its column; outside, the values at the
 * edge are repeated, as with OpenCV's BORDER_REPLICATE.
 */
function windowed(values, width, height, from, to, combine) {
  const list = new Array(to - from + 1);
  const pass = (image, neighbour) =>
    image.map((_, index) => {
      for (let k = from; k <= to; k++) list[k - from] = image[neighbour(index % width, Math.floor(index / width), k)];
      return combine(list);
    });
  const combinedRows = pass(values, (x, y, k) => y * width + clip(x + k, 0, width - 1));
  return pass(combinedRows, (x, y, k) => clip(y + k, 0, height - 1) * width + x);
}

/** A grey opening: removes what is higher than its surroundings and narrower than `size`. */
function opened(values, width, height, size) {
  const half = Math.floor(size / 2);
  const otherHalf = size - 1 - half;
  const eroded = windowed(values, width, height, -half, otherHalf, (list) => Math.min(...list));
  return windowed(eroded, width, height, -otherHalf, half, (list) => Math.max(...list));
}

/** A Gaussian filter with a standard deviation of 1 pixel, cut off at 4. */
function smoothed(values, width, height) {
  const bell = range(9).map((k) => Math.exp(-((k - 4) ** 2) / 2));
  const total = sum(bell);
  return windowed(values, width, height, -4, 4, (list) => sum(list.map((value, k) => value * bell[k])) / total);
}
