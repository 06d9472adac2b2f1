// Calls of the service with the token of this tab, and what is told where one fails.

export class Problem extends Error {}

const token = () => sessionStorage.getItem("token");

export const hasToken = () => Boolean(token());

export function keepToken(text) {
  sessionStorage.setItem("token", text);
}

export async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (hasToken()) headers.Authorization = `Bearer ${token()}`;
  const started = performance.now();
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Problem("The service does not answer. Is it running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(body.error?.message ?? `The service answered with status ${response.status}.`);
  return { body, version: response.headers.get("x-model-version"), ms: performance.now() - started };
}

export function openSocket(path) {
  const address = new URL(path, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  // a browser gives a socket no headers: the token is a subprotocol, and so not in the address, which may be logged
  return new WebSocket(address, ["vidmodels", `bearer.${token()}`]);
}
