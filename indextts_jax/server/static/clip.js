// Samples that grow as they arrive: 16 bits, one channel.

const PEAK = 512; // samples a column of the waveform

export class Clip extends EventTarget {
  constructor(rate) {
    super();
    this.rate = rate;
    this.pieces = [];
    this.length = 0;
    this.complete = false;
    this.peaks = []; // largest magnitude of each `PEAK` samples, 0 to 1
    this.odd = null; // the first byte of a sample whose second has not come yet
    this.inPeak = 0;
  }

  get seconds() { return this.length / this.rate; }

  appendBytes(bytes) {
    if (this.odd !== null) {
      const joined = new Uint8Array(bytes.length + 1);
      joined[0] = this.odd;
      joined.set(bytes, 1);
      bytes = joined;
      this.odd = null;
    }
    if (bytes.length % 2) {
      this.odd = bytes.at(-1);
      bytes = bytes.subarray(0, -1);
    }
    this.append(new Int16Array(bytes.slice().buffer)); // little-endian, as all browsers are
  }

  append(samples) {
    if (!samples.length) return;
    this.pieces.push({ start: this.length, samples });
    this.length += samples.length;
    for (const sample of samples) {
      if (this.inPeak === 0) this.peaks.push(0);
      const size = Math.abs(sample) / 32768;
      if (size > this.peaks[this.peaks.length - 1]) this.peaks[this.peaks.length - 1] = size;
      this.inPeak = (this.inPeak + 1) % PEAK;
    }
    this.dispatchEvent(new Event("grown"));
  }

  finish() {
    this.complete = true;
    this.dispatchEvent(new Event("grown"));
  }

  /** A copy of the samples from `start` to `end`. */
  slice(start, end = this.length) {
    end = Math.min(end, this.length);
    const out = new Int16Array(Math.max(0, end - start));
    let low = 0, high = this.pieces.length - 1;
    while (low < high) { // the last piece that begins at or before `start`
      const middle = (low + high + 1) >> 1;
      if (this.pieces[middle].start <= start) low = middle; else high = middle - 1;
    }
    for (let i = low; i < this.pieces.length && this.pieces[i].start < end; i++) {
      const piece = this.pieces[i];
      const from = Math.max(start, piece.start), to = Math.min(end, piece.start + piece.samples.length);
      out.set(piece.samples.subarray(from - piece.start, to - piece.start), from - start);
    }
    return out;
  }

  wav() {
    const header = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
    const bytes = 2 * this.length;
    text(0, "RIFF"); header.setUint32(4, 36 + bytes, true); text(8, "WAVEfmt ");
    header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
    header.setUint32(24, this.rate, true); header.setUint32(28, 2 * this.rate, true);
    header.setUint16(32, 2, true); header.setUint16(34, 16, true);
    text(36, "data"); header.setUint32(40, bytes, true);
    return new Blob([header, ...this.pieces.map((piece) => piece.samples)], { type: "audio/wav" });
  }
}

/** The clip of a WAV file as the server writes it: 44 bytes of header, whose sizes may be unknown. */
export function clipOfWav(buffer) {
  const clip = new Clip(new DataView(buffer).getUint32(24, true));
  clip.appendBytes(new Uint8Array(buffer, 44));
  clip.finish();
  return clip;
}

/** A clip of samples between -1 and 1. */
export function clipOf(floats, rate) {
  const clip = new Clip(rate);
  clip.append(Int16Array.from(floats, (x) => Math.max(-32768, Math.min(32767, Math.round(32768 * x)))));
  clip.finish();
  return clip;
}
