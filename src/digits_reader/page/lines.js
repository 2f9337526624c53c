/** Removes printed straight lines round and behind a digit, by the same steps as lines.py. */

import { clip, quantile, range, sum } from "./numbers.js";

const MIN_SIDE = 64; // pixels; on a smaller picture strokes are as thin as lines
const [MAX_WIDTH, MIN_LENGTH] = [0.04, 0.2]; // of a line, as shares of the picture's side
const MAX_ASPECT = 0.06; // width of a line divided by its length; a stroke is thicker
const MAX_SLOPE = 0.06; // pixels across a line for each pixel along it
const MIN_LEVEL = 10; // levels of 255 between a line and what lies on both sides of it
const DARKER = 2; // a stroke that crosses a pale line has more than this many times the level of the line

const at = (line, along) => line.offset + line.slope * along; // the row, with axis 1 the column, of a line's middle

/** Finds the level that separates a histogram best into two classes, and their share of the variance. */
export function otsu(counts) {
  const [total, moment] = [sum(counts), sum(counts.map((count, level) => count * level))];
  let [below, momentBelow, best, threshold] = [0, 0, 0, 0];
  counts.forEach((count, level) => {
    below += count;
    momentBelow += count * level;
    const weight = below * (total - below);
    const between = weight > 0 ? (moment * below - momentBelow * total) ** 2 / weight : 0;
    if (between > best) [best, threshold] = [between, level];
  });
  const variance = total * sum(counts.map((count, level) => count * level ** 2)) - moment ** 2;
  return [threshold, best / Math.max(variance, 1e-9)];
}

/** Counts each level, in all pixels or in those of a mask. */
export function histogram(levels, mask) {
  const counts = new Float64Array(256);
  for (let index = 0; index < levels.length; index++) if (!mask || mask[index]) counts[levels[index]]++;
  return counts;
}

/** Removes printed lines from an image {width, height, data}; strokes that cross them stay. */
export function withoutLines(image) {
  const shape = [image.height, image.width];
  if (Math.max(...shape) < MIN_SIDE) return image;
  const lines = [...found(image, 0), ...found(transposed(image), 1)];
  lines.sort((a, b) => a.start - a.end - (b.start - b.end));
  for (; lines.length; lines.pop()) {
    const box = mainBox(erased(image, lines));
    const last = lines[lines.length - 1];
    if (Math.max(box[0][1] - box[0][0], box[1][1] - box[1][0]) < 0.2 * (last.end - last.start)) continue;
    const closed = closedLines(lines, shape);
    return erased(image, lines.filter((line) => isPrinted(line, closed, box, shape)));
  }
  return image;
}

function transposed({ width, height, data }) {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[x * height + y] = data[y * width + x];
  return { width: height, height: width, data: out };
}

/** Finds long, straight, thin marks nearly along the rows, in the rows of a picture sheared by the best slope. */
function found(image, axis) {
  const { width, height, data } = image;
  const size = Math.max(3, Math.round(MAX_WIDTH * Math.max(width, height)) + 2);
  const thin = opened(image, size).data.map((level, index) => data[index] - level);
  const sample = thin.filter((_, index) => !(index % width % 4) && !(Math.floor(index / width) % 4));
  const enough = Math.max(MIN_LEVEL, 3 * quantile(sample, 0.5)); // above the paper's grain
  const pixels = range(thin.length).filter((index) => thin[index] > enough);
  if (pixels.length < MIN_LENGTH * width) return [];
  const margin = Math.trunc(MAX_SLOPE * width) + 3;
  const half = Math.round((MAX_SLOPE * width) / 1.5);
  let [best, slope, counts] = [-1, 0, []];
  const row = (index, tilt) => Math.floor(Math.floor(index / width) - tilt * (index % width) + 0.5) + margin;
  for (let k = -half; k <= half; k++) {
    const tilt = half ? (MAX_SLOPE * k) / half : -MAX_SLOPE;
    const profile = new Float64Array(height + 2 * margin);
    for (const index of pixels) profile[row(index, tilt)]++;
    const sharpness = sum(profile.map((count) => count ** 2));
    if (sharpness > best) [best, slope, counts] = [sharpness, tilt, profile];
  }
  const lines = [];
  for (;;) {
    const most = Math.max(...counts);
    if (most < MIN_LENGTH * width) return lines;
    let first = counts.indexOf(most);
    let last = first;
    while (counts[first - 1] > 0.25 * most) first--;
    while (counts[last + 1] > 0.25 * most) last++;
    counts.fill(0, first - 1, last + 2);
    const inside = pixels.filter((index) => row(index, slope) >= first - 1 && row(index, slope) <= last + 1);
    const along = inside.map((index) => index % width);
    const [start, end, columns] = [smallest(along), largest(along) + 1, new Set(along).size];
    const amount = inside.map((index) => thin[index]);
    const sharpWidth = sum(amount) / largest(amount) / columns;
    if (sharpWidth > MAX_ASPECT * (end - start) || most < 0.65 * (end - start)) continue;
    const offset = (first + last) / 2 - margin;
    lines.push({ axis, start, end, slope, offset, width: Math.ceil(along.length / columns) });
  }
}

const largest = (list) => list.reduce((a, b) => Math.max(a, b), 0);
const smallest = (list) => list.reduce((a, b) => Math.min(a, b), Infinity);

