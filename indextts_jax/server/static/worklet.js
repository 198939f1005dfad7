// Plays samples from a ring buffer. The page keeps it filled; what it plays is what came, sample by
// sample, unless it runs empty: then it fades out, waits until enough is there, and fades in.

const RING = 1 << 18; // samples: 11.9 s at 22,050 Hz
const FADE = 64; // samples
const REPORT = 8; // blocks of 128 samples between reports

class Ring extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Int16Array(RING);
    this.underruns = 0;
    this.reset({ epoch: 0, prebuffer: 0 });
    this.port.onmessage = ({ data }) => {
      if (data.type === "reset") this.reset(data);
      else if (data.epoch !== this.epoch) return; // meant for what was played before
      else if (data.type === "push") this.push(data.samples);
      else if (data.type === "end") this.ended = true;
      else if (data.type === "run") this.running = data.on;
    };
  }

  reset({ epoch, prebuffer, fresh }) {
    this.epoch = epoch;
    this.threshold = prebuffer;
    if (fresh) this.underruns = 0;
    this.read = this.written = 0; // samples since the reset
    this.running = true;
    this.waiting = true; // for the threshold
    this.ended = this.finished = false;
    this.fadeIn = this.fadeOut = this.last = 0;
    this.blocks = 0;
  }

  push(samples) {
    const at = this.written % RING;
    const first = Math.min(samples.length, RING - at);
    this.ring.set(samples.subarray(0, first), at);
    this.ring.set(samples.subarray(first), 0);
    this.written += samples.length;
  }

  report() {
    const { epoch, underruns, waiting, finished, read, written } = this;
    this.port.postMessage({ epoch, underruns, waiting, finished, read, buffered: written - read });
  }

  process(inputs, [[out]]) {
    if (!this.running || this.finished) return true;
    const buffered = this.written - this.read;
    if (this.waiting && (this.ended || (buffered > 0 && buffered >= this.threshold))) this.waiting = false;
    if (this.waiting) this.decay(out, 0);
    else this.play(out, buffered);
    if (++this.blocks % REPORT === 0 || this.finished) this.report();
    return true;
  }

  play(out, buffered) {
    const count = Math.min(out.length, buffered);
    for (let i = 0; i < count; i++) out[i] = this.ring[(this.read + i) % RING] / 32768;
    for (let i = 0; i < count && this.fadeIn > 0; i++) out[i] *= 1 - this.fadeIn-- / FADE;
    this.read += count;
    if (count) this.last = out[count - 1];
    this.finished = this.ended && buffered === count;
    if (this.finished || count === out.length) return;
    this.underruns++;
    this.waiting = true;
    this.threshold = Math.max(this.threshold, Math.round(sampleRate / 2));
    this.fadeIn = this.fadeOut = FADE;
    this.decay(out, count);
  }

  /** Silence from a sample on, which begins as a ramp from the last sample: no click. */
  decay(out, from) {
    for (let i = from; i < out.length && this.fadeOut > 0; i++) out[i] = (this.last * --this.fadeOut) / FADE;
  }
}

registerProcessor("ring", Ring);
