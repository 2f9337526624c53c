/** A picture to the 28x28 image MNIST would have made of it: digits/serving/pictures.py, step by step. */

const WORKING = 512; // longest side all the steps below work at, pixels
const COARSE = 64; // longest side the paper is looked for at
const BROADEST = 0.25; // stroke, as a share of the picture's longest side; what is wider is light or shadow
const FAINTEST = 10; // ink, levels of 255 above the paper
const SMALLEST = 8; // pixels a side

/**
 * @param {HTMLCanvasElement | Blob} picture - a drawing, or a picture's file.
 * @returns {Promise<Float32Array>} 784 numbers: ink 1, paper 0, the longest side 20 pixels, the mass in the middle.
 * @throws {Error} with status 422 where nothing stands out from the paper, 415 where there is no picture.
 */
export async function prepare(picture) {
  const colours = decoded(picture instanceof Blob ? await bitmapOf(picture) : picture);
  const { width, height } = colours;
  const levels = abovePaper(colours);
  const counts = countsOf(levels);
  const threshold = otsu(counts);
  const inked = withoutSpecks(levels.map((level) => level > threshold), width, height);
  const rest = counts.slice(0, threshold + 1);
  const [ink, paper] = [levelOf(countsOf(levels, inked), 0.5), levelOf(rest, 0.5)];
  const noise = levelOf(rest, 0.84) - paper; // as far above the middle as a standard deviation
  if (!(ink - paper >= Math.max(FAINTEST, 4 * noise))) throw fault(422, "no ink");
  const near = dilated(dilated(inked, width), width); // the soft edge of a stroke is ink too
  const data = new Float32Array(levels.length);
  for (let at = 0; at < data.length; at++) data[at] = near[at] * clip((levels[at] - paper) / (ink - paper), 0, 1);
  return centred(fitted({ width, height, depth: 1, data }));
}

const fault = (status, text) => Object.assign(new Error(text), { status });
const range = (n) => Array.from({ length: n }, (_, at) => at);
const clip = (x, low, high) => Math.min(Math.max(x, low), high);
const sum = (list) => list.reduce((a, b) => a + b, 0);

/** To the nearest whole number, to the even one of two as near, as Python does. */
const rounded = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** numpy's quantile: between two values where it falls between them. */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/** How often each level occurs, in all or where `mask` is set. */
function countsOf(levels, mask) {
  const counts = new Float64Array(256);
  for (let at = 0; at < levels.length; at++) if (!mask || mask[at]) counts[levels[at]]++;
  return counts;
}

/** The level that a share of all pixels does not exceed, from how often each level occurs. */
function levelOf(counts, share) {
  const enough = share * sum(counts);
  let below = 0;
  return counts.findIndex((count) => (below += count) >= enough);
}

