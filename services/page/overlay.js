// Boxes over the playing video: where each person is at the time that is shown, and what they do.

import { percent } from "./elements.js";

// light colours that are told apart on the dark ground of the tags; persons take them in turn
const COLOURS = [
  "#ffb347", "#6ec6ff", "#8ee07f", "#ff8fa3", "#c9a7ff", "#f5e663", "#5fe0d0", "#ff9d5c", "#a3b8ff", "#e79be0",
];
const GROUND = "rgba(12, 15, 19, 0.82)";
const INK = "#f1f4f8";
const GAP = 2.5; // steps between two boxes that a person may be unseen and is still drawn in between
const LONGEST_NAME = 30;
const CONTROLS = 64; // pixels at the bottom of the player that its controls take
const NARROW = 480; // a picture less wide than this has room for one action of a person

export const colourOf = (number) => COLOURS[(number - 1) % COLOURS.length];
export const titleOf = (person) => (person.name === null ? `${person.number}` : `${person.number} ${person.name}`);

// The box [x1, y1, x2, y2] of a person at a time, or null: on the straight line between two known ones; before coming and
// after leaving it stays for half the usual distance of two boxes, half a step at most.
export function boxAt({ boxes }, time, step) {
  if (time < boxes[0][0] - step / 2 - 1e-6 || time > boxes.at(-1)[0] + step / 2 + 1e-6) return null;
  let after = boxes.findIndex((row) => row[0] >= time);
  if (after < 0) after = boxes.length;
  const [last, next] = [boxes[after - 1], boxes[after]];
  if (last && next && next[0] - last[0] <= GAP * step + 1e-6) {
    const share = (time - last[0]) / (next[0] - last[0]);
    return [1, 2, 3, 4].map((place) => (1 - share) * last[place] + share * next[place]);
  }
  const stay = Math.min(usualGap(boxes) ?? step, step) / 2;
  const near = [last, next].find((row) => row && Math.abs(row[0] - time) <= stay + 1e-6);
  return near ? near.slice(1) : null;
}

function usualGap(boxes) {
  const gaps = boxes.slice(1).map((row, place) => row[0] - boxes[place][0]).sort((a, b) => a - b);
  const middle = (gaps.length - 1) / 2;
  return gaps.length ? (gaps[Math.floor(middle)] + gaps[Math.ceil(middle)]) / 2 : null;
}

// The best actions of a person at the nearest key frame, none where that is far.
export function actionsAt({ actions }, time, step) {
  const distance = (row) => Math.abs(row.time - time);
  const nearest = actions.reduce((best, row) => (best && distance(best) <= distance(row) ? best : row), null);
  return nearest && distance(nearest) <= GAP * step ? nearest.top : [];
}

// A canvas over the video; it shows the persons of an answer with each frame that the video shows.
export class Overlay {
  #player;
  #canvas;
  #answer = null;
  #time = 0;

