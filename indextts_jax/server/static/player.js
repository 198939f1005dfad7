// Plays a clip, also while it grows. The clip holds the samples; the worklet holds the next seconds.

import { Scheduled } from "./scheduled.js";

const AHEAD = 8; // seconds in the worklet, at most

function ring(context) {
  const node = new AudioWorkletNode(context, "ring", { numberOfInputs: 0, outputChannelCount: [1] });
  node.connect(context.destination);
  return node;
}

export class Player extends EventTarget {
  constructor() {
    super();
    this.clip = null;
    this.contexts = new Map(); // by sample rate: what is played is then exactly what came
    this.node = null;
    this.context = null;
    this.epoch = 0;
    this.turn = 0; // counts openings and stops
    this.sent = this.start = 0; // samples of the clip: sent to the worklet, where this run began
    this.state = { underruns: 0, waiting: false, finished: true, read: 0, buffered: 0 };
    this.playing = false;
    this.fed = () => this.feed();
  }

  static get hasWorklet() { return "audioWorklet" in AudioContext.prototype; }

  /** The sample that is audible now. */
  get position() {
    if (!this.clip) return 0;
    const late = this.state.finished ? 0 : (this.context?.outputLatency || 0) * this.clip.rate;
    return Math.min(this.clip.length, Math.max(this.start, this.start + this.state.read - late));
  }

  /** Makes the context of a rate; called in a click, so that the browser allows sound. */
  async prepare(rate) {
    let made = this.contexts.get(rate);
    if (!made) {
      const context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
      const module = new URL("./worklet.js", import.meta.url);
      made = { context, ready: Player.hasWorklet ? context.audioWorklet.addModule(module) : Promise.resolve() };
      this.contexts.set(rate, made);
    }
    try {
      await made.ready;
    } catch (error) { // the server is away: the next time it is asked again
      this.contexts.delete(rate);
      throw error;
    }
    if (!made.node) {
      made.node = Player.hasWorklet ? ring(made.context) : new Scheduled(made.context);
      made.node.port.onmessage = ({ data }) => this.report(data);
    }
    await made.context.resume();
    this.node = made.node;
    this.context = made.context;
  }

  /** Plays a clip from its start; `prebuffer`: seconds to wait for before the first sound. */
  async open(clip, prebuffer = 0) {
    this.close();
    this.clip = clip;
    clip.addEventListener("grown", this.fed);
    const turn = ++this.turn;
    await this.prepare(clip.rate);
    if (this.turn === turn) this.run(0, prebuffer, true); // else it was stopped meanwhile
  }

  run(sample, prebuffer = 0, fresh = false) {
    if (!this.node) return;
    this.epoch++;
    this.start = this.sent = sample;
    this.state = { ...this.state, read: 0, buffered: 0, waiting: true, finished: false };
    if (fresh) this.state.underruns = 0;
    this.post("reset", { prebuffer: Math.round(prebuffer * this.clip.rate), fresh });
    this.ended = false;
    this.setPlaying(true);
    this.context.resume();
    this.feed();
  }

  post(type, values = {}, transfer = []) {
    this.node.port.postMessage({ type, epoch: this.epoch, ...values }, transfer);
  }

  feed() {
    if (!this.node || !this.clip || this.state.finished) return;
    const limit = this.start + this.state.read + AHEAD * this.clip.rate;
    const samples = this.clip.slice(this.sent, limit);
    if (samples.length) {
      this.sent += samples.length;
      this.post("push", { samples }, [samples.buffer]);
    }
    if (this.clip.complete && this.sent === this.clip.length && !this.ended) {
      this.ended = true;
      this.post("end");
    }
    this.dispatchEvent(new Event("state"));
  }

  report(state) {
    if (state.epoch !== this.epoch) return;
    this.state = state;
    if (state.finished) {
      this.setPlaying(false);
      this.rest();
      this.dispatchEvent(new Event("ended"));
    }
    this.feed();
    this.dispatchEvent(new Event("state"));
  }

  /** Suspends the context, since an idle one still costs a processor, once the loudspeaker has
   * played what was handed to it: a headset is a quarter of a second behind. */
  rest() {
    const { context } = this;
    const seconds = (context.outputLatency || 0) + 0.25;
    setTimeout(() => (this.playing && this.context === context) || context.suspend(), 1000 * seconds);
  }

  setPlaying(on) {
    this.playing = on;
    this.dispatchEvent(new Event("state"));
  }

  async toggle() {
    if (!this.clip) return;
    if (this.playing) {
      this.post("run", { on: false });
      this.context.suspend();
      this.setPlaying(false);
    } else if (this.state.finished || !this.node) {
      await this.open(this.clip);
    } else {
      await this.context.resume();
      this.post("run", { on: true });
      this.setPlaying(true);
    }
  }

  async seek(seconds) {
    if (!this.clip) return;
    const { clip, playing, state } = this;
    const sample = Math.round(Math.max(0, Math.min(seconds, clip.seconds)) * clip.rate);
    await this.prepare(clip.rate);
    this.run(sample);
    if (!playing && !state.finished) await this.toggle(); // it was paused, and stays so
  }

  /** Stops the sound; the clip stays to be played again. */
  stop() {
    this.turn++;
    if (!this.clip || this.state.finished) return;
    this.state = { ...this.state, finished: true };
    if (this.node) {
      this.post("run", { on: false });
      this.context.suspend();
    }
    this.epoch++; // late reports are ignored
    this.setPlaying(false);
  }

  close() {
    this.stop();
    this.clip?.removeEventListener("grown", this.fed);
    this.clip = null;
  }
}
