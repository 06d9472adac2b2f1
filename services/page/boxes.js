// Files with boxes of people, CSV or JSON, as `vidmodels detect-actions` reads them: into what the service takes.

import { Problem } from "./service.js";

const NUMBERS = ["time", "x1", "y1", "x2", "y2"];
const COLUMNS = ["video", ...NUMBERS, "person", "label", "labels", "score"];
const VIDEO_ENDING = /\.(mp4|mov|m4v|mkv|webm|avi|ts|mts|m2ts|3gp|3g2|mj2)$/i;

// The boxes of one video in a file: {time, x1, y1, x2, y2, person} in its pixels. video: its file name, or null for any.
export async function readBoxes(file, video) {
  const text = (await file.text()).trimEnd();
  const rows = /^\s*[[{]/.test(text) ? jsonRows(text, file.name) : csvRows(text, file.name);
  if (!rows.length) throw new Problem(`${file.name} holds no box: give a row for each.`);
  const boxes = rows.map(({ row, record }) => ({ video: record.video, box: boxOf(record, `${file.name}, row ${row}`) }));
  const named = video === null ? boxes : ofVideo(boxes, video, file.name);
  // a box with several labels has a row for each of them
  return [...new Map(named.map(({ box }) => [JSON.stringify(box), box])).values()];
}

function csvRows(text, name) {
  const [head, ...lines] = text.split(/\r\n|\n|\r/);
  const columns = cellsOf(head).map((cell) => cell.toLowerCase());
  const missing = NUMBERS.filter((column) => !columns.includes(column));
  if (missing.length) {
    const what = missing.length < NUMBERS.length ? missing.join(", ") : `every one of ${NUMBERS.join(", ")}`;
    throw new Problem(`${name}, row 1: the columns lack ${what}: name them in the first row.`);
  }
  checkColumns(columns, `${name}, row 1`);
  return lines.flatMap((line, number) => {
    if (!line.trim()) return [];
    const [cells, row] = [cellsOf(line), number + 2];
    if (cells.length > columns.length) {
      throw new Problem(`${name}, row ${row}: more cells than columns: put cells with a comma into quotes.`);
    }
    return [{ row, record: Object.fromEntries(cells.map((cell, place) => [columns[place], cell])) }];
  });
}

// cells between commas; a quoted one may hold commas, and quotes as two
function cellsOf(line) {
  const cells = line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return [...cells].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain.trim());
}

// a list of objects, or one object on each line
function jsonRows(text, name) {
  const parts = text.trimStart().startsWith("[") ? [text] : text.split("\n");
  const records = parts.flatMap((part, number) => {
    try {
      return part.trim() ? JSON.parse(part) : [];
    } catch (error) {
      throw new Problem(`${name}, from line ${number + 1} on: this is not JSON (${error.message}).`);
    }
  });
  return records.map((record, number) => {
    const where = `${name}, row ${number + 1}`;
    if (typeof record !== "object" || record === null) {
      throw new Problem(`${where}: this is no object with the keys ${NUMBERS.join(", ")}.`);
    }
    checkColumns(Object.keys(record), where);
    return { row: number + 1, record };
  });
}

function checkColumns(names, where) {
  const unknown = names.find((name) => !COLUMNS.includes(name));
  if (unknown !== undefined) {
    throw new Problem(`${where}: unknown column '${unknown.slice(0, 40)}': columns are ${COLUMNS.join(", ")}.`);
  }
}

const isAbsent = (value) => value === undefined || value === null || value === "";

function boxOf(record, where) {
  const box = {};
  for (const key of NUMBERS) {
    if (isAbsent(record[key])) throw new Problem(`${where}: ${key} is missing: every box needs ${NUMBERS.join(", ")}.`);
    box[key] = ["number", "string"].includes(typeof record[key]) ? Number(record[key]) : NaN;
    if (!Number.isFinite(box[key])) throw new Problem(`${where}: ${key} is no number: '${String(record[key]).slice(0, 40)}'.`);
  }
  if (box.time < 0) throw new Problem(`${where}: the time ${box.time} s lies before the video begins.`);
  if (box.x1 >= box.x2 || box.y1 >= box.y2) {
    const said = `(${[box.x1, box.y1, box.x2, box.y2].join(", ")})`;
    throw new Problem(`${where}: the box ${said} is inverted or empty: give x1 < x2 and y1 < y2.`);
  }
  if (!isAbsent(record.person)) box.person = String(record.person);
  return box;
}

// a file names a video by its path, its file name, or that without the ending; rows that name none are of any
function ofVideo(boxes, video, name) {
  const videos = [...new Set(boxes.map((each) => each.video).filter((each) => !isAbsent(each)).map(String))];
  if (!videos.length) return boxes;
  const base = (path) => path.replaceAll("\\", "/").split("/").at(-1);
  const stem = (path) => base(path).replace(VIDEO_ENDING, "");
  for (const form of [String, base, stem]) {
    const found = videos.filter((each) => form(each) === form(video));
    if (found.length > 1) throw new Problem(`${name} has boxes of ${found[0]} and of ${found[1]}: leave one of them.`);
    if (found.length) return boxes.filter((each) => isAbsent(each.video) || String(each.video) === found[0]);
  }
  throw new Problem(`${name} has no boxes of ${video}; it names ${videos.slice(0, 3).join(", ")}: correct its column video.`);
}
