// The emotion: the voice's own, a recording's, eight weights, or words.

import { find, make } from "./dom.js";
import { number, t } from "./i18n.js";
import { about } from "./about.js";

const EMOTIONS = ["happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm"];

const kind = () => document.querySelector("input[name=emotion]:checked").value;
const weight = (name) => Number(find(`weight-${name}`).value);

/** The emotion of a request; undefined for the voice's own. */
export function emotionAsked() {
  const alpha = Number(find("alpha").value);
  const rest = alpha === 1 ? {} : { alpha };
  switch (kind()) {
    case "recording": return { recording: find("emotion-recording").value, ...rest };
    case "weights": return { weights: EMOTIONS.map(weight), ...rest };
    case "text": return { text: find("emotion-text").value, ...rest };
    default: return undefined;
  }
}

function drawKind() {
  for (const panel of document.querySelectorAll("[data-emotion]")) panel.hidden = panel.dataset.emotion !== kind();
  find("alpha-field").hidden = kind() === "own";
}

function drawSum() {
  const sum = EMOTIONS.reduce((total, name) => total + weight(name), 0);
  for (const name of EMOTIONS) find(`value-${name}`).textContent = number(weight(name), 2);
  find("weight-sum").textContent = number(sum, 2);
  find("sum-hint").textContent = sum > 1.0001 ? t("emotion.sum.high") : "";
}

export function drawEmotion() {
  for (const name of EMOTIONS) find(`label-${name}`).textContent = t(`emotion.${name}`);
  const unread = about.facts && about.facts.reads_emotion === false;
  find("emotion-text-hint").textContent = t(unread ? "emotion.text.unread" : "emotion.text.hint");
  drawSum();
  drawKind();
}

export function startEmotion() {
  find("sliders").append(...EMOTIONS.map((name) => make("div", { class: "field slider" },
    make("label", { for: `weight-${name}`, id: `label-${name}` }),
    make("input", { type: "range", id: `weight-${name}`, min: 0, max: 1, step: 0.05, value: 0, oninput: drawSum }),
    make("output", { for: `weight-${name}`, id: `value-${name}` }))));
  find("emotion-kinds").addEventListener("change", drawKind);
  find("weights-reset").addEventListener("click", () => {
    for (const name of EMOTIONS) find(`weight-${name}`).value = 0;
    drawSum();
  });
  find("alpha").addEventListener("input", () => { find("alpha-value").textContent = number(Number(find("alpha").value), 2); });
  document.addEventListener("language", drawEmotion);
}
