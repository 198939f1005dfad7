// The server's API. All addresses are relative to the page, so it works behind a path prefix.

const KEY = "indextts.key";

export const address = (path) => new URL(path, document.baseURI).href;

export function apiKey() {
  try { return sessionStorage.getItem(KEY) ?? ""; } catch { return ""; }
}

export function setApiKey(key) {
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch { /* storage is blocked: the key is not remembered */ }
}

/** An answer that is an error. `kind`: `api`, `network` (no answer) or `broken` (ended too early). */
export class ApiError extends Error {
  constructor(kind, message, { status = 0, field = null, code = null, wait = null } = {}) {
    super(message);
    Object.assign(this, { kind, status, field, code, wait });
  }
}

async function answered(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch { /* the body is not JSON: a proxy's page, for example */ }
  const wait = Number(response.headers.get("retry-after-ms")) / 1000 || Number(response.headers.get("retry-after"));
  return new ApiError("api", error.message ?? `${response.status} ${response.statusText}`, {
    status: response.status, field: error.param ?? null, code: error.code ?? null, wait: wait || null,
  });
}

/** `fetch` with the API key; errors are `ApiError`, except `AbortError`. */
export async function request(path, { method = "GET", json, form, signal } = {}) {
  const headers = {};
  if (apiKey()) headers.authorization = `Bearer ${apiKey()}`;
  if (json !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method, headers, signal, body: json === undefined ? form : JSON.stringify(json), cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("network", String(error.message ?? error));
  }
  if (!response.ok) throw await answered(response);
  return response;
}

export const getJson = async (path, signal) => (await request(path, { signal })).json();

/** The events of a stream of server-sent events, parsed. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
        if (data && data !== "[DONE]") yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function samplesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Speech as it is made: calls `onstart` with the headers, `onbytes` with PCM and `onwords` with
 * words and times; returns the last event, `speech.audio.done`. */
export async function speech(body, signal, { onstart, onbytes, onwords }) {
  const response = await request("v1/audio/speech", { method: "POST", json: body, signal });
  onstart(response.headers);
  try {
    for await (const event of events(response.body)) {
      if (event.type === "speech.audio.delta") onbytes(samplesOf(event.audio));
      else if (event.type === "speech.audio.words") onwords(event.words);
      else if (event.type === "speech.audio.done") return event;
      else if (event.type === "speech.audio.error" || event.error) {
        const { message, code = null } = event.error ?? {};
        throw new ApiError("api", message ?? "error", { status: 500, code });
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("broken", String(error.message ?? error));
  }
  throw new ApiError("broken", "the stream ended without its last event");
}
