// Answers about classes: of the whole, over time, the newest of a live stream, and where the evidence lies.

import { $, axis, factsOf, make, percent, seconds, seek, showFacts, track } from "./elements.js";

const ROWS = 6; // classes of a timeline
const LIVE_WINDOWS = 30;

const bestOf = (top) => (Array.isArray(top) ? top : Object.values(top).flat());

// Show an answer; what follows the video's time.
export function showClasses(answer, version, ms) {
  const facts = factsOf(answer, version, ms);
  if (answer.sound) facts.Sound = answer.sound;
  showFacts(facts);
  showTop(answer.top, "Classes of the whole video");
  $("time-title").textContent = "Over time";
  const tracks = tracksOf(answer.classes, answer.windows, windowButton);
  $("timeline").replaceChildren(...tracks, axis(0, answer.duration));
  return (time) => follow(answer.windows, time);
}

function showTop(top, label) {
  $("top").setAttribute("aria-label", label);
  $("top").replaceChildren(
    ...bestOf(top).map(({ name, score }) => {
      const item = make("li");
      const bar = make("span", "bar");
      const fill = make("i");
      fill.style.width = `${100 * score}%`;
      bar.append(fill);
      item.append(make("span", "name", name), bar, make("span", "score", percent(score)));
      return item;
    }),
  );
}

function tracksOf(classes, windows, cellOf) {
  return highest(classes, windows).map(({ name, index }) => {
    const cells = make("div", "cells");
    for (const window of windows) {
      const cell = cellOf(name, window, window.scores[index]);
      cell.style.backgroundColor = `rgba(var(--cell), ${0.06 + 0.94 * window.scores[index]})`;
      cells.append(cell);
    }
    return track(name, cells);
  });
}

// the classes that are highest somewhere come first, in the order of their highest score
function highest(classes, windows) {
  const winners = new Set(windows.map((window) => window.scores.indexOf(Math.max(...window.scores))));
  return classes
    .map((name, index) => ({ name, index, score: Math.max(...windows.map((window) => window.scores[index])) }))
    .sort((a, b) => winners.has(b.index) - winners.has(a.index) || b.score - a.score)
    .slice(0, ROWS);
}

function windowButton(name, window, score) {
  const cell = make("button");
  cell.type = "button";
  cell.dataset.start = window.start;
  cell.title = `${name}: ${percent(score)}, ${seconds(window.start)} to ${seconds(window.end)}`;
  cell.setAttribute("aria-label", cell.title);
  cell.addEventListener("click", () => seek(window.start));
  return cell;
}

function follow(windows, time) {
  const window = windows.find(({ start, end }) => time >= start && time < end) ?? (time > 0 ? windows.at(-1) : windows[0]);
  if (!window) return;
  for (const cell of document.querySelectorAll(".cells button")) {
    cell.classList.toggle("now", Number(cell.dataset.start) === window.start);
  }
  const [best] = bestOf(window.top);
  $("now").textContent = `${seconds(time)}: ${best.name}, ${percent(best.score)}`;
}

// The last windows of a live stream.
export class LiveClasses {
  #windows = [];

  constructor(model) {
    this.model = model;
  }

  // row: a window's answer; ms: from sending the picture that completed it to its answer; rate: pictures a second
  add(row, ms, rate) {
    this.#windows = [...this.#windows, row].slice(-LIVE_WINDOWS);
    showFacts({
      Model: this.model.model,
      Version: row.version,
      Latency: `${Math.round(ms)} ms, of which the model ${Math.round(row.ms)} ms`,
      Pictures: `${rate.toFixed(1)} a second`,
      Windows: `${row.number + 1}`,
    });
    showTop(row.top, "Classes of the newest window");
    const [best] = bestOf(row.top);
    // read out when it changes, not with every window
    if ($("now").textContent !== best.name) $("now").textContent = best.name;
    $("time-title").textContent = "The last windows";
    const tracks = tracksOf(this.model.labels, this.#windows, liveCell);
    $("timeline").replaceChildren(...tracks, axis(this.#windows[0].start, row.end));
  }
}

function liveCell(name, window, score) {
  const cell = make("span");
  cell.title = `${name}: ${percent(score)}, ${seconds(window.start)} to ${seconds(window.end)}`;
  return cell;
}

export function showHeat(answer) {
  $("heat-title").hidden = false;
  $("heat").replaceChildren(
    ...answer.windows.map((window) => {
      const part = make("div", "window");
      const span = `${seconds(window.start)} to ${seconds(window.end)}`;
      part.append(make("p", "", `${span}: ${window.class}, ${percent(window.score)}`));
      const strip = make("div", "strip");
      strip.append(...window.frames.map((frame) => heatFigure(window.class, frame)));
      part.append(strip);
      return part;
    }),
  );
}

function heatFigure(name, frame) {
  const figure = make("figure");
  const image = make("img");
  image.src = frame.heat;
  image.alt = `Evidence for ${name} at ${seconds(frame.time)}`;
  figure.append(image, make("figcaption", "", seconds(frame.time)));
  return figure;
}
