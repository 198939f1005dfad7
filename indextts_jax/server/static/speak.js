// The first tab: from the controls to a request, and from its answer to sound.

import { about } from "./about.js";
import { ApiError, speech } from "./api.js";
import { Clip } from "./clip.js";
import { find, remember, setIcon } from "./dom.js";
import { emotionAsked } from "./emotion.js";
import { clearFields, clearNotices, markField, showError } from "./errors.js";
import { Keeper } from "./history.js";
import { number, t } from "./i18n.js";
import { voices } from "./voices.js";

const NUMBERS = ["temperature", "top_k", "top_p", "repetition_penalty"];
const QUIET = 1, LONG = 10; // seconds without data before the page says so: while it is silent, and at all

let dock = null;
let running = null; // {abort, clip, keeper, figures, words, …} of the speech that is being made

/** A number typed by hand: undefined if empty; text that is not a number goes to the server as it is,
 * which says what is wrong with it. */
function typed(id) {
  const text = find(id).value.trim().replace(",", ".");
  if (!text) return undefined;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

function seedAsked() {
  const given = typed("seed");
  if (find("seed-lock").getAttribute("aria-pressed") === "true" && given !== undefined) return given;
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
  find("seed").value = seed;
  return seed;
}

/** The request as the controls say; what is as usual is left out. */
function requestAsked() {
  const body = { model: about.facts?.model ?? "indextts-2", voice: voices.chosen, input: find("text").value, seed: seedAsked() };
  const speed = Number(find("speed").value), pause = Number(find("pause").value);
  if (speed !== 1) body.speed = speed;
  if (pause !== Number(find("pause").defaultValue)) body.pause = pause;
  const emotion = emotionAsked();
  if (emotion) body.emotion = emotion;
  for (const name of NUMBERS) {
    const value = typed(name);
    if (value !== undefined) body[name] = value;
  }
  return body;
}

function say(text) {
  if (find("progress").textContent !== text) find("progress").textContent = text;
}

function setRunning(run) {
  running = run;
  find("stop").disabled = !run;
  find("speak-form").setAttribute("aria-busy", String(Boolean(run)));
  if (!run) say("");
}

/** Says where a speech is, twice a second. */
function watch(run) {
  const now = performance.now();
  const quiet = (now - run.last) / 1000;
  if (!run.clip) say(t("waiting", { seconds: number((now - run.started) / 1000) }));
  else if (quiet > (dock.player.state.waiting ? QUIET : LONG)) say(t("quiet", { seconds: number(quiet) }));
  else say(t("speaking", { seconds: number(run.clip.seconds, 1) }));
}

function begin(run, headers) {
  const rate = Number(headers.get("x-sample-rate")) || run.body.sample_rate;
  const prebuffer = Number(headers.get("x-prebuffer-seconds")) || 0;
  const seed = headers.get("x-seed");
  Object.assign(run.figures, { seed: seed === null ? run.recipe.seed : Number(seed), streamed: true });
  run.clip = new Clip(rate);
  run.keeper = new Keeper(run.recipe, rate, { voice: run.voice });
  run.playing = dock.show(run.clip, { name: run.voice, body: run.recipe, text: run.recipe.input, figures: run.figures }, prebuffer);
}

function take(run, bytes) {
  run.last = performance.now();
  run.figures.first ??= (run.last - run.started) / 1000;
  run.clip.appendBytes(bytes);
  run.keeper.add(run.clip);
}

/** The end of a speech, whatever its reason: what came stays playable and saved. */
async function end(run, state) {
  clearInterval(run.timer);
  if (running === run) setRunning(null);
  if (!run.clip) return;
  if (state === "complete" && run.clip.seconds) run.figures.rtf = (performance.now() - run.started) / 1000 / run.clip.seconds;
  run.clip.finish();
  dock.update();
  if (run.clip.length) await run.keeper.finish(run.clip, state, run.figures, run.words);
}

/** Speaks a request. Errors are shown; text and settings stay as they are. */
export async function speakRequest(recipe, voice) {
  stop();
  clearNotices();
  clearFields();
  const rate = about.facts?.sample_rate ?? 22_050;
  const body = { ...recipe, response_format: "pcm", stream_format: "sse", sample_rate: rate };
  if (about.facts?.word_timestamps) body.word_timestamps = true;
  const now = performance.now();
  const run = { abort: new AbortController(), body, recipe, voice, clip: null, figures: {}, words: [], started: now, last: now };
  setRunning(run);
  run.timer = setInterval(() => watch(run), 500);
  watch(run);
  dock.player.prepare(rate).catch(() => {}); // in the click: later the browser may refuse to play
  try {
    await speech(body, run.abort.signal, {
      onstart: (headers) => begin(run, headers),
      onbytes: (bytes) => take(run, bytes),
      onwords: (words) => {
        run.words.push(...words);
        dock.words(run.words);
      },
    });
    await end(run, "complete");
    find("status").textContent = t("done", { seconds: number(run.clip.seconds, 1) });
  } catch (error) {
    const stopped = error.name === "AbortError";
    if (!stopped) showError(error instanceof ApiError ? error : new ApiError("broken", String(error)), { action: [t("retry"), () => speakRequest(recipe, voice)] });
    await end(run, stopped ? "stopped" : "broken");
  }
}

export function stop() {
  dock.player.stop();
  if (!running) return;
  running.abort.abort();
  setRunning(null);
  find("status").textContent = t("stopped");
}

function submit(event) {
  event?.preventDefault();
  clearFields();
  if (!find("text").value.trim()) return markField("input", t("text.empty"));
  if (!voices.chosen) return markField("voice", t("voice.none"));
  const name = voices.list.find((voice) => voice.id === voices.chosen)?.name ?? voices.chosen;
  return speakRequest(requestAsked(), name);
}

function lock(on) {
  find("seed-lock").setAttribute("aria-pressed", String(on));
  setIcon(find("seed-lock"), on ? "lock" : "lock-open");
}

function drawValues() {
  find("speed-value").textContent = number(Number(find("speed").value), 2);
  find("pause-value").textContent = t("seconds", { seconds: number(Number(find("pause").value), 2) });
  find("seed-lock").setAttribute("aria-label", t("seed.lock"));
  find("seed-lock").title = t("seed.lock");
  for (const name of NUMBERS) find(name).placeholder = about.facts?.defaults?.[name] ?? "";
}

function keys(event) {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    if (!find("tab-speak").hidden) submit();
  }
}

const REMEMBERED = ["speed", "pause", "seed", ...NUMBERS];

export function startSpeak(theDock) {
  dock = theDock;
  find("speak-form").addEventListener("submit", submit);
  find("stop").addEventListener("click", stop);
  document.addEventListener("keydown", keys);
  for (const id of REMEMBERED) {
    const before = remember.get(id);
    if (before !== null) find(id).value = before;
    find(id).addEventListener("input", () => {
      remember.set(id, find(id).value);
      drawValues();
      clearFields(find(id).closest(".field"));
    });
  }
  lock(remember.get("locked") === "yes");
  find("seed").addEventListener("input", () => lock(Boolean(find("seed").value.trim())));
  find("seed-lock").addEventListener("click", () => {
    const on = find("seed-lock").getAttribute("aria-pressed") !== "true";
    lock(on);
    remember.set("locked", on ? "yes" : "no");
    remember.set("seed", find("seed").value);
  });
  document.addEventListener("language", drawValues);
  document.addEventListener("about", drawValues);
}
