/** Small functions on numbers and lists. */

export const range = (n) => Array.from({ length: n }, (_, index) => index);
export const clip = (x, low, high) => Math.min(Math.max(x, low), high);
export const sum = (list) => list.reduce((a, b) => a + b, 0);

/** Rounds as Python does: a half goes to the even number. */
export const rounded = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/** numpy's quantile, with linear interpolation. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  return sorted[low] + (position - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}
