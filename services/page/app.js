// The page of the service: choose a model and a video, or the camera, and look at the answer over time.

import { readBoxes } from "./boxes.js";
import { Camera } from "./camera.js";
import { LiveClasses, showClasses, showHeat } from "./classes.js";
import { $ } from "./elements.js";
import { Overlay } from "./overlay.js";
import { showPeople } from "./people.js";
import { Problem, call, hasToken, keepToken } from "./service.js";

// boxes: those of the chosen file for the chosen video; follow: what the results do as the video's time goes on
const state = { file: null, models: [], boxes: null, camera: null, busy: false, follow: null };
const overlay = new Overlay($("player"), $("overlay"));

const BUTTONS = { classify: "classify", explain: "explain", detect: "detect-actions" };
const DOING = {
  classify: "Classifying …",
  explain: "Looking for the evidence …",
  "detect-actions": "Looking at the people …",
};

// ---- the service

async function loadModels() {
  if (!hasToken()) {
    say("Enter the token that the service printed.");
    return;
  }
  try {
    const { body } = await call("/v1/models");
    state.models = body.models;
    $("model").replaceChildren(...state.models.map((model) => new Option(`${model.name} (${model.version})`, model.name)));
    say(state.models.length ? "" : "No model is served yet.");
  } catch (error) {
    fail(error);
  }
  refresh();
}

async function ask(task) {
  const { file } = state;
  state.busy = true;
  refresh();
  fail(null);
  say(DOING[task]);
  try {
    const { body, version, ms } = await call(`/v1/${task}`, { method: "POST", body: formOf(task) });
    say(`Answered in ${(ms / 1000).toFixed(2)} s.`);
    if (state.file === file) show(task, body, version, ms);
  } catch (error) {
    say("");
    fail(error);
  }
  state.busy = false;
  refresh();
}

function formOf(task) {
  const form = new FormData();
  form.append("model", $("model").value);
  if (task === "detect-actions") form.append("boxes", JSON.stringify(state.boxes));
  form.append("video", state.file, state.file.name);
  return form;
}

async function runCamera() {
  const model = chosenModel();
  const classes = new LiveClasses(model);
  state.camera = new Camera(model, $("live"), (row, ms, rate) => {
    classes.add(row, ms, rate);
    $("results").hidden = false;
  });
  $("player").pause();
  clear();
  fail(null);
  say("Waiting for the camera …");
  refresh();
  try {
    await state.camera.run(() => say("The camera is on; its pictures go to the service until you stop it."));
    say("The camera is off.");
  } catch (error) {
    say("");
    fail(error);
  }
  state.camera = null;
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

const chosenModel = () => state.models.find((each) => each.name === $("model").value);

function refresh() {
  const model = chosenModel();
  const idle = !state.busy && !state.camera;
  const detects = Boolean(model?.answers.includes("detect-actions"));
  for (const [id, task] of Object.entries(BUTTONS)) {
    const answers = Boolean(model?.answers.includes(task));
    $(id).hidden = id === "detect" ? !detects : detects && !answers;
    $(id).disabled = !(idle && answers && state.file && (state.boxes || id !== "detect"));
  }
  $("boxes-part").hidden = !detects;
  $("model").disabled = !idle || state.models.length === 0;
  const streams = model?.answers.includes("classify") && !model.input.sound && model.input.num_frames > 1;
  $("camera").hidden = detects;
  $("camera").disabled = !state.camera && !(idle && streams);
  $("camera").textContent = state.camera ? "Stop camera" : "Live camera";
  $("now").setAttribute("aria-live", state.camera ? "polite" : "off");
  $("live").hidden = !state.camera;
  $("player").hidden = Boolean(state.camera);
  $("empty").hidden = Boolean(state.camera || state.file);
}

function show(task, body, version, ms) {
  if (task === "explain") showHeat(body);
  else state.follow = (task === "classify" ? showClasses : showPeople)(body, version, ms);
  if (task !== "explain") overlay.show(task === "classify" ? null : body);
  $("results").hidden = false;
  follow();
}

function follow() {
  state.follow?.($("player").currentTime);
}

function clear() {
  state.follow = null;
  overlay.show(null);
  $("results").hidden = true;
  $("heat-title").hidden = true;
  for (const id of ["heat", "now", "facts", "top", "timeline"]) $(id).replaceChildren();
}

function choose(file) {
  if (!file) return;
  state.camera?.stop();
  state.file = file;
  clear();
  $("drop-text").textContent = file.name;
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(file);
  fail(null);
  refresh();
  chooseBoxes();
}

async function chooseBoxes() {
  const [file] = $("boxes").files;
  state.boxes = null;
  $("boxes-note").textContent = "";
  if (!file) return;
  fail(null);
  try {
    state.boxes = await readBoxes(file, state.file?.name ?? null);
    const times = new Set(state.boxes.map((box) => box.time)).size;
    $("boxes-note").textContent = `Boxes: ${state.boxes.length}, at ${times} times.`;
  } catch (error) {
    fail(error);
  }
  refresh();
}

// ---- what the person does

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  state.camera?.stop();
  keepToken($("token").value.trim());
  $("token").value = "";
  fail(null);
  loadModels();
});
$("file").addEventListener("change", () => choose($("file").files[0]));
$("boxes").addEventListener("change", chooseBoxes);
$("model").addEventListener("change", refresh);
for (const [id, task] of Object.entries(BUTTONS)) $(id).addEventListener("click", () => ask(task));
$("camera").addEventListener("click", () => (state.camera ? state.camera.stop() : runCamera()));
$("player").addEventListener("timeupdate", follow);
addEventListener("pagehide", () => state.camera?.stop());
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
  keepToken(given);
  history.replaceState(null, "", location.pathname);
}
loadModels();
