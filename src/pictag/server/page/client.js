// Requests to the server: the list of models, and the labels of one image.

const MAX_TRIES = 6;
const LONGEST_PAUSE_S = 60;

/** An error message for the user. */
export class RequestError extends Error {
  constructor(
    message,
    { kind = "HTTPError", status = 0, requestId = "", isFinal = status >= 400 && status < 500 } = {},
  ) {
    super(message);
    this.kind = kind; // the name of the error's class in Python, as in result files
    this.status = status;
    this.requestId = requestId;
    this.canRetry = !isFinal || status === 408 || status === 429;
  }
}

/** The models of the server: [{name, state, labels, concepts}, …], the default one first. */
export async function fetchModels(key) {
  const models = await request("models", { headers: headersOf(key) });
  if (!Array.isArray(models) || !models.every((m) => typeof m?.name === "string")) {
    throw new RequestError("The server's list of models is not valid.");
  }
  return models;
}

/** The path of a model; slashes in its name are not escaped. `withConcepts`: the one that gives concepts too. */
export function pathOf(model, topK, withConcepts) {
  const name = model.split("/").map(encodeURIComponent).join("/");
  return withConcepts ? `v1/keywords?model=${name}&top_k=${topK}` : `models/${name}?top_k=${topK}`;
}

/**
 * The labels of one image, best first, and the broader concepts of its keywords:
 * {labels: [{label, score}, …], concepts: [{keyword, score}, …]}.
 *
 * If the server is busy (429), the request is repeated a few times after the pause it asks for, unless that is long.
 * `onTry()` is called before each attempt, `onPause(seconds)` before each pause.
 */
export async function classify({ file, path, maxBytes, key, signal, onTry, onPause }) {
  if (file.size === 0) throw new RequestError("The file is empty.", { kind: "NotAnImage", isFinal: true });
  if (file.size > maxBytes) {
    const sizes = `The image has ${megabytes(file.size)}; the limit of this server is ${megabytes(maxBytes)}.`;
    throw new RequestError(sizes, { kind: "BodyTooLarge", isFinal: true });
  }
  for (let tries = 1; ; tries += 1) {
    onTry();
    try {
      const reply = await request(path, {
        method: "POST",
        body: file,
        // The server looks at the content; a file named .json must not be sent as JSON.
        headers: { ...headersOf(key), "Content-Type": "application/octet-stream" },
        signal,
      });
      const { labels, keywords } = Array.isArray(reply) ? { labels: reply, keywords: [] } : reply ?? {};
      if (!areScored(labels, "label") || !areScored(keywords, "keyword")) {
        throw new RequestError("The server's response is not valid.");
      }
      return { labels, concepts: keywords.filter(({ kind }) => kind === "concept") };
    } catch (error) {
      const seconds = error.retryAfter ?? 2 ** (tries - 1);
      if (error.status !== 429 || tries === MAX_TRIES || seconds > LONGEST_PAUSE_S) throw error;
      onPause(seconds);
      await pause(seconds, signal);
    }
  }
}

function areScored(list, name) {
  return Array.isArray(list) && list.every((l) => typeof l?.[name] === "string" && Number.isFinite(l?.score));
}

/** The heatmap of a label, as a Blob: which areas of the image changed its score. */
export async function explain({ file, model, label, key, signal }) {
  const query = new URLSearchParams({ model, label, format: "heat" });
  const headers = { ...headersOf(key), "Content-Type": "application/octet-stream" };
  return request(`v1/explain?${query}`, { method: "POST", body: file, headers, signal }, (r) => r.blob());
}

async function request(path, options, read = (response) => response.json()) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const file = options.body ? ", or the file can no longer be read" : "";
    throw new RequestError(`The server could not be reached${file}.`, { kind: "ServerUnreachable" });
  }
  const body = await (response.ok ? read(response) : response.json()).catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (response.ok) return body;
  const said = body?.message ?? body?.error;
  const error = new RequestError(
    typeof said === "string" && said ? forVisitor(said) : `The server responded with status ${response.status}.`,
    { kind: kindOf(body?.type), status: response.status, requestId: String(body?.request_id ?? "") },
  );
  if (response.status === 429) error.retryAfter = secondsOf(response.headers.get("Retry-After"));
  throw error;
}

/** The class of an error, whose name the server writes with underscores: not_an_image is NotAnImage. */
function kindOf(type) {
  if (typeof type !== "string" || !type) return undefined;
  return type.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());
}

/** The server's message, without its name for the image and without advice for the operator. */
function forVisitor(said) {
  const text = said.replace(/^the image: /, "").replace(/, or raise \w+\.$/, ".").slice(0, 500);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function headersOf(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The seconds in a Retry-After header, which is a number or a date. */
function secondsOf(text) {
  if (!text) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0.2, seconds) : undefined;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
