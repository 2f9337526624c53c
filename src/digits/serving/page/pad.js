/** The drawing surface: strokes over a sheet, which is white or a picture. */

const INK = "#1b1f24"; // the same in every theme: what is read must not depend on how the page looks
const WIDTH = 28; // of 392: what MNIST's pens leave once the digit is scaled to 20 of 28 pixels
const LONGEST = 1600; // pixels; a larger photograph would only take longer to send
const TYPES = ["image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif"];
const HEAVIEST = 4_000_000; // bytes; the server takes a few more

export class Pad {
  /** The stroke being drawn, or null. */
  stroke = null;
  /** Whether the pen rubs out. */
  erasing = false;
  #items = []; // strokes {points, erases}, and sheets {paper, image, file}, an empty one for each clearing
  #canvas;
  #context;
  #changed;

  /** Draws on `canvas` (square) and calls `changed()` after each change. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#changed = changed;
    this.#context.lineCap = this.#context.lineJoin = "round";
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    this.#redraw();
  }

  /** Whether there is nothing to read. */
  get empty() {
    return !(this.#items.at(-1)?.points || this.#sheet.file);
  }

  /** What to read: the picture's own file as long as nothing is drawn on it, else the canvas. */
  get picture() {
    return this.#items.at(-1)?.file ?? this.#canvas;
  }

  undo() {
    if (this.stroke || !this.#items.pop()) return;
    this.#redraw();
    this.#changed();
  }

  /** An empty sheet; undo brings back the old one. */
  clear() {
    this.stroke = null;
    if (!this.empty) this.#lay({});
  }

  /** Lays a picture's file (Blob) on the pad; throws what is no picture. */
  async open(file) {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    const asItIs = Math.max(width, height) <= LONGEST && file.size <= HEAVIEST && TYPES.includes(file.type);
    const size = this.#canvas.width;
    const paper = paperOf(bitmap);
    this.#lay({
      paper,
      image: fitted(bitmap, size / Math.max(width, height), size, size, paper),
      file: asItIs ? file : await shrunk(bitmap, Math.min(1, LONGEST / Math.max(width, height))),
    });
  }

  get #sheet() {
    return this.#items.findLast((item) => !item.points) ?? {};
  }

  #lay(sheet) {
    this.stroke = null;
    this.#items.push(sheet);
    this.#redraw();
    this.#changed();
  }

  #redraw() {
    const { paper, image } = this.#sheet;
    this.#context.fillStyle = paper ?? "#ffffff";
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (image) this.#context.drawImage(image, 0, 0);
    const from = this.#items.findLastIndex((item) => !item.points) + 1;
    for (const stroke of this.#items.slice(from)) {
      for (let at = 1; at <= stroke.points.length; at++) this.#draw(stroke, at);
    }
  }

  /** Draws a stroke's part that ends halfway to its `at`-th point, or its end at the last of a finished stroke. */
  #draw({ points, erases, ended }, at) {
    const context = this.#context;
    const [a, b] = [points[Math.max(at - 2, 0)], points[at - 1]];
    const start = at < 3 ? points[0] : halfway(points[at - 3], a);
    const last = ended && at === points.length;
    const { paper = "#ffffff" } = this.#sheet;
    context.strokeStyle = erases ? paper : isDark(paper) ? "#ffffff" : INK;
    context.lineWidth = erases ? 2 * WIDTH : WIDTH;
    context.beginPath();
    context.moveTo(...start);
    context.quadraticCurveTo(...a, ...(at === 1 ? a : halfway(a, b)));
    if (last) context.lineTo(...b);
    context.stroke();
  }

  #begin(event) {
    if (!event.isPrimary || event.button > 0 || this.stroke) return;
    const erases = this.erasing || event.buttons === 32; // a pen's other end
    if (erases && this.empty) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.stroke = { points: [this.#place(event)], erases, ended: false };
    this.#items.push(this.stroke);
    this.#draw(this.stroke, 1);
    this.#changed();
  }

  #go(event) {
    if (!event.isPrimary || !this.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      this.stroke.points.push(this.#place(one));
      this.#draw(this.stroke, this.stroke.points.length);
    }
    this.#changed();
  }

  #end(event) {
    if (!event.isPrimary || !this.stroke) return;
    const { stroke } = this;
    this.stroke = null;
    stroke.ended = true;
    this.#draw(stroke, stroke.points.length);
    this.#changed();
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }
}

const halfway = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** The colour that a picture's border mostly has, as #rrggbb: what the eraser leaves. */
function paperOf(bitmap) {
  const side = 16;
  const canvas = fitted(bitmap, null, side, side);
  const { data } = canvas.getContext("2d").getImageData(0, 0, side, side);
  const edge = (at) => at % side === 0 || at % side === side - 1 || at < side || at >= side * (side - 1);
  const border = [...Array(side * side).keys()].filter(edge);
  const median = (channel) => border.map((at) => data[4 * at + channel]).sort((a, b) => a - b)[border.length >> 1];
  return "#" + [0, 1, 2].map((channel) => median(channel).toString(16).padStart(2, "0")).join("");
}

const isDark = (colour) => [1, 3, 5].reduce((sum, at) => sum + parseInt(colour.slice(at, at + 2), 16), 0) < 330;

/** A canvas of `width` x `height` with the bitmap in its middle, scaled by `scale` or, without one, to fill it. */
function fitted(bitmap, scale, width, height, paper = "#ffffff") {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const [w, h] = scale ? [bitmap.width * scale, bitmap.height * scale] : [width, height];
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  return canvas;
}

function shrunk(bitmap, scale) {
  const canvas = fitted(bitmap, scale, Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
}