async function bitmapOf(file) {
  const bitmap = await createImageBitmap(file).catch(() => Promise.reject(fault(415, "no picture")));
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

/** A canvas's colours, 0..255, at most WORKING a side: {width, height, depth: 3, data}, pixel by pixel. */
function decoded(canvas) {
  const { width, height } = canvas;
  if (Math.min(width, height) < SMALLEST) throw fault(415, "too small");
  const { data: rgba } = canvas.getContext("2d").getImageData(0, 0, width, height);
  for (let at = 3; at < rgba.length; at += 4) {
    if (rgba[at] < 255) for (let c = at - 3; c < at; c++) rgba[c] = (rgba[c] * rgba[at]) / 255;
  }
  const scale = Math.min(1, WORKING / Math.max(width, height));
  const size = [width, height].map((side) => Math.max(1, rounded(side * scale)));
  let small = { width, height, depth: 4, data: rgba };
  if (scale < 1) small = resized(small, size, [0, 0, width, height], 0.5, () => 1);
  // What is transparent becomes white or black, whichever the drawing stands out from.
  const pixels = size[0] * size[1];
  const data = new Float32Array(3 * pixels);
  const totals = [0, 0];
  for (let at = 0; at < 4 * pixels; at++) totals[at % 4 === 3 ? 1 : 0] += small.data[at];
  const bright = totals[0] > 1.5 * totals[1];
  for (let at = 0; at < pixels; at++) {
    const behind = bright ? 0 : 255 - small.data[4 * at + 3];
    for (let c = 0; c < 3; c++) data[3 * at + c] = small.data[4 * at + c] + behind;
  }
  return { width: size[0], height: size[1], depth: 3, data };
}

/**
 * Pillow's resize of the part `box` of an image to `size`: each new pixel is the mean of those within `support` pixels
 * of its own size around it, weighted by `filter` of their distance.
 */
function resized(image, size, box, support, filter) {
  return across(across(image, size[0], box[0], box[2], support, filter), size[1], box[1], box[3], support, filter);
}

/**
 * One direction of it, left to right; the result lies on its side, so that the second time is top to bottom. Bytes, of
 * depth 4, are rounded each time as Pillow does.
 */
function across({ width, height, depth, data }, size, start, end, support, filter) {
  const scale = (end - start) / size;
  const stretch = Math.max(scale, 1);
  const [Kind, half] = depth === 4 ? [Uint8Array, 0.5] : [Float32Array, 0];
  const out = new Kind(size * height * depth);
  for (let x = 0; x < size; x++) {
    const centre = start + (x + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - support * stretch + 0.5), 0);
    const to = Math.min(Math.trunc(centre + support * stretch + 0.5), width);
    const weights = range(to - from).map((at) => filter((from + at - centre + 0.5) / stretch));
    const total = sum(weights);
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < depth; c++) {
        let value = 0;
        for (let at = from; at < to; at++) value += weights[at - from] * data[(y * width + at) * depth + c];
        out[(x * height + y) * depth + c] = value / total + half;
      }
    }
  }
  return { width: height, height: size, depth, data: out };
}

/** The filter of Pillow's BILINEAR. */
const triangle = (x) => Math.max(1 - Math.abs(x), 0);

/** How far each pixel's colour is from the paper's, towards the ink's: Uint8Array, black on white 255. */
function abovePaper(colours) {
  const { width, height, data } = colours;
  const step = Math.ceil(Math.max(width, height) / COARSE);
  const coarse = reduced(colours, step);
  const paper = Float32Array.from(paperOf(coarse)); // in numbers as exact as numpy's, no more: levels are rounded
  const away = coarse.data.map((value, at) => value - paper[at]);
  const lengths = range(away.length / 3).map((at) => Math.hypot(...away.subarray(3 * at, 3 * at + 3)));
  const farthest = 0.7 * Math.max(...lengths);
  const towards = [0, 0, 0];
  lengths.forEach((length, at) => length >= farthest && towards.forEach((_, c) => (towards[c] += away[3 * at + c])));
  const norm = Math.max(Math.sqrt(3) * Math.hypot(...towards), 1e-9);
  const [r, g, b] = towards.map((value) => Math.fround(value / norm));
  const along = (values) => lengths.map((_, at) => values[3 * at] * r + values[3 * at + 1] * g + values[3 * at + 2] * b);
  const [w, h] = [coarse.width, coarse.height];
  const left = smoothed(opened(along(away), w, h, Math.max(2, rounded(BROADEST * Math.max(w, h, 3)))), w, h);
  const ground = { width: w, height: h, depth: 1, data: along(paper).map((value, at) => value + left[at]) };
  const fine = resized(ground, [width, height], [0, 0, width / step, height / step], 1, triangle).data;
  const levels = new Uint8Array(width * height);
  for (let at = 0; at < levels.length; at++) {
    const level = data[3 * at] * r + data[3 * at + 1] * g + data[3 * at + 2] * b - 255 * fine[at];
    levels[at] = clip(Math.round(level), 0, 255);
  }
  return levels;
}

/** Means of blocks of step x step pixels, those at the far edges narrower, to levels and those to 0..1. */
function reduced({ width, height, data }, step) {
  const [w, h] = [Math.ceil(width / step), Math.ceil(height / step)];
  const sums = new Float64Array(3 * w * h);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = 3 * (Math.floor(y / step) * w + Math.floor(x / step));
      for (let c = 0; c < 3; c++) sums[to + c] += data[3 * (y * width + x) + c];
    }
  }
  const pixels = (at, n, size) => (at < n - 1 ? step : size - step * (n - 1));
  const count = (at) => pixels(at % w, w, width) * pixels(Math.floor(at / w), h, height);
  const mean = (total, at) => divided(total, count(Math.floor(at / 3))) / 255;
  return { width: w, height: h, data: Float32Array.from(sums, mean) };
}

