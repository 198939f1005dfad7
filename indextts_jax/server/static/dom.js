// Small helpers for elements.

export const find = (id) => document.getElementById(id);

/** An element with properties (`class`, `on…` handlers, attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Puts an icon first into an element, in place of the one that is there. */
export function setIcon(element, name) {
  element.querySelector(":scope > .icon")?.remove();
  element.prepend(icon(name));
}

/** A button with an icon, and a name for those who do not see it. */
export function iconButton(name, label, onclick, text = null) {
  const button = make("button", { type: "button", class: "plain", "aria-label": label, title: label, onclick });
  button.append(icon(name));
  if (text) button.append(text);
  return button;
}

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A promise of the answer to a question in the dialog of confirmation. */
export function confirmed(text) {
  const dialog = find("confirm-dialog");
  find("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Storage that may be blocked: then nothing is remembered, and nothing fails. */
export const remember = {
  get(key) {
    try { return localStorage.getItem(`indextts.${key}`); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`indextts.${key}`, value); } catch { /* blocked or full */ }
  },
};
