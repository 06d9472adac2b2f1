// Who does what and when: facts of the answer, and a timeline with a row for each action of a person.

import { $, axis, factsOf, make, percent, seconds, seek, showFacts, track } from "./elements.js";
import { actionsAt, boxAt, colourOf, titleOf } from "./overlay.js";

// Show an answer of detect-actions; what follows the video's time.
export function showPeople(answer, version, ms) {
  showFacts({ ...factsOf(answer, version, ms), People: `${answer.persons.length}` });
  $("top").replaceChildren();
  $("time-title").textContent = "Who does what";
  const titles = new Map(answer.persons.map((person) => [person.number, titleOf(person)]));
  const rows = Object.values(Object.groupBy(answer.spans, ({ person, action }) => `${person} ${action}`));
  const tracks = rows.map((spans) => rowOf(spans, titles.get(spans[0].person), answer.duration));
  const none = make("p", "", "Nobody does anything with a score that counts.");
  $("timeline").replaceChildren(...(tracks.length ? [...tracks, axis(0, answer.duration)] : [none]));
  return (time) => follow(answer, time);
}

function rowOf(spans, title, duration) {
  const bars = make("div", "spans");
  bars.append(...spans.map((span) => barOf(span, title, duration)));
  return track(`${title} ${spans[0].action}`, bars);
}

function barOf({ person, action, start, end, score }, title, duration) {
  const bar = make("button");
  bar.type = "button";
  bar.style.left = `${(100 * start) / duration}%`;
  bar.style.width = `${(100 * (end - start)) / duration}%`;
  bar.style.backgroundColor = colourOf(person);
  Object.assign(bar.dataset, { start, end });
  bar.title = `${title} ${action}: ${percent(score)}, ${seconds(start)} to ${seconds(end)}`;
  bar.setAttribute("aria-label", bar.title);
  bar.addEventListener("click", () => seek(start));
  return bar;
}

function follow({ persons, step }, time) {
  for (const bar of document.querySelectorAll(".spans button")) {
    bar.classList.toggle("now", time >= Number(bar.dataset.start) && time < Number(bar.dataset.end));
  }
  const said = persons
    .filter((person) => boxAt(person, time, step))
    .map((person) => {
      const [best] = actionsAt(person, time, step);
      return best ? `${titleOf(person)} ${best.name} ${percent(best.score)}` : titleOf(person);
    });
  $("now").textContent = `${seconds(time)}: ${said.join("; ") || "nobody"}`;
}