/** A sum of `n` levels to their mean, as Pillow rounds it: by a multiplication in whole numbers. */
const divided = (total, n) => Math.floor(((total + (n >> 1)) * Math.floor(2 ** 24 / n)) / 2 ** 24);

/** A smooth surface through most of the colours: iteratively reweighted least squares. */
function paperOf({ width, height, data: colours }) {
  const place = (at, n) => (n > 1 ? (2 * at) / (n - 1) - 1 : -1);
  const pixels = range(width * height);
  const terms = pixels.map((at) => {
    const [x, y] = [place(at % width, width), place(Math.floor(at / width), height)];
    return [1, x, y, x * x, x * y, y * y];
  });
  const margin = Math.max(1, rounded(0.08 * Math.min(width, height)));
  const inside = (at, n) => at >= margin && at < n - margin;
  const border = pixels.filter((at) => !(inside(at % width, width) && inside(Math.floor(at / width), height)));
  const middle = range(3).map((c) => quantile(border.map((at) => colours[3 * at + c]), 0.5));
  let surface = Float64Array.from(colours, (_, at) => middle[at % 3]);
  for (let turn = 0; turn < 8; turn++) {
    const scale = 0.3 * (0.04 / 0.3) ** (turn / 7); // from wide to narrow: a dark corner is still paper, ink is not
    const system = range(6).map((k) => range(9).map((l) => (k === l ? 1e-6 : 0)));
    for (const at of pixels) {
      let apart = 0;
      for (let c = 0; c < 3; c++) apart += (colours[3 * at + c] - surface[3 * at + c]) ** 2 / 3;
      const weight = 1 / (1 + apart / scale ** 2) ** 2;
      for (let k = 0; k < 6; k++) {
        const term = weight * terms[at][k];
        for (let l = 0; l < 6; l++) system[k][l] += term * terms[at][l];
        for (let c = 0; c < 3; c++) system[k][6 + c] += term * colours[3 * at + c];
      }
    }
    const solved = solve(system);
    surface = surface.map((_, at) => {
      let value = 0;
      for (let k = 0; k < 6; k++) value += terms[Math.floor(at / 3)][k] * solved[k][at % 3];
      return value;
    });
  }
  return surface;
}

/** Gauss and Jordan: rows of [A | B] to rows of A⁻¹B. */
function solve(rows) {
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    const best = range(n).reduce((at, i) => (i > k && Math.abs(rows[i][k]) > Math.abs(rows[at][k]) ? i : at), k);
    [rows[k], rows[best]] = [rows[best], rows[k]];
    rows[k] = rows[k].map((value) => value / rows[k][k]);
    rows = rows.map((row, i) => (i === k ? row : row.map((value, at) => value - row[k] * rows[k][at])));
  }
  return rows.map((row) => row.slice(n));
}

/** Each value from those `from` to `to` beside it, then above and below; the edges are repeated, as scipy does. */
function windowed(values, width, height, from, to, combine) {
  const list = new Array(to - from + 1);
  const pass = (image, place) =>
    image.map((_, at) => {
      for (let k = from; k <= to; k++) list[k - from] = image[place(at % width, Math.floor(at / width), k)];
      return combine(list);
    });
  const sideways = pass(values, (x, y, k) => y * width + clip(x + k, 0, width - 1));
  return pass(sideways, (x, y, k) => clip(y + k, 0, height - 1) * width + x);
}

/** Without what rises above its surroundings and is narrower than `size`. */
function opened(values, width, height, size) {
  const half = Math.floor(size / 2);
  const other = size - 1 - half;
  const eroded = windowed(values, width, height, -half, other, (list) => Math.min(...list));
  return windowed(eroded, width, height, -other, half, (list) => Math.max(...list));
}

