/** Groups the marks of ink on a picture by the same steps as marks.py: marks make a digit, digits make a row. */

const FEW = 3; // marks, which may all be pieces; of more, some are whole digits

/** The share of the shorter of two intervals that lies in the other, 0 to 1. */
const overlap = (start, stop, otherStart, otherStop) =>
  Math.max(0, Math.min(stop, otherStop) - Math.max(start, otherStart)) / Math.min(stop - start, otherStop - otherStart);

export const heightOf = ({ top, bottom }) => bottom - top;
export const widthOf = ({ left, right }) => right - left;
const middle = ({ top, bottom }) => top + bottom;

const joined = (a, b) => ({
  labels: [...a.labels, ...b.labels],
  left: Math.min(a.left, b.left), top: Math.min(a.top, b.top),
  right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom),
});

/** Whether two groups of marks are pieces of one digit; of few marks, the tallest may be a piece too. */
function belong(a, b, tallest, few) {
  const [gap, aside] = [Math.max(a.top, b.top) - Math.min(a.bottom, b.bottom), Math.max(a.left, b.left) - Math.min(a.right, b.right)];
  const [lower, both] = [Math.min(heightOf(a), heightOf(b)), joined(a, b)];
  const height = heightOf(both);
  if (overlap(a.left, a.right, b.left, b.right) < 0.5) // a slanted one or a four, where the pen has skipped
    return Math.max(gap, aside) <= 0.1 * height && lower < 0.7 * height && widthOf(both) <= 1.1 * height && height <= 1.25 * tallest;
  if (gap < 0) return lower < 0.75 * tallest; // a four's strokes, or two digits that lean
  return height <= (few ? 1.25 : 1.15) * tallest || (few && gap < 0.1 * height);
}

/** Finds the digits, from groups {labels, left, top, right, bottom} of one mark each: rows, each from left to right. */
export function rowsOf(marks) {
  const tallest = Math.max(...marks.map(heightOf));
  const groups = marks.toSorted((a, b) => heightOf(b) - heightOf(a));
  const digits = [];
  while (groups.length) {
    const group = groups.shift();
    const at = groups.findIndex((other) => belong(group, other, tallest, marks.length <= FEW));
    if (at < 0) digits.push(group);
    else groups.unshift(joined(group, groups.splice(at, 1)[0]));
  }
  const rows = [];
  for (const digit of digits.toSorted((a, b) => a.left + a.right - b.left - b.right)) {
    const away = (row) => Math.abs(middle(row.at(-1)) - middle(digit));
    const fits = (row) => overlap(row.at(-1).top, row.at(-1).bottom, digit.top, digit.bottom) >= 0.5;
    const [row] = rows.filter(fits).sort((a, b) => away(a) - away(b));
    if (row) row.push(digit);
    else rows.push([digit]);
  }
  const mean = (row) => row.reduce((total, digit) => total + middle(digit), 0) / row.length;
  return rows.sort((a, b) => mean(a) - mean(b));
}

/** Whether these are certainly several digits: not one in pieces, nor one beside dirt. */
export function hasSeveral(rows) {
  const wide = rows.flat().filter((group) => widthOf(group) >= 0.06 * heightOf(group));
  const tallest = Math.max(...wide.map(heightOf));
  const digits = wide.filter((group) => heightOf(group) >= 0.5 * tallest);
  return digits.some((a, index) => digits.slice(index + 1).some((b) => areApart(a, b, tallest)));
}

/** Whether two groups are farther apart, or wider together, than the pieces of one digit can be. */
function areApart(a, b, tallest) {
  const across = Math.max(a.left, b.left) - Math.min(a.right, b.right);
  const down = Math.max(a.top, b.top) - Math.min(a.bottom, b.bottom);
  return Math.max(across, down) >= 0.25 * tallest || (across > 0 && widthOf(joined(a, b)) > 1.2 * tallest);
}

/** The share of rows of pixels, 0 to 1, that cross more than two strokes: large for 80, small for any digit. */
export function crowdingOf(digit, own, width) {
  let crowded = 0;
  for (let y = digit.top; y < digit.bottom; y++) {
    let strokes = 0;
    for (let x = digit.left; x < digit.right; x++) strokes += own[y * width + x] && !(x > 0 && own[y * width + x - 1]);
    crowded += strokes > 2;
  }
  return crowded / heightOf(digit);
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
