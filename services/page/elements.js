// Elements of the page and how numbers read on it.

export const $ = (id) => document.getElementById(id);

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export const percent = (score) => `${(100 * score).toFixed(score < 0.1 ? 1 : 0)} %`;
export const seconds = (time) => `${time.toFixed(1)} s`;

export function showFacts(facts) {
  $("facts").replaceChildren(
    ...Object.entries(facts).map(([key, value]) => {
      const pair = make("div");
      pair.append(make("dt", "", key), make("dd", "", value));
      return pair;
    }),
  );
}

export function factsOf(answer, version, ms) {
  return {
    Model: answer.model,
    Version: version,
    Latency: `${(ms / 1000).toFixed(2)} s`,
    Video: `${answer.width} × ${answer.height}, ${seconds(answer.duration)}, ${answer.fps.toFixed(1)} fps`,
    Precision: answer.precision,
  };
}

// a row of a timeline: a name, and what lies beside it
export function track(name, content) {
  const row = make("div", "track");
  const title = make("span", "name", name);
  title.title = name;
  row.append(title, content);
  return row;
}

export function axis(start, end) {
  const ends = make("div", "axis");
  ends.append(make("span", "", seconds(start)), make("span", "", seconds(end)));
  return track("", ends);
}

export function seek(time) {
  $("player").currentTime = time;
}
