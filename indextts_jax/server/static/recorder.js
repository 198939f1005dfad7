// Records the microphone as it is: no echo cancelling, no noise suppression, no automatic gain.

const LONGEST = 60; // seconds

/** Why the microphone cannot be used, as the key of a text. */
function reasonOf(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "microphone.refused";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "microphone.none";
  return "microphone.busy";
}

export class Recorder {
  /** `onlevel(level, seconds)`: the peak in dB of the last tenth of a second, and the time. */
  constructor(onlevel, onfull) {
    this.onlevel = onlevel;
    this.onfull = onfull;
    this.blocks = [];
    this.length = 0;
  }

  /** Throws an `Error` whose message is the key of a text. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia || typeof AudioWorkletNode === "undefined") {
      throw new Error("microphone.insecure");
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new Error(reasonOf(error));
    }
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
    const source = this.context.createMediaStreamSource(this.stream);
    this.node = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.take(data);
    source.connect(this.node);
  }

  take(block) {
    this.blocks.push(block);
    this.length += block.length;
    const peak = block.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
    this.onlevel(20 * Math.log10(peak), this.length / this.context.sampleRate);
    if (this.length >= LONGEST * this.context.sampleRate) this.onfull();
  }

  /** The samples of the recording, and its sample rate. */
  async stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    const rate = this.context?.sampleRate ?? 0;
    await this.context?.close();
    const samples = new Float32Array(this.length);
    let at = 0;
    for (const block of this.blocks) {
      samples.set(block, at);
      at += block.length;
    }
    return { samples, rate };
  }
}
