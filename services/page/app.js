// The page of the service: choose a video and a model, look at the answer over time.

const $ = (id) => document.getElementById(id);
const state = { file: null, models: [], answer: null, busy: false };

// ---- the service

class Problem extends Error {}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const started = performance.now();
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Problem("The service does not answer. Is it running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(body.error?.message ?? `The service answered with status ${response.status}.`);
  return { body, version: response.headers.get("x-model-version"), ms: performance.now() - started };
}

async function loadModels() {
  if (!sessionStorage.getItem("token")) {
    $("status").textContent = "Enter the token that the service printed.";
    return;
  }
  try {
    const { body } = await call("/v1/models");
    state.models = body.models;
    $("model").replaceChildren(...state.models.map((model) => new Option(`${model.name} (${model.version})`, model.name)));
    $("model").disabled = state.models.length === 0;
    say(state.models.length ? "" : "No model is served yet.");
  } catch (error) {
    fail(error);
  }
  refresh();
}

async function ask(task) {
  state.busy = true;
  refresh();
  fail(null);
  say(task === "explain" ? "Looking for the evidence …" : "Classifying …");
  const form = new FormData();
  form.append("model", $("model").value);
  form.append("video", state.file, state.file.name);
  try {
    const { body, version, ms } = await call(`/v1/${task}`, { method: "POST", body: form });
    say(`Answered in ${(ms / 1000).toFixed(2)} s.`);
    if (task === "explain") showHeat(body);
    else showAnswer(body, version, ms);
    $("results").hidden = false;
  } catch (error) {
    say("");
    fail(error);
  }
  state.busy = false;
  refresh();
}

// ---- what is shown

function say(text) {
  $("status").textContent = text;
}

function fail(error) {
  if (error && !(error instanceof Problem)) throw error;
  $("problem").textContent = error ? error.message : "";
}

function refresh() {
  const model = state.models.find((each) => each.name === $("model").value);
  const ready = Boolean(state.file && model && !state.busy);
  $("classify").disabled = !(ready && model.answers.includes("classify"));
  $("explain").disabled = !(ready && model.answers.includes("explain"));
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const percent = (score) => `${(100 * score).toFixed(score < 0.1 ? 1 : 0)} %`;
const seconds = (time) => `${time.toFixed(1)} s`;
const bestOf = (top) => (Array.isArray(top) ? top : Object.values(top).flat());

function showAnswer(answer, version, ms) {
  state.answer = answer;
  const facts = {
    Model: answer.model,
    Version: version,
    Latency: `${(ms / 1000).toFixed(2)} s`,
    Video: `${answer.width} × ${answer.height}, ${seconds(answer.duration)}, ${answer.fps.toFixed(1)} fps`,
    Precision: answer.precision,
  };
  if (answer.sound) facts.Sound = answer.sound;
  $("facts").replaceChildren(
    ...Object.entries(facts).map(([key, value]) => {
      const pair = make("div");
      pair.append(make("dt", "", key), make("dd", "", value));
      return pair;
    }),
  );
  const top = bestOf(answer.top);
  $("top").replaceChildren(
    ...top.map(({ name, score }) => {
      const item = make("li");
      const bar = make("span", "bar");
      const fill = make("i");
      fill.style.width = `${100 * score}%`;
      bar.append(fill);
      item.append(make("span", "name", name), bar, make("span", "score", percent(score)));
      return item;
    }),
  );
  showTimeline(answer);
}

function showTimeline(answer) {
  // the classes that are highest somewhere, in the order of their highest score
  const highest = answer.classes.map((name, index) => ({
    name,
    index,
    score: Math.max(...answer.windows.map((window) => window.scores[index])),
  }));
  const winners = new Set(answer.windows.map((window) => window.scores.indexOf(Math.max(...window.scores))));
  const rows = highest
    .sort((a, b) => winners.has(b.index) - winners.has(a.index) || b.score - a.score)
    .slice(0, 6);
  const tracks = rows.map(({ name, index }) => {
    const track = make("div", "track");
    const cells = make("div", "cells");
    answer.windows.forEach((window, number) => {
      const cell = make("button");
      cell.type = "button";
      cell.dataset.window = number;
      cell.style.backgroundColor = `rgba(var(--cell), ${0.06 + 0.94 * window.scores[index]})`;
      cell.title = `${name}: ${percent(window.scores[index])}, ${seconds(window.start)} to ${seconds(window.end)}`;
      cell.setAttribute("aria-label", cell.title);
      cell.addEventListener("click", () => seek(window.start));
      cells.append(cell);
    });
    track.append(make("span", "name", name), cells);
    return track;
  });
  const axis = make("div", "track");
  const ends = make("div", "axis");
  ends.append(make("span", "", seconds(0)), make("span", "", seconds(answer.duration)));
  axis.append(make("span"), ends);
  $("timeline").replaceChildren(...tracks, axis);
  follow();
}

function showHeat(answer) {
  $("heat-title").hidden = false;
  $("heat").replaceChildren(
    ...answer.windows.map((window) => {
      const part = make("div", "window");
      part.append(make("p", "", `${seconds(window.start)} to ${seconds(window.end)}: ${window.class}, ${percent(window.score)}`));
      const strip = make("div", "strip");
      for (const frame of window.frames) {
        const figure = make("figure");
        const image = make("img");
        image.src = frame.heat;
        image.alt = `Evidence for ${window.class} at ${seconds(frame.time)}`;
        figure.append(image, make("figcaption", "", seconds(frame.time)));
        strip.append(figure);
      }
      part.append(strip);
      return part;
    }),
  );
}

function seek(time) {
  $("player").currentTime = time;
}

function follow() {
  const time = $("player").currentTime;
  const windows = state.answer?.windows ?? [];
  let number = windows.findIndex((window) => time >= window.start && time < window.end);
  if (number < 0 && windows.length) number = time > 0 ? windows.length - 1 : 0;
  for (const cell of document.querySelectorAll(".cells button")) cell.classList.toggle("now", Number(cell.dataset.window) === number);
  if (number >= 0) {
    const [best] = bestOf(windows[number].top);
    $("now").textContent = `${seconds(time)}: ${best.name}, ${percent(best.score)}`;
  }
}

function choose(file) {
  if (!file) return;
  state.file = file;
  state.answer = null;
  $("drop-text").textContent = file.name;
  $("results").hidden = true;
  $("heat-title").hidden = true;
  $("heat").replaceChildren();
  $("now").textContent = "";
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(file);
  $("empty").hidden = true;
  fail(null);
  refresh();
}

// ---- what the person does

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  fail(null);
  loadModels();
});
$("file").addEventListener("change", () => choose($("file").files[0]));
$("model").addEventListener("change", refresh);
$("classify").addEventListener("click", () => ask("classify"));
$("explain").addEventListener("click", () => ask("explain"));
$("player").addEventListener("timeupdate", follow);
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") choose(event.dataTransfer.files[0]);
  });
}
// the printed address carries the token behind '#', which browsers do not send
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname);
}
loadModels();
