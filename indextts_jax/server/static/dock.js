// The player at the foot of the page: waveform, position, downloads, words, figures.

import { request } from "./api.js";
import { download, find, make, setIcon } from "./dom.js";
import { notice, showError } from "./errors.js";
import { number, t } from "./i18n.js";
import { Player } from "./player.js";
import { plain } from "./recipe.js";
import { Waveform } from "./waveform.js";

export class Dock {
  constructor() {
    this.player = new Player();
    this.wave = new Waveform(find("wave"), this.player);
    this.facts = {};
    this.spans = []; // {span, start, end} of words, in order
    this.said = 0; // words that have ended
    this.current = null; // the span of the word that is spoken
    find("play").addEventListener("click", () => this.player.toggle());
    this.player.addEventListener("state", () => this.update());
    document.addEventListener("language", () => this.update());
    find("downloads").addEventListener("click", ({ target }) => {
      const { format } = target.closest("button")?.dataset ?? {};
      if (format) this.save(format, target.closest("button"));
    });
  }

  /** Plays a clip. `facts`: name, body (of the request), text, words and figures, where known. */
  async show(clip, facts, prebuffer = 0) {
    this.facts = facts;
    find("dock").hidden = false;
    for (const button of find("downloads").querySelectorAll("button:not([data-format=wav])")) button.hidden = !facts.body;
    this.words(facts.words ?? []);
    try {
      await this.player.open(clip, prebuffer);
    } catch {
      notice(t("sound.failed"), { advice: t("sound.advice") });
    }
  }

  /** Shows the text with its words; words may come in several parts. */
  words(words) {
    const { text = "" } = this.facts;
    const reading = find("reading");
    this.spans = [];
    this.said = 0;
    this.current = null;
    reading.replaceChildren();
    reading.hidden = !words.length;
    let at = 0;
    for (const word of words) {
      if (word.start == null || word.char_start == null || word.char_start < at) continue;
      const span = make("span", {}, text.slice(word.char_start, word.char_end));
      reading.append(text.slice(at, word.char_start), span);
      this.spans.push({ span, start: word.start, end: word.end });
      at = word.char_end;
    }
    reading.append(text.slice(at));
    this.update();
  }

  update() {
    const { player } = this;
    const label = t(player.playing ? "pause.button" : "play.button");
    if (find("play").ariaLabel !== label) {
      setIcon(find("play"), player.playing ? "pause" : "play");
      find("play").ariaLabel = label;
    }
    if (!player.clip) return;
    this.highlight(player.position / player.clip.rate);
    this.figures();
  }

  /** Marks the word that is spoken; only words that change are touched, as there may be thousands. */
  highlight(now) {
    const { spans } = this;
    while (this.said < spans.length && spans[this.said].end <= now) spans[this.said++].span.classList.add("said");
    while (this.said > 0 && spans[this.said - 1].end > now) spans[--this.said].span.classList.remove("said");
    const next = spans[this.said];
    const current = next && this.player.playing && now >= next.start ? next.span : null;
    if (current === this.current) return;
    this.current?.classList.remove("now");
    current?.classList.add("now");
    this.current = current;
    const box = find("reading");
    if (!current || box.scrollHeight <= box.clientHeight) return;
    const top = current.offsetTop - box.offsetTop - box.clientHeight / 3;
    if (Math.abs(box.scrollTop - top) > box.clientHeight / 2) box.scrollTop = top;
  }

  figures() {
    const { figures = {} } = this.facts;
    const { state, clip, sent } = this.player;
    const ahead = (state.buffered + (clip.length - sent)) / clip.rate;
    const shown = [
      ["figure.first", figures.first == null ? null : `${number(figures.first * 1000)} ms`],
      ["figure.rtf", figures.rtf == null ? null : number(figures.rtf, 2)],
      ["figure.buffer", clip.complete ? null : `${number(Math.max(0, ahead), 1)} s`],
      ["figure.underruns", figures.streamed ? number(state.underruns) : null],
      ["seed", figures.seed == null ? null : String(figures.seed)],
    ];
    const list = find("figures");
    const text = JSON.stringify([shown, document.documentElement.lang]);
    if (list.dataset.shown === text) return; // twenty times a second: only what changed is drawn
    list.dataset.shown = text;
    list.replaceChildren(...shown.filter(([, value]) => value !== null).map(([key, value]) =>
      make("div", { class: key === "figure.underruns" && state.underruns ? "bad" : null }, make("dt", {}, t(key)), make("dd", {}, value))));
  }

  async save(format, button) {
    const name = `${(this.facts.name ?? "speech").replace(/[^\p{L}\p{N} ._-]/gu, "_")}.${format}`;
    if (format === "wav") return download(this.player.clip.wav(), name);
    button.disabled = true;
    find("status").textContent = t("download.again");
    try { // the server has the encoders: it speaks the same request, with the same seed, once more
      const response = await request("v1/audio/speech", { method: "POST", json: plain(this.facts.body, format) });
      download(await response.blob(), name);
    } catch (error) {
      showError(error);
    } finally {
      button.disabled = false;
    }
  }
}
