/** Resizes images {width, height, depth, data} exactly as Pillow does. */

import { range, sum } from "./numbers.js";

/**
 * Resizes the part `box` of an image to `size` as Pillow does. A new pixel is a mean of the old ones within `support`
 * new pixels of its centre, with `filter` of the distance as weight.
 */
export function resized(image, size, box, support, filter) {
  const wide = resizedRows(image, size[0], box[0], box[2], support, filter);
  return resizedRows(wide, size[1], box[1], box[3], support, filter);
}

/**
 * Resizes each row, and swaps rows and columns, so that a second call resizes the columns. RGBA (depth 4) is rounded to
 * bytes in each call, as in Pillow.
 */
function resizedRows({ width, height, depth, data }, size, start, end, support, filter) {
  const scale = (end - start) / size;
  const stretch = Math.max(scale, 1);
  const [Kind, half] = depth === 4 ? [Uint8Array, 0.5] : [Float32Array, 0];
  const out = new Kind(size * height * depth);
  for (let x = 0; x < size; x++) {
    const centre = start + (x + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - support * stretch + 0.5), 0);
    const to = Math.min(Math.trunc(centre + support * stretch + 0.5), width);
    const weights = range(to - from).map((index) => filter((from + index - centre + 0.5) / stretch));
    const total = sum(weights);
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < depth; c++) {
        let value = 0;
        for (let u = from; u < to; u++) value += weights[u - from] * data[(y * width + u) * depth + c];
        out[(x * height + y) * depth + c] = value / total + half;
      }
    }
  }
  return { width: height, height: size, depth, data: out };
}

/** Pillow's BILINEAR filter. */
export const triangle = (x) => Math.max(1 - Math.abs(x), 0);
