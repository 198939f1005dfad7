// What the server is and can do, whether it is ready, and the API key.

import { ApiError, apiKey, getJson, setApiKey } from "./api.js";
import { find, make } from "./dom.js";
import { clearNotices, notice, showError } from "./errors.js";
import { t } from "./i18n.js";

export const about = { facts: null };

const RETRY = 2000; // milliseconds between questions whether the server is ready

function row(name, value) {
  return [make("dt", {}, name), make("dd", {}, value)];
}

function draw() {
  const { facts } = about;
  const list = find("about-list");
  list.replaceChildren();
  if (!facts) return;
  const named = ["release", "model", "dtype", "device"].filter((key) => facts[key]);
  for (const key of named) list.append(...row(t(`about.${key}`), String(facts[key])));
  const versions = Object.entries(facts.versions ?? {}).map(([name, version]) => `${name} ${version}`);
  if (versions.length) list.append(...row(t("about.versions"), versions.join(", ")));
  if (facts.weights === "random") list.append(...row(t("about.weights"), t("about.random")));
  if (facts.licence) list.append(...row(t("about.licence"), facts.licence));
}

/** Asks what the server is; true if it answered. */
export async function loadAbout() {
  try {
    about.facts = await getJson("v1/about");
  } catch (error) {
    if (error.kind === "network") return false;
    if (error.status === 401) showError(error);
    return error instanceof ApiError;
  }
  draw();
  document.dispatchEvent(new Event("about"));
  return true;
}

/** Waits until the server is ready, and says so meanwhile. */
export async function whenReady() {
  let shown = null;
  for (;;) {
    let text;
    try {
      await getJson("ready");
      if (shown) shown.remove();
      return;
    } catch (error) {
      if (error.status && error.status !== 503) return; // the requests themselves will say more
      text = error.kind === "network" ? t("error.network") : `${t("starting")} ${error.message}`;
    }
    if (shown?.isConnected) shown.querySelector("p").textContent = text;
    else if (!shown) shown = notice(text, { bad: false, advice: t("starting.advice") });
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

export function startAbout(onkey) {
  find("key").value = apiKey();
  find("key").addEventListener("change", () => {
    setApiKey(find("key").value.trim());
    clearNotices();
    onkey();
  });
  document.addEventListener("language", draw);
}