  constructor(player, canvas) {
    this.#player = player;
    this.#canvas = canvas;
    const sizes = new ResizeObserver(() => this.#draw());
    for (const each of [player, canvas]) sizes.observe(each);
    addEventListener("resize", () => this.#draw()); // also where only the ratio of pixels changes
    if (player.requestVideoFrameCallback) this.#withFrames();
    else this.#withTime();
  }

  // answer: of detect-actions, or null for none
  show(answer) {
    this.#answer = answer;
    this.#draw();
  }

  #withFrames() {
    this.#player.requestVideoFrameCallback((_, frame) => {
      this.#time = frame.mediaTime;
      this.#draw();
      this.#withFrames();
    });
  }

  #withTime() {
    const draw = () => {
      this.#time = this.#player.currentTime;
      this.#draw();
      if (!this.#player.paused) requestAnimationFrame(draw);
    };
    for (const kind of ["play", "seeked", "loadeddata"]) this.#player.addEventListener(kind, draw);
  }

  #draw() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const [across, down] = [width, height].map((side) => Math.round(side * devicePixelRatio));
    if (this.#canvas.width !== across) this.#canvas.width = across;
    if (this.#canvas.height !== down) this.#canvas.height = down;
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, across, down);
    if (!this.#answer || !this.#player.videoWidth) return;
    pen.scale(across / width, down / height);
    const area = this.#picture();
    const shown = this.#persons(area);
    for (const each of shown) drawBox(pen, each);
    const taken = [{ left: 0, top: area.floor - CONTROLS, width, height: CONTROLS }];
    for (const each of shown) drawTag(pen, each, area, taken);
  }

  // where the picture lies on the canvas, the video being fitted into its element with bars beside or above it; floor: the
  // lower edge of the element
  #picture() {
    const [outer, inner] = [this.#canvas, this.#player].map((each) => each.getBoundingClientRect());
    const { videoWidth, videoHeight } = this.#player;
    const scale = Math.min(inner.width / videoWidth, inner.height / videoHeight);
    const [width, height] = [scale * videoWidth, scale * videoHeight];
    const left = inner.left - outer.left + (inner.width - width) / 2;
    const top = inner.top - outer.top + (inner.height - height) / 2;
    return { left, top, width, height, right: left + width, bottom: top + height, floor: inner.bottom - outer.top };
  }

  #persons(area) {
    const { persons, step, width, height } = this.#answer;
    const [across, down] = [area.width / width, area.height / height];
    return persons.flatMap((person) => {
      const box = boxAt(person, this.#time, step);
      if (!box) return [];
      const [x1, y1, x2, y2] = box.map((value, place) => (place % 2 ? area.top + value * down : area.left + value * across));
      const actions = actionsAt(person, this.#time, step).slice(0, area.width < NARROW ? 1 : undefined);
      return [{ x1, y1, x2, y2, colour: colourOf(person.number), lines: linesOf(person, actions) }];
    });
  }
}

function linesOf(person, actions) {
  const said = actions.map(({ name, score }) => `${cut(name)} ${percent(score)}`);
  return [[cut(titleOf(person)), said[0]].filter(Boolean).join(" "), ...said.slice(1)];
}

// the beginning of a long name says more than its end
const cut = (text) => (text.length <= LONGEST_NAME ? text : `${text.slice(0, LONGEST_NAME - 1).trimEnd()}…`);

function drawBox(pen, { x1, y1, x2, y2, colour }) {
  for (const [style, thick] of [["#000000", 4], [colour, 2]]) {
    pen.strokeStyle = style;
    pen.lineWidth = thick;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

function drawTag(pen, shown, area, taken) {
  const size = area.width < NARROW ? 11 : 13;
  const [row, pad] = [Math.round(1.45 * size), Math.round(0.5 * size)];
  pen.font = `600 ${size}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const width = Math.min(Math.max(...shown.lines.map((line) => pen.measureText(line).width)) + 3 * pad, area.width);
  const tag = { width, height: shown.lines.length * row + pad };
  const { left, top } = place(shown, tag, area, taken);
  pen.fillStyle = GROUND;
  pen.fillRect(left, top, tag.width, tag.height);
  pen.fillStyle = shown.colour;
  pen.fillRect(left, top, 3, tag.height);
  shown.lines.forEach((line, number) => {
    pen.fillStyle = number ? INK : shown.colour;
    pen.fillText(line, left + 1.5 * pad, top + pad / 2 + (number + 0.5) * row, tag.width - 2 * pad);
  });
}

// above its box, below it, inside it (low, off the face), beside it, elsewhere: the first place that is free
function place({ x1, y1, x2, y2 }, { width, height }, area, taken) {
  const inside = [[x1, y2 - height], [x2 - width, y2 - height]];
  const places = [[x1, y1 - height], [x1, y2], ...inside, [x2, y1], [x1 - width, y1], [x1, y1], [x2 - width, y1]];
  for (let top = area.top; top <= area.bottom - height; top += height / 2) places.push([x1, top]);
  const within = places
    .filter(([, top]) => top >= area.top && top + height <= area.bottom)
    .map(([left, top]) => ({ left: Math.max(area.left, Math.min(left, area.right - width)), top, width, height }));
  const free = within.find((tag) => !taken.some((other) => overlap(tag, other)));
  const found = free ?? within[0] ?? { left: area.left, top: area.top, width, height };
  taken.push(found);
  return found;
}

const overlap = (a, b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
