// Requests to pictag. The cookie that the page was opened with is sent by the browser.

/** An error message for the user; `start` and `end` are its place in a query. */
export class RequestError extends Error {
  constructor(message, { status = 0, start, end } = {}) {
    super(message);
    Object.assign(this, { status, start, end });
  }
}

export function get(path, parameters = "", { signal, priority = "high" } = {}) {
  const query = String(parameters);
  return request(query ? `${path}?${query}` : path, { signal, priority });
}

/** An image as a Blob. */
export function getImage(path, parameters, { signal }) {
  return request(`${path}?${parameters}`, { signal }, (response) => response.blob());
}

export function post(path, body = {}) {
  return request(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  });
}

async function request(path, options, read = (response) => response.json()) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError("pictag doesn't respond. Is “pictag browse” still running in the terminal?");
  }
  const body = await (response.ok ? read(response) : response.json()).catch(() => null);
  if (response.ok && body !== null) return body;
  if (response.status === 401 || response.status === 403) {
    throw new RequestError(
      body?.message ?? "This page belongs to an earlier start. Open the address that pictag browse printed.",
      { status: response.status },
    );
  }
  throw new RequestError(body?.message ?? `pictag responded with status ${response.status}.`, {
    status: response.status,
    start: body?.start,
    end: body?.end,
  });
}
