// A request as commands that make the same speech elsewhere.

import { address, apiKey } from "./api.js";

/** The request without what only concerns this page's playing. */
export function plain(body, format = "wav") {
  const { stream_format: _, word_timestamps: __, sample_rate: ___, ...rest } = body;
  return { ...rest, response_format: format };
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function asCurl(body) {
  const lines = [`curl --fail-with-body ${quoted(address("v1/audio/speech"))}`];
  if (apiKey()) lines.push(`-H "Authorization: Bearer $INDEXTTS_API_KEY"`);
  lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(plain(body)))}`, "-o speech.wav");
  return lines.join(" \\\n  ");
}

function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${literal(v)}`).join(", ")}}`;
  return JSON.stringify(value); // strings and numbers are written as in Python
}

export function asPython(body) {
  const { model, voice, input, speed, response_format, ...extra } = plain(body);
  const options = { model, voice, input, response_format, ...(speed === undefined ? {} : { speed }) };
  const lines = Object.entries(options).map(([name, value]) => `    ${name}=${literal(value)},`);
  if (Object.keys(extra).length) lines.push(`    extra_body=${literal(extra)},`);
  const key = apiKey() ? 'os.environ["INDEXTTS_API_KEY"]' : '"none"';
  return [
    ...(apiKey() ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(address("v1"))}, api_key=${key})`,
    "with client.audio.speech.with_streaming_response.create(",
    ...lines,
    ") as response:",
    '    response.stream_to_file("speech.wav")',
    "",
  ].join("\n");
}