/** Removes what is less than `size` pixels high, where paper surrounds the picture. */
function opened({ width, height, data }, size) {
  let out = new Uint8Array((height + 2 * size) * width);
  out.set(data, size * width);
  for (const combine of [Math.min, Math.max]) {
    for (let reach = 1; reach < size; ) {
      const step = Math.min(reach, size - reach);
      const next = out.subarray(step * width);
      out = next.map((level, index) => combine(level, out[index]));
      reach += step;
    }
  }
  return { width, height, data: out.slice(width, (height + 1) * width) };
}

/** Lowers each line to what lies on both sides of it: paper, or a stroke that crosses it, or what is much darker. */
function erased(image, lines) {
  let out = { ...image, data: image.data.slice() };
  for (const line of lines) {
    if (line.axis) out = transposed(out);
    const { width, height, data } = out;
    const [size, reach] = [line.width + 3, Math.floor(line.width / 2) + 2];
    const row = (x, k) => clip(Math.floor(at(line, x) + 0.5) + k, 0, height - 1);
    const ends = [line.start, line.end - 1];
    const first = Math.max(0, Math.min(...ends.map((x) => row(x, -reach))) - size);
    const last = Math.min(height, Math.max(...ends.map((x) => row(x, reach))) + size + 1);
    const band = { width, height: last - first, data: data.subarray(first * width, last * width) };
    const { data: low } = opened(band, size);
    const level = quantile(range(line.end - line.start).map((k) => data[row(line.start + k, 0) * width + line.start + k]), 0.5);
    for (let x = line.start; x < line.end; x++) {
      for (let y = row(x, -reach); y <= row(x, reach); y++) {
        if (data[y * width + x] <= DARKER * level) data[y * width + x] = low[(y - first) * width + x];
      }
    }
    if (line.axis) out = transposed(out);
  }
  return out;
}

/** Labels connected marks from 1 on: {labels, marks}, with each mark's size and box [[top, bottom], [left, right]]. */
export function labelled(isInk, width, height) {
  const labels = new Int32Array(isInk.length);
  const marks = [{ size: 0, box: [[0, 0], [0, 0]] }];
  for (let start = 0; start < isInk.length; start++) {
    if (!isInk[start] || labels[start]) continue;
    const box = [[height, 0], [width, 0]];
    const label = marks.push({ size: 0, box }) - 1;
    const stack = [start];
    labels[start] = label;
    while (stack.length) {
      const index = stack.pop();
      marks[label].size++;
      const x = index % width;
      const y = (index - x) / width;
      [y, x].forEach((place, axis) => {
        box[axis] = [Math.min(box[axis][0], place), Math.max(box[axis][1], place + 1)];
      });
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const to = v * width + u;
          if (!isInk[to] || labels[to]) continue;
          labels[to] = label;
          stack.push(to);
        }
      }
    }
  }
  return { labels, marks };
}

/** Finds the first and last row and column of the large marks: [[top, bottom], [left, right]]. */
function mainBox({ width, height, data }) {
  const threshold = Math.max(otsu(histogram(data))[0], MIN_LEVEL);
  const boxes = labelled(data.map((level) => level > threshold), width, height).marks.map(({ box }) => box);
  const extent = (box) => Math.max(box[0][1] - box[0][0], box[1][1] - box[1][0]);
  const most = largest(boxes.map(extent));
  const main = most ? boxes.filter((box) => extent(box) >= 0.3 * most) : boxes;
  return [0, 1].map((axis) => [smallest(main.map((box) => box[axis][0])), largest(main.map((box) => box[axis][1]))]);
}

/** Keeps the lines whose ends lie at the picture's border or on another kept line: frames, ruled, squared paper. */
function closedLines(lines, shape) {
  const isHeld = (line, end) => {
    const [reach, across] = [line.width + 2, at(line, end)];
    if (end <= reach || end >= shape[1 - line.axis] - reach) return true;
    return lines.some((other) => {
      const ratio = other.width / line.width;
      if (other.axis === line.axis || ratio < 0.5 || ratio > 2) return false;
      const isWithin = other.start - reach <= across && across <= other.end + reach;
      return isWithin && Math.abs(at(other, across) - end) <= reach;
    });
  };
  const kept = lines.filter((line) => isHeld(line, line.start) && isHeld(line, line.end));
  return kept.length === lines.length ? kept : closedLines(kept, shape);
}

/** Tells a printed line from a straight stroke: it belongs to a frame or grid, or it sticks out of the digit. */
function isPrinted(line, closed, box, shape) {
  const length = line.end - line.start;
  const [[low, high], [first, last]] = [box[line.axis], box[1 - line.axis]];
  const sticksOut = Math.min(first - line.start, line.end - last) >= Math.max(0.04 * length, line.width);
  if (closed.includes(line)) {
    const isRepeated = closed.filter((other) => other.axis === line.axis).length > 2;
    return sticksOut || isRepeated || length < 0.9 * shape[1 - line.axis];
  }
  const place = (at(line, (line.start + line.end) / 2) - low) / Math.max(1, high - low);
  const isBeside = place < 0.1 || place > 0.9;
  return line.axis === 0 && isBeside && sticksOut && length >= 0.7 * Math.max(high - low, last - first);
}
