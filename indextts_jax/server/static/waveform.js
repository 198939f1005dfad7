// The waveform of a clip on a canvas, which is also the control of the position.

import { find } from "./dom.js";
import { clock } from "./i18n.js";

const BAR = 3, GAP = 1; // pixels

export class Waveform {
  constructor(element, player) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.player = player;
    this.drawing = false;
    player.addEventListener("state", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  seekTo(event) {
    const box = this.element.getBoundingClientRect();
    this.player.seek(((event.clientX - box.left) / box.width) * (this.player.clip?.seconds ?? 0));
  }

  key(event) {
    const { player } = this;
    if (!player.clip) return;
    const now = player.position / player.clip.rate;
    const to = {
      ArrowLeft: now - 2, ArrowRight: now + 2, ArrowDown: now - 2, ArrowUp: now + 2,
      PageDown: now - 10, PageUp: now + 10, Home: 0, End: player.clip.seconds - 0.1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    player.seek(to);
  }

  /** Draws at the next frame, once for any number of calls. */
  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.paint();
    });
  }

  paint() {
    const { canvas, player: { clip } } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!clip) return;
    const seconds = clip.seconds, now = this.player.position / clip.rate;
    this.element.setAttribute("aria-valuemax", seconds.toFixed(1));
    this.element.setAttribute("aria-valuenow", now.toFixed(1));
    this.element.setAttribute("aria-valuetext", `${clock(now)} / ${clock(seconds)}`);
    find("time").textContent = clock(now);
    find("total").textContent = clock(seconds);
    const bars = Math.max(1, Math.floor((width + GAP) / (BAR + GAP)));
    const { peaks } = clip;
    const loudest = peaks.reduce((a, b) => Math.max(a, b), 0.05);
    const colour = getComputedStyle(this.element).color;
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor((bar * peaks.length) / bars);
      const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / bars));
      let peak = 0;
      for (let i = from; i < to && i < peaks.length; i++) peak = Math.max(peak, peaks[i]);
      const size = Math.max(2, (peak / loudest) * height * 0.94);
      context.globalAlpha = (bar + 0.5) / bars * seconds <= now ? 1 : 0.32;
      context.fillStyle = colour;
      context.beginPath();
      context.roundRect(bar * (BAR + GAP), (height - size) / 2, BAR, size, 1.5);
      context.fill();
    }
  }
}
