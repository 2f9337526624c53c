/** The drawing area: strokes on a background, which is white or a picture. */

const INK = "#1b1f24"; // the same in every theme: the answer must not depend on the page's colours
const STROKE_WIDTH = 18; // of 392 pixels: 12345 fits, and no model reads single digits worse than by a thicker pen
const MAX_SIDE = 1600; // pixels; a larger photograph only takes longer to send
const TYPES = ["image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif"];
const MAX_BYTES = 4_000_000; // below the server's limit of 5,000,000

export class Pad {
  /** The stroke being drawn, or null. */
  stroke = null;
  /** Whether strokes erase. */
  erasing = false;
  #items = []; // for undo: strokes {points, erases, ended} and backgrounds {paper, image, file}; {} is an empty one
  #canvas;
  #context;
  #onChange;

  /** Draws on a square canvas and calls `onChange()` after each change. */
  constructor(canvas, onChange) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    this.#onChange = onChange;
    this.#context.lineCap = this.#context.lineJoin = "round";
    canvas.addEventListener("pointerdown", (event) => this.#startStroke(event));
    canvas.addEventListener("pointermove", (event) => this.#extendStroke(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, (event) => this.#endStroke(event));
    this.#redraw();
  }

  /** Whether there is nothing to read. */
  get empty() {
    return !(this.#items.at(-1)?.points || this.#background.file);
  }

  /** The picture to read: the opened file as long as nothing is drawn on it, else the canvas. */
  get picture() {
    return this.#items.at(-1)?.file ?? this.#canvas;
  }

  undo() {
    if (this.stroke || !this.#items.pop()) return;
    this.#redraw();
    this.#onChange();
  }

  /** Starts on an empty background with the pen; undo brings the drawing back. */
  clear() {
    this.stroke = null;
    this.erasing = false;
    if (this.empty) this.#onChange();
    else this.#addBackground({});
  }

  /** Starts anew with a stroke along each of these SVG paths, whose units are the canvas' pixels. */
  trace(paths) {
    this.clear();
    for (const path of paths) {
      const step = path.getTotalLength() / 32;
      const points = Array.from({ length: 33 }, (_, at) => path.getPointAtLength(at * step)).map(({ x, y }) => [x, y]);
      this.#items.push({ points, erases: false, ended: true });
    }
    this.#redraw();
    this.#onChange();
  }

  /** Opens a picture file (Blob) as background; throws if it is not a picture. */
  async open(file) {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    const isSendable = Math.max(width, height) <= MAX_SIDE && file.size <= MAX_BYTES && TYPES.includes(file.type);
    const size = this.#canvas.width;
    const { data } = toCanvas(bitmap, null, 16, 16, null).getContext("2d").getImageData(0, 0, 16, 16);
    const isClear = data.some((value, index) => index % 4 === 3 && value < 255);
    const paper = paperOf(data);
    this.#addBackground({
      paper,
      image: toCanvas(bitmap, size / Math.max(width, height), size, size, paper),
      file: isSendable ? file : await toSmallFile(bitmap, Math.min(1, MAX_SIDE / Math.max(width, height)), isClear),
    });
  }

  get #background() {
    return this.#items.findLast((item) => !item.points) ?? {};
  }

  #addBackground(background) {
    this.stroke = null;
    this.#items.push(background);
    this.#redraw();
    this.#onChange();
  }

  #redraw() {
    const { paper, image } = this.#background;
    this.#context.fillStyle = paper ?? "#ffffff";
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (image) this.#context.drawImage(image, 0, 0);
    const first = this.#items.findLastIndex((item) => !item.points) + 1;
    for (const stroke of this.#items.slice(first)) {
      for (let count = 1; count <= stroke.points.length; count++) this.#drawPart(stroke, count);
    }
  }

  /**
   * Draws the part of a stroke that its `count`-th point adds: a curve through the point before it, up to halfway
   * between the two, so that the parts join smoothly; up to the last point itself once the stroke has ended.
   */
  #drawPart({ points, erases, ended }, count) {
    const context = this.#context;
    const [a, b] = [points[Math.max(count - 2, 0)], points[count - 1]];
    const start = count < 3 ? points[0] : halfway(points[count - 3], a);
    const isLast = ended && count === points.length;
    const { paper = "#ffffff" } = this.#background;
    context.strokeStyle = erases ? paper : isDark(paper) ? "#ffffff" : INK;
    context.lineWidth = erases ? 3 * STROKE_WIDTH : STROKE_WIDTH;
    context.beginPath();
    if (count === 1) context.arc(...b, 0.1, 0, 2 * Math.PI); // a dot: a line without length draws nothing
    context.moveTo(...start);
    context.quadraticCurveTo(...a, ...(count === 1 ? a : halfway(a, b)));
    if (isLast) context.lineTo(...b);
    context.stroke();
  }

  #startStroke(event) {
    if (!event.isPrimary || event.button > 0 || this.stroke) return;
    if (this.empty) this.erasing = false; // there is nothing to erase: whoever draws now wants to see it
    const erases = this.erasing || event.buttons === 32; // the eraser end of a pen
    if (erases && this.empty) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.stroke = { points: [this.#position(event)], erases, ended: false };
    this.#items.push(this.stroke);
    this.#drawPart(this.stroke, 1);
    this.#onChange();
  }

  #extendStroke(event) {
    if (!event.isPrimary || !this.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      this.stroke.points.push(this.#position(each));
      this.#drawPart(this.stroke, this.stroke.points.length);
    }
    this.#onChange();
  }

  #endStroke(event) {
    if (!event.isPrimary || !this.stroke) return;
    const { stroke } = this;
    this.stroke = null;
    stroke.ended = true;
    this.#drawPart(stroke, stroke.points.length);
    this.#onChange();
  }

  #position(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }
}

const halfway = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/**
 * What the eraser paints with behind a picture, from its 16x16 copy: the median colour of its border, as #rrggbb; where
 * the border is transparent, black behind bright strokes and else white.
 */
function paperOf(data) {
  const side = 16;
  const isOuter = (place) => place === 0 || place === side - 1;
  const isEdge = (index) => isOuter(index % side) || isOuter(Math.floor(index / side));
  const border = [...Array(side * side).keys()].filter(isEdge);
  const median = (channel) => border.map((index) => data[4 * index + channel]).sort((a, b) => a - b)[border.length >> 1];
  if (median(3) > 127) return "#" + [0, 1, 2].map((channel) => median(channel).toString(16).padStart(2, "0")).join("");
  let [brightness, opacity] = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    brightness += (data[at] + data[at + 1] + data[at + 2]) * data[at + 3];
    opacity += data[at + 3];
  }
  return brightness > 1.5 * 255 * opacity ? "#000000" : "#ffffff";
}

const isDark = (colour) => [1, 3, 5].reduce((sum, start) => sum + parseInt(colour.slice(start, start + 2), 16), 0) < 330;

/** Makes a canvas with the bitmap in its middle, scaled by `scale` or, if that is null, stretched to fill it; on nothing if `paper` is null. */
function toCanvas(bitmap, scale, width, height, paper) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const [w, h] = scale ? [bitmap.width * scale, bitmap.height * scale] : [width, height];
  context.fillStyle = paper ?? "transparent";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  return canvas;
}

function toSmallFile(bitmap, scale, isClear) {
  const size = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  const canvas = toCanvas(bitmap, scale, ...size, isClear ? null : "#ffffff");
  const kind = isClear ? "image/webp" : "image/jpeg"; // a browser that writes no WebP makes a PNG
  return new Promise((resolve) => canvas.toBlob(resolve, kind, 0.95));
}
