// Shows what went wrong, what to do about it, and at which field.

import { find, icon, iconButton, make } from "./dom.js";
import { number, t } from "./i18n.js";

const CONTROLS = {
  input: "text", voice: "voice-picker", instructions: "emotion-text", emotion: "emotion-kinds",
  "emotion.recording": "emotion-recording", "emotion.weights": "sliders", "emotion.text": "emotion-text",
  "emotion.alpha": "alpha", speed: "speed", pause: "pause", seed: "seed", temperature: "temperature",
  top_k: "top_k", top_p: "top_p", repetition_penalty: "repetition_penalty", name: "voice-name",
  audio_sample: "recording-facts", consent: "consent", key: "key",
};

/** A notice above the page, until it is closed or the next attempt; `action`: [text, function]. */
export function notice(message, { advice = "", bad = true, action = null } = {}) {
  const box = make("div", { class: bad ? "notice bad" : "notice" });
  const words = make("div", {}, make("p", {}, message));
  if (advice) words.append(make("p", {}, advice));
  box.append(icon(bad ? "circle-alert" : "check"), words);
  if (action) box.append(make("button", { type: "button", class: "small", onclick: () => { box.remove(); action[1](); } }, action[0]));
  box.append(iconButton("x", t("close"), () => box.remove()));
  find("alerts").replaceChildren(box);
  box.scrollIntoView({ block: "nearest" });
  return box;
}

export function clearNotices() {
  find("alerts").replaceChildren();
}

/** What to do about an error, in words. */
export function adviceFor(error) {
  if (error.kind === "network") return t("advice.network");
  if (error.kind === "broken") return t("advice.broken");
  if (error.status === 401 || error.status === 403) return t("advice.key");
  if (error.status === 413) return t("advice.large");
  if (error.status === 429) {
    return error.wait ? t("advice.busy.wait", { seconds: number(Math.ceil(error.wait)) }) : t("advice.busy");
  }
  if (error.status === 503) return t("advice.starting");
  if (error.status >= 500) return t("advice.server");
  return "";
}

export function messageOf(error) {
  if (error.kind === "network") return t("error.network");
  if (error.kind === "broken") return t("error.broken");
  return error.message || String(error);
}

/** Marks the control of a field; false if the page has no such field. */
export function markField(field, message) {
  let name = (field ?? "").replace(/^body\./, "").replace(/\[(\w+)\]/g, ".$1");
  while (name && !(name in CONTROLS)) name = name.includes(".") ? name.slice(0, name.lastIndexOf(".")) : "";
  const control = name && find(CONTROLS[name]);
  const place = control?.closest("[data-field]");
  if (!place) return false;
  for (let parent = place; parent; parent = parent.parentElement) {
    if (parent.tagName === "DETAILS") parent.open = true;
  }
  const id = `error-${place.dataset.field.replace(".", "-")}`;
  find(id)?.remove();
  place.append(make("p", { class: "error-text", id }, message));
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-errormessage", id);
  if (place.classList.contains("card")) place.dataset.invalid = "true";
  const target = control.matches("input, textarea, select") ? control : control.querySelector("input");
  (target ?? control).focus();
  return true;
}

export function clearFields(root = document) {
  for (const text of root.querySelectorAll(".field > .error-text")) text.remove();
  for (const control of root.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-errormessage");
  }
  for (const card of root.querySelectorAll("[data-invalid]")) delete card.dataset.invalid;
}

function enterKey() {
  // The tab is shown by its own listener, which was added before this one.
  addEventListener("hashchange", () => find("key").focus(), { once: true });
  if (location.hash === "#about") find("key").focus();
  else location.hash = "#about";
}

/** An error of the API at its field, or as a notice, with what to do. */
export function showError(error, { action = null } = {}) {
  const message = messageOf(error), advice = adviceFor(error);
  if (error.field && error.status < 500 && markField(error.field, message)) return;
  if (error.status === 401 || error.status === 403) {
    notice(message, { advice, action: [t("tab.about"), enterKey] });
  } else notice(message, { advice, action });
}
