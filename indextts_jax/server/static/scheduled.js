// Plays samples where the browser has no AudioWorklet: on addresses that are neither https:// nor
// localhost. Each piece is scheduled at the sample where the piece before it ends. It has the
// messages of the worklet; what it lacks is the ramp at an underrun.

const REPORT = 50; // milliseconds between reports
const LEAD = 0.05; // seconds from scheduling to the first sound

export class Scheduled {
  constructor(context) {
    this.context = context;
    this.sources = new Set();
    this.port = { onmessage: () => {}, postMessage: (message) => this.take(message) };
    this.reset({ epoch: 0, prebuffer: 0 });
  }

  take(message) {
    if (message.type === "reset") this.reset(message);
    else if (message.epoch !== this.epoch) return;
    else if (message.type === "push") this.push(message.samples);
    else if (message.type === "end") this.ended = true;
  }

  reset({ epoch, prebuffer, fresh }) {
    for (const source of this.sources) source.stop();
    this.sources.clear();
    if (fresh || this.underruns === undefined) this.underruns = 0;
    Object.assign(this, { epoch, threshold: prebuffer, waiting: true, ended: false, finished: false });
    this.held = []; // pieces that wait for the threshold
    this.read = this.scheduled = this.written = 0; // samples: played before `begun`, scheduled, pushed
    this.begun = this.until = 0; // seconds of the context
    clearInterval(this.timer);
    this.timer = setInterval(() => this.report(), REPORT);
  }

  push(samples) {
    this.written += samples.length;
    this.held.push(samples);
    this.schedule();
  }

  schedule() {
    if (this.waiting) {
      if (!this.held.length || (!this.ended && this.written - this.scheduled < this.threshold)) return;
      this.waiting = false;
      this.read = this.scheduled;
      this.begun = this.until = this.context.currentTime + LEAD;
    }
    for (const samples of this.held.splice(0)) {
      const buffer = this.context.createBuffer(1, samples.length, this.context.sampleRate);
      buffer.copyToChannel(Float32Array.from(samples, (x) => x / 32768), 0);
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.context.destination);
      source.onended = () => this.sources.delete(source);
      source.start(this.until);
      this.sources.add(source);
      this.until += samples.length / this.context.sampleRate;
      this.scheduled += samples.length;
    }
  }

  report() {
    this.schedule();
    const { context, epoch } = this;
    const played = Math.max(0, Math.round((context.currentTime - this.begun) * context.sampleRate));
    const read = this.waiting ? this.scheduled : Math.min(this.scheduled, this.read + played);
    if (!this.waiting && read === this.scheduled) {
      this.finished = this.ended && !this.held.length;
      if (!this.finished) {
        this.underruns++;
        this.waiting = true;
        this.threshold = Math.max(this.threshold, context.sampleRate / 2);
      }
    }
    if (this.ended && this.written === 0) this.finished = true;
    if (this.finished) clearInterval(this.timer);
    const { underruns, waiting, finished, written } = this;
    this.port.onmessage({ data: { epoch, underruns, waiting, finished, read, buffered: written - read } });
  }
}