/** Under a Gaussian of one pixel, cut off at four. */
function smoothed(values, width, height) {
  const bell = range(9).map((k) => Math.exp(-((k - 4) ** 2) / 2));
  const total = sum(bell);
  return windowed(values, width, height, -4, 4, (list) => sum(list.map((value, k) => value * bell[k])) / total);
}

/** Otsu's threshold: the level that parts the counts best. */
function otsu(counts) {
  const [total, moment] = [sum(counts), sum(counts.map((count, level) => count * level))];
  let [below, part, best, threshold] = [0, 0, 0, 255];
  counts.forEach((count, level) => {
    below += count;
    part += count * level;
    if (!below || below === total) return;
    const between = below * (total - below) * (part / below - (moment - part) / (total - below)) ** 2;
    if (between > best) [best, threshold] = [between, level];
  });
  return threshold;
}

/** Leaves the marks that can be parts of the digit: no dust, and no desk that shows beside the sheet. */
function withoutSpecks(inked, width, height) {
  const labels = new Int32Array(inked.length);
  const sizes = [0];
  for (let start = 0; start < inked.length; start++) {
    if (!inked[start] || labels[start]) continue;
    const label = sizes.push(0) - 1;
    const stack = [start];
    labels[start] = label;
    while (stack.length) {
      const at = stack.pop();
      sizes[label]++;
      const x = at % width;
      const y = (at - x) / width;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
          const to = v * width + u;
          if (!inked[to] || labels[to]) continue;
          labels[to] = label;
          stack.push(to);
        }
      }
    }
  }
  const largest = (list) => list.reduce((a, b) => Math.max(a, b), 0);
  const [row, column] = [range(width), range(height).map((y) => y * width)];
  const [last, right] = [row.map((at) => at + (height - 1) * width), column.map((at) => at + width - 1)];
  for (const side of [row, last, column, right]) {
    const along = new Map();
    for (const at of side) along.set(labels[at], (along.get(labels[at]) ?? 0) + 1);
    const long = (label) => along.get(label) > side.length / 3;
    const others = sizes.map((size, label) => (long(label) ? 0 : size));
    if (largest(others) > inked.length / 2000) sizes.splice(0, sizes.length, ...others);
  }
  const least = Math.max(1, 0.08 * largest(sizes));
  return inked.map((_, at) => sizes[labels[at]] >= least);
}

/** What is set, and its four neighbours. */
function dilated(mask, width) {
  return mask.map((set, at) => {
    const x = at % width;
    return set || (x > 0 && mask[at - 1]) || (x < width - 1 && mask[at + 1]) || mask[at - width] || mask[at + width];
  });
}

/** Cuts out the ink and scales it to 20 pixels on its longest side, its strongest parts to 1. */
function fitted(image) {
  const { width, height, data } = image;
  const box = [width, height, 0, 0];
  data.forEach((ink, at) => {
    if (ink <= Math.fround(0.2)) return;
    const x = at % width;
    const y = (at - x) / width;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x >= box[2]) box[2] = x + 1;
    if (y >= box[3]) box[3] = y + 1;
  });
  const sides = [box[2] - box[0], box[3] - box[1]];
  const size = sides.map((side) => Math.max(1, Math.trunc((20 * side) / Math.max(...sides) + 0.5)));
  const small = resized(image, size, box, 1, triangle);
  const least = 0.1 * Math.max(...small.data);
  const top = quantile(small.data.filter((ink) => ink > least), 0.8); // a fine pen is grey at this size
  return { ...small, data: small.data.map((ink) => clip(ink / top, 0, 1)) };
}

/** On 28x28 with the centre of mass at pixel (14, 14), but nothing cut off. */
function centred({ width, height, data }) {
  const total = sum(data);
  const start = (size, place) => Math.trunc(clip(14.5 + 1e-6 - sum(data.map((ink, at) => ink * place(at))) / total, 0, 28 - size));
  const top = start(height, (at) => Math.floor(at / width));
  const left = start(width, (at) => at % width);
  const image = new Float32Array(784);
  data.forEach((ink, at) => (image[(top + Math.floor(at / width)) * 28 + left + (at % width)] = ink));
  return image;
}
