// What can be said about a recording before the server analyses it; its limits are the library's.

import { number, t } from "./i18n.js";

const SHORTEST = 0.5, SHORT = 2, LONG = 60; // seconds
const SILENT = -60, QUIET = -40; // dB of full scale, of the louder parts

/** Level in dB of the louder parts: the loudest 250 ms, or 5 % of a longer recording. */
export function loudness(samples, rate) {
  const size = Math.max(1, Math.floor(rate / 20));
  const powers = [];
  for (let start = 0; start + size <= samples.length; start += size) {
    let sum = 0, squares = 0;
    for (let i = start; i < start + size; i++) { sum += samples[i]; squares += samples[i] ** 2; }
    powers.push(squares / size - (sum / size) ** 2);
  }
  if (!powers.length) return -120;
  powers.sort((a, b) => b - a);
  const place = Math.min(4, Math.floor(powers.length / 20));
  return 10 * Math.log10(Math.max(powers[place], 1e-12));
}

/** `{problem}` if a recording cannot be used, else `{warnings}`. */
export function judged(samples, rate) {
  const seconds = samples.length / rate, level = loudness(samples, rate);
  if (level < SILENT) return { problem: t("recording.silent"), warnings: [] };
  if (seconds < SHORTEST) return { problem: t("recording.tooshort", { seconds: number(seconds, 1) }), warnings: [] };
  const warnings = [];
  if (seconds < SHORT) warnings.push(t("recording.short", { seconds: number(seconds, 1) }));
  if (seconds > LONG) warnings.push(t("recording.long", { seconds: number(seconds) }));
  if (level < QUIET) warnings.push(t("recording.quiet", { level: number(level) }));
  let full = 0;
  for (const sample of samples) if (Math.abs(sample) >= 0.999) full++;
  if (full / samples.length > 0.001) warnings.push(t("recording.clipped"));
  return { problem: null, warnings };
}

/** The samples of an audio file, channels averaged; null if the browser cannot read it. */
export async function decoded(blob) {
  try {
    const context = new OfflineAudioContext(1, 1, 44_100);
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    const mono = new Float32Array(buffer.length);
    for (let c = 0; c < buffer.numberOfChannels; c++) {
      const channel = buffer.getChannelData(c);
      for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / buffer.numberOfChannels;
    }
    return { samples: mono, rate: buffer.sampleRate };
  } catch {
    return null;
  }
}
