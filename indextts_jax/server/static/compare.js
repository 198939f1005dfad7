// Two speeches, without knowing which is which until they are revealed.

import { find, make } from "./dom.js";
import { t } from "./i18n.js";
import { clipOfRecord, optionsOf } from "./history.js";
import { Player } from "./player.js";

const player = new Player();
let order = []; // the two records, in a random order
let clips = [];
let side = null;

const buttons = () => [...find("compare-dialog").querySelectorAll("[data-side]")];

function draw() {
  for (const button of buttons()) button.setAttribute("aria-pressed", String(player.playing && Number(button.dataset.side) === side));
}

async function listen(which) {
  if (player.playing && side === which) return player.stop();
  side = which;
  await player.open(clips[which]);
}

export async function compare(records) {
  order = Math.random() < 0.5 ? records : [...records].reverse();
  clips = await Promise.all(order.map(clipOfRecord));
  find("compare-answer").replaceChildren();
  find("compare-dialog").showModal();
}

export function startCompare() {
  for (const button of buttons()) button.addEventListener("click", () => listen(Number(button.dataset.side)));
  player.addEventListener("state", draw);
  find("compare-reveal").addEventListener("click", () => {
    find("compare-answer").replaceChildren(...order.map((record, i) => make("li", {},
      make("strong", {}, "AB"[i]), ` ${record.voice} · ${optionsOf(record)} — ${record.body.input.slice(0, 80)}`)));
  });
  find("compare-dialog").addEventListener("close", () => player.close());
  document.addEventListener("language", draw);
  find("compare-answer").setAttribute("aria-label", t("compare.reveal"));
}
