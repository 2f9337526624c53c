/** Finds the ink of a drawing from a screen, or of an icon, whose paper has one colour, by the same steps as drawing.py. */

import { clip, quantile, range, sum } from "./numbers.js";

const MARGIN = 24; // pixels of paper that are left round the ink: resizing looks beyond it
const MIN_CONTRAST = 10; // levels of 255 between ink and paper
const TINY = 12; // pixels; a picture that is less high or wide shows nothing but ink and paper
const LINE_SIDE = 64; // pixels; on a smaller drawing strokes are as thin as printed lines
const WIDE = 0.2; // of the longest side; what is so high and so wide is no stroke
const LINES = [[0.6, 17], [0.4, 20], [0.2, 20], [0.12, 20]]; // a printed line's least length, in longest sides, and least length in widths

/** The ink on a picture {width, height, depth: 3, data} of levels, as {width, height, depth: 1, data} from 0 to 1, which begins at left and top; null on other paper. */
export function drawnInk({ width, height, data }) {
  const last = data.length - 3 * width;
  const paper = range(3).map((c) => Math.trunc(quantile(range(2 * width).map((x) => data[(x < width ? 0 : last) + 3 * (x % width) + c]), 0.5)));
  const totals = [0, 0, 0]; // of all that is not paper
  const edges = [0, 0, 0, 0]; // how much of the top, the bottom, the left and the right edge is not paper
  let [count, left, top, right, bottom] = [0, width, height, 0, 0];
  for (let index = 0; index < width * height; index++) {
    if (paper.every((value, c) => data[3 * index + c] === value)) continue;
    count++;
    for (let c = 0; c < 3; c++) totals[c] += data[3 * index + c];
    const [x, y] = [index % width, Math.floor(index / width)];
    [!y, y === height - 1, !x, x === width - 1].forEach((isThere, edge) => (edges[edge] += isThere));
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x + 1), Math.min(top, y), Math.max(bottom, y + 1)];
  }
  const isCovered = 2 * count >= width * height || edges.some((other, edge) => 3 * other > (edge < 2 ? width : height));
  if (isCovered && Math.min(width, height) > TINY) return null;
  const difference = totals.map((total, c) => total / Math.max(count, 1) - paper[c]);
  const norm = Math.max(Math.sqrt(3) * Math.hypot(...difference), 1e-9);
  [left, top, right, bottom] = [Math.max(0, left - MARGIN), Math.max(0, top - MARGIN), Math.min(width, right + MARGIN), Math.min(height, bottom + MARGIN)];
  const levels = new Uint8Array(Math.max(0, right - left) * Math.max(0, bottom - top));
  for (let y = top, to = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, to++) {
      let level = 0;
      for (let c = 0; c < 3; c++) level += ((data[3 * (y * width + x) + c] - paper[c]) * difference[c]) / norm;
      levels[to] = clip(Math.round(level), 0, 255);
    }
  }
  const counts = new Float64Array(256);
  for (const level of levels) counts[level]++;
  counts[0] = 0; // paper
  counts.fill(0, 0, (quantileLevel(counts, 0.95) >> 1) + 1); // soft edges
  const full = Math.max(quantileLevel(counts, 0.5), MIN_CONTRAST);
  const strength = Float32Array.from(levels, (level) => Math.min(level / full, 1));
  return { width: right - left, height: bottom - top, depth: 1, data: strength, left, top, scale: 1 };
}

/** Whether a drawing may show more than strokes: a sheet, or printed lines; `longest` is the picture's side. */
export function mayShowMore({ width, height, data }, longest) {
  if (longest < LINE_SIDE) return false;
  const [w, h, half] = [width >> 1, height >> 1, longest >> 1];
  const isSet = range(w * h).map((index) => {
    const at = 2 * (Math.floor(index / w) * width + (index % w));
    return data[at] + data[at + 1] + data[at + width] + data[at + width + 1] > 0.8; // a line of one pixel stays
  });
  const [along, across] = [runs(isSet, w, h, w, 1), runs(isSet, h, w, 1, w)];
  const side = Math.trunc((WIDE * longest) / 2) | 1;
  if (sum(along.map((length, index) => length >= side && across[index] >= side)) >= side ** 2) return true;
  return LINES.some(([share, aspect]) => {
    const [length, thick] = [Math.trunc(share * half) | 1, (Math.trunc((share * half) / aspect) + 1) | 1];
    const counts = [[along, across], [across, along]].map(([long, short]) =>
      sum(isSet.map((set, index) => set && long[index] >= length && short[index] < thick)));
    return Math.max(...counts) >= length / 2;
  });
}

/** For each set pixel the length of its run in a line of pixels that are `step` apart; lines begin `stride` apart. */
function runs(isSet, size, lines, stride, step) {
  const lengths = new Uint16Array(isSet.length);
  for (let line = 0; line < lines; line++) {
    for (let start = 0, end = 0; start < size; start = end + 1) {
      const at = (place) => line * stride + place * step;
      for (end = start; end < size && isSet[at(end)]; ) end++;
      for (let place = start; place < end; place++) lengths[at(place)] = end - start;
    }
  }
  return lengths;
}

/** Finds the level that this share of the pixels does not exceed. */
function quantileLevel(counts, share) {
  const enough = share * sum(counts);
  let below = 0;
  return counts.findIndex((count) => (below += count) >= enough);
}
