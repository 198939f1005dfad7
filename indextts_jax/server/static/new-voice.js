// The dialog that makes a voice of a file or of the microphone, and the places that open it.

import { request } from "./api.js";
import { clipOf } from "./clip.js";
import { find, icon, make, setIcon } from "./dom.js";
import { adviceFor, clearFields, clearNotices, markField, messageOf, notice } from "./errors.js";
import { clock, number, t } from "./i18n.js";
import { decoded, judged } from "./levels.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { loadVoices } from "./voices.js";

const player = new Player();
let recorder = null; // while it records
let recording = null; // {blob, name, clip}: what will be sent

const dialog = () => find("voice-dialog");

function problem(text) {
  find("voice-error").textContent = text;
}

function reset(withRecorder) {
  player.close();
  recording = null;
  problem("");
  clearFields(dialog());
  find("recorder").hidden = !withRecorder;
  find("recording-facts").hidden = true;
  find("voice-name").value = "";
  find("consent").checked = false;
  showRecording(false);
}

function showRecording(on) {
  setIcon(find("record-toggle"), on ? "square" : "mic");
  find("record-toggle").querySelector("span").textContent = t(on ? "record.stop" : "record.start");
  if (!on) level(-60, 0);
}

function level(db, seconds) {
  const share = Math.max(0, Math.min(1, (db + 60) / 60));
  find("meter-fill").style.transform = `scaleX(${share})`;
  find("meter-fill").classList.toggle("hot", db > -0.5);
  find("meter-fill").parentElement.setAttribute("aria-valuenow", Math.round(Math.max(-60, db)));
  if (seconds) find("record-time").textContent = clock(seconds);
}

/** Shows a recording that can be sent, with the clauses of warning about it. */
function offer(blob, name, sound) {
  recording = { blob, name, clip: sound && clipOf(sound.samples, sound.rate) };
  const { problem: reason, warnings } = sound ? judged(sound.samples, sound.rate) : { problem: null, warnings: [] };
  find("recording-facts").hidden = false;
  find("recording-play").hidden = !sound;
  find("recording-name").textContent = sound ? `${name} · ${t("seconds", { seconds: number(recording.clip.seconds, 1) })}` : name;
  find("recording-warnings").replaceChildren(...warnings.map((text) => make("li", {}, icon("triangle-alert"), text)));
  problem(reason ?? "");
  if (reason) recording.blob = null; // it can be played, not sent
}

const AUDIO_NAME = /\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|mp4|webm|aif|aiff|au|caf|w64|rf64)$/i;

/** Opens the dialog for a file. */
export async function openFile(file) {
  clearNotices();
  const sound = await decoded(file);
  if (!sound && !file.type.startsWith("audio/") && !AUDIO_NAME.test(file.name)) {
    notice(t("file.notaudio", { name: file.name }), { advice: t("file.advice") });
    return;
  }
  reset(false);
  offer(file, file.name, sound);
  find("voice-name").value = file.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]/gu, " ").trim().slice(0, 60);
  dialog().showModal();
  find("voice-name").select();
}

function openRecorder() {
  clearNotices();
  reset(true);
  dialog().showModal();
  find("record-toggle").focus();
}

async function toggleRecording() {
  if (recorder) return finishRecording();
  player.stop();
  problem("");
  find("recording-facts").hidden = true;
  recording = null;
  const started = new Recorder(level, finishRecording);
  try {
    await started.start();
  } catch (error) {
    await started.stop();
    problem(t(error.message.startsWith("microphone.") ? error.message : "microphone.busy"));
    return;
  }
  if (!dialog().open) {
    await started.stop();
    return;
  }
  recorder = started;
  showRecording(true);
}

async function finishRecording() {
  const finished = recorder;
  recorder = null;
  const sound = await finished.stop();
  showRecording(false);
  if (sound.samples.length) offer(clipOf(sound.samples, sound.rate).wav(), t("recording"), sound);
  else problem(t("recording.silent"));
}

function locallyWrong() {
  if (!recording?.blob) {
    if (!find("voice-error").textContent) problem(t("recording.missing"));
    return true;
  }
  if (!find("voice-name").value.trim()) return markField("name", t("voice.name.missing"));
  if (!find("consent").checked) return markField("consent", t("consent.missing"));
  return false;
}

async function save() {
  clearFields(dialog());
  if (locallyWrong()) return;
  problem("");
  const button = find("voice-save"), name = find("voice-name").value.trim();
  const form = new FormData();
  form.append("name", name);
  form.append("consent", "true");
  form.append("audio_sample", recording.blob, /\.\w+$/.test(recording.name) ? recording.name : "recording.wav");
  button.disabled = true;
  button.querySelector("span").textContent = t("voice.making");
  try {
    const made = await (await request("v1/audio/voices", { method: "POST", form })).json();
    const voice = made.voice ?? made;
    dialog().close();
    await loadVoices({ choice: voice.id ?? name });
    notice(t("voice.made", { name }), { bad: false, advice: (voice.warnings ?? made.warnings ?? []).join(" · ") });
  } catch (error) {
    const text = [messageOf(error), adviceFor(error)].filter(Boolean).join(" ");
    if (!error.field || error.field === "audio_sample" || !markField(error.field, text)) problem(text);
  } finally {
    button.disabled = false;
    button.querySelector("span").textContent = t("voice.make");
  }
}

function startDropping() {
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let inside = 0;
  document.addEventListener("dragenter", (event) => {
    if (files(event)) document.body.classList.toggle("dragging", ++inside > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (files(event)) document.body.classList.toggle("dragging", --inside > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (files(event)) event.preventDefault(); // else the browser would open the file and leave the page
  });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    inside = 0;
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files.length && !dialog().open) openFile(event.dataTransfer.files[0]);
  });
}

export function startNewVoice() {
  for (const id of ["choose-file", "voices-upload"]) find(id).addEventListener("click", () => find("file").click());
  for (const id of ["record-voice", "voices-record"]) find(id).addEventListener("click", openRecorder);
  find("file").addEventListener("change", ({ target }) => {
    if (target.files.length) openFile(target.files[0]);
    target.value = ""; // the same file can be chosen again
  });
  find("record-toggle").addEventListener("click", toggleRecording);
  find("recording-play").addEventListener("click", () => (player.playing ? player.stop() : player.open(recording.clip)));
  player.addEventListener("state", () => setIcon(find("recording-play"), player.playing ? "square" : "play"));
  find("voice-form").addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  find("voice-cancel").addEventListener("click", () => dialog().close());
  dialog().addEventListener("close", async () => {
    player.close();
    const unfinished = recorder;
    recorder = null;
    await unfinished?.stop();
  });
  startDropping();
}
