// The voices of the server: the picker on the first tab, and the tab of its own.

import { ApiError, getJson, request } from "./api.js";
import { confirmed, find, iconButton, make, remember } from "./dom.js";
import { clearFields, clearNotices, showError } from "./errors.js";
import { locale, number, t } from "./i18n.js";
import { clipOfWav } from "./clip.js";

const MANY = 8; // voices from which on a search is shown

let dock = null;
let samplePlaying = null; // the voice whose sample is played

export const voices = { list: [], chosen: remember.get("voice"), loaded: false };

function choose(id) {
  voices.chosen = id;
  remember.set("voice", id);
  clearFields(find("voice-picker").closest("fieldset"));
}

/** Plays or stops a sentence in a voice, which the server speaks. */
async function playSample(voice) {
  if (samplePlaying === voice.id && dock.player.playing) return dock.player.stop();
  samplePlaying = voice.id;
  clearNotices();
  find("status").textContent = t("voice.sample", { name: voice.name });
  try {
    const response = await request(`v1/audio/voices/${encodeURIComponent(voice.id)}/sample`);
    const clip = clipOfWav(await response.arrayBuffer());
    if (samplePlaying === voice.id) dock.show(clip, { name: voice.name });
  } catch (error) {
    showError(error.name === "TypeError" ? new ApiError("broken", String(error)) : error);
  }
}

const playButton = (voice) => iconButton("play", t("voice.play", { name: voice.name }), () => playSample(voice));

function facts(voice) {
  const parts = [];
  if (voice.seconds != null) parts.push(t("seconds", { seconds: number(voice.seconds, 1) }));
  if (voice.created === null) parts.push(t("voice.builtin"));
  if (voice.created) parts.push(new Date(voice.created).toLocaleDateString(locale(), { dateStyle: "medium" }));
  return parts.join(" · ");
}

function drawPicker() {
  const picker = find("voice-picker");
  const wanted = find("voice-search").value.trim().toLowerCase();
  find("voice-search-box").hidden = voices.list.length <= MANY;
  const shown = voices.list.filter((voice) => voice.name.toLowerCase().includes(wanted));
  picker.replaceChildren(...shown.map((voice) => {
    const radio = make("input", { type: "radio", name: "voice", value: voice.id, checked: voice.id === voices.chosen, onchange: () => choose(voice.id) });
    return make("div", { class: "voice" }, make("label", {}, radio, make("span", { class: "name" }, voice.name),
      voice.seconds == null ? null : make("span", { class: "long" }, t("seconds", { seconds: number(voice.seconds, 1) }))), playButton(voice));
  }));
  if (!shown.length && voices.loaded) picker.append(make("p", { class: "empty" }, t(voices.list.length ? "voice.nomatch" : "voice.none")));
  const select = find("emotion-recording"), before = select.value;
  select.replaceChildren(...voices.list.map((voice) => make("option", { value: voice.id }, voice.name)));
  if (before) select.value = before;
}

function drawList() {
  const list = find("voice-list");
  list.replaceChildren(...voices.list.map((voice) => make("li", {},
    playButton(voice),
    make("div", { class: "what" }, make("p", { class: "title" }, voice.name), make("p", { class: "facts-line" }, facts(voice))),
    make("div", { class: "row" },
      make("button", { type: "button", class: "small", onclick: () => { choose(voice.id); draw(); location.hash = "#speak"; } }, t("voice.use")),
      voice.created === null ? null : iconButton("trash-2", t("voice.delete", { name: voice.name }), () => remove(voice))))));
  if (!voices.list.length && voices.loaded) list.append(make("li", { class: "none" }, t("voice.none")));
}

function draw() {
  drawPicker();
  drawList();
}

async function remove(voice) {
  if (!await confirmed(t("voice.delete.sure", { name: voice.name }))) return;
  try {
    await request(`v1/audio/voices/${encodeURIComponent(voice.id)}`, { method: "DELETE" });
  } catch (error) {
    showError(error);
  }
  await loadVoices();
}

/** Reads the list again; `choice`: a voice to choose. Errors are shown only if `loud`. */
export async function loadVoices({ choice = null, loud = true } = {}) {
  try {
    voices.list = (await getJson("v1/audio/voices")).voices;
    voices.loaded = true;
  } catch (error) {
    if (loud) showError(error);
    return;
  }
  if (choice) choose(choice);
  if (!voices.list.some((voice) => voice.id === voices.chosen)) voices.chosen = voices.list[0]?.id ?? null;
  draw();
}

export function startVoices(theDock) {
  dock = theDock;
  find("voice-search").addEventListener("input", drawPicker);
  document.addEventListener("language", draw);
  dock.player.addEventListener("state", () => {
    if (!dock.player.playing && samplePlaying) samplePlaying = null;
  });
}
