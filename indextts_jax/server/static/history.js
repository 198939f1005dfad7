// The tab of what this browser made.

import { Clip } from "./clip.js";
import { CAP, piecesOf, putPiece, putRecord, records, removeRecords } from "./db.js";
import { confirmed, find, iconButton, make } from "./dom.js";
import { notice } from "./errors.js";
import { locale, number, t } from "./i18n.js";
import { asCurl, asPython } from "./recipe.js";
import { startCompare, compare } from "./compare.js";

const MEGA = 1e6;

let list = []; // records, the newest first
let dock = null;
let again = null; // speaks a request once more
const ticked = new Set(); // ids to compare

function failed(error) {
  notice(t("history.failed"), { advice: error?.name === "QuotaExceededError" ? t("history.quota") : t("history.blocked") });
}

/** A recording of one speech into the database, in the order of its calls. */
export class Keeper {
  constructor(body, rate, facts) {
    this.record = {
      id: `${Date.now()}-${Math.random().toString(36).slice(2, 8)}`, created: Date.now(), body, rate,
      samples: 0, state: "running", words: [], figures: {}, ...facts,
    };
    this.saved = 0; // samples
    this.number = 0;
    this.queue = Promise.resolve();
    this.broken = false;
  }

  then(work) {
    this.queue = this.queue.then(() => (this.broken ? null : work())).catch((error) => {
      if (!this.broken) failed(error);
      this.broken = true;
    });
    return this.queue;
  }

  /** Saves what is new, if it is at least a second, or the end. */
  add(clip, end = false) {
    const ready = clip.length - this.saved;
    if (!ready || (ready < this.record.rate && !end)) return;
    const samples = clip.slice(this.saved);
    this.saved = clip.length;
    this.record.samples = clip.length;
    const copy = structuredClone(this.record), place = this.number++;
    this.then(async () => {
      await limit(2 * samples.length, copy.id);
      await putPiece(copy, place, samples);
    });
  }

  async finish(clip, state, figures, words) {
    Object.assign(this.record, { state, figures, words });
    this.add(clip, true);
    await this.then(() => putRecord(structuredClone(this.record)));
    await loadHistory();
  }
}

/** Removes the oldest records until `bytes` more fit below the cap. */
async function limit(bytes, except) {
  const all = await records();
  let total = all.reduce((sum, record) => sum + 2 * record.samples, 0) + bytes;
  const gone = [];
  while (total > CAP && all.length) {
    const oldest = all.pop();
    if (oldest.id === except) continue;
    total -= 2 * oldest.samples;
    gone.push(oldest.id);
  }
  if (!gone.length) return;
  await removeRecords(gone);
  notice(t("history.removed", { count: gone.length }), { bad: false });
}

export async function clipOfRecord(record) {
  const clip = new Clip(record.rate);
  for (const samples of await piecesOf(record.id)) clip.append(samples);
  clip.finish();
  return clip;
}

async function play(record) {
  const { body, figures, words, voice } = record;
  dock.show(await clipOfRecord(record), { name: voice, body, text: body.input, words, figures: { ...figures, streamed: false } });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    find("status").textContent = t("copied");
    notice(t("copied"), { bad: false });
  } catch { // not allowed, or not a secure address: the text can be selected by hand
    notice(text, { bad: false, advice: t("copy.byhand") });
  }
}

/** What was requested beyond text and voice, in a few words. */
export function optionsOf({ body, figures }) {
  const parts = [`${t("seed")} ${figures.seed ?? body.seed}`];
  if (body.speed !== undefined) parts.push(`${t("speed")} ${number(body.speed, 2)}`);
  if (body.emotion) {
    const kind = ["recording", "weights", "text"].find((name) => name in body.emotion);
    parts.push(`${t("emotion")}: ${t(`emotion.${kind}`)}`);
  }
  for (const name of ["temperature", "top_k", "top_p", "repetition_penalty"]) {
    if (body[name] !== undefined) parts.push(`${t(name)} ${body[name]}`);
  }
  return parts.join(" · ");
}

function tick(record, on) {
  if (on) ticked.add(record.id); else ticked.delete(record.id);
  find("compare").disabled = ticked.size !== 2;
}

function entry(record) {
  const when = new Date(record.created).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });
  const facts = make("p", { class: "facts-line" }, [record.voice, t("seconds", { seconds: number(record.samples / record.rate, 1) }), when, optionsOf(record)].join(" · "));
  if (record.state !== "complete") facts.append(" · ", make("span", { class: "cut" }, t(`state.${record.state}`)));
  const text = record.body.input, short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  const box = make("input", { type: "checkbox", "aria-label": t("compare.tick", { text: short }), checked: ticked.has(record.id), onchange: ({ target }) => tick(record, target.checked) });
  const button = iconButton("play", t("history.play", { text: short }), () => play(record));
  button.className = "round";
  return make("li", {}, box, button, make("div", { class: "what" }, make("p", { class: "title" }, text), facts),
    make("div", { class: "row" },
      iconButton("rotate-ccw", t("history.again"), () => again(record.body, record.voice)),
      iconButton("copy", t("copy.curl"), () => copy(asCurl(record.body)), "curl"),
      iconButton("copy", t("copy.python"), () => copy(asPython(record.body)), "Python"),
      iconButton("trash-2", t("delete"), () => remove([record.id], t("history.delete.sure")))));
}

function draw() {
  const bytes = list.reduce((sum, record) => sum + 2 * record.samples, 0);
  find("history-lead").textContent = t("history.lead", { used: number(bytes / MEGA, 1), cap: number(CAP / MEGA) });
  find("history-clear").disabled = !list.length;
  for (const id of ticked) if (!list.some((record) => record.id === id)) ticked.delete(id);
  find("compare").disabled = ticked.size !== 2;
  find("history-list").replaceChildren(...list.map(entry));
  if (!list.length) find("history-list").append(make("li", { class: "none" }, t("history.none")));
}

async function remove(ids, question) {
  if (!await confirmed(question)) return;
  await removeRecords(ids).catch(failed);
  await loadHistory();
}

export async function loadHistory() {
  try {
    list = await records();
  } catch (error) {
    failed(error);
  }
  draw();
}

export async function startHistory(theDock, speakAgain) {
  dock = theDock;
  again = speakAgain;
  startCompare();
  find("compare").addEventListener("click", () => compare(list.filter((record) => ticked.has(record.id))));
  find("history-clear").addEventListener("click", () => remove(list.map((record) => record.id), t("history.clear.sure")));
  document.addEventListener("language", draw);
  await loadHistory();
  // Records of a page that was closed or reloaded in mid-sentence.
  for (const record of list.filter((found) => found.state === "running")) {
    await putRecord({ ...record, state: "broken" }).catch(failed);
    record.state = "broken";
  }
  draw();
}
