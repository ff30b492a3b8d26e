// How the page talks to its server: the session, and reading lists.

const patience = 10_000; // milliseconds until a silent server counts as gone

/** Refused is an answer of the server that is no success. */
export class Refused extends Error {
  constructor(httpStatus, code, message, retryAfter) {
    super(message);
    this.httpStatus = httpStatus;
    this.code = code;
    this.retryAfter = retryAfter; // milliseconds, 0 when the server names none
  }
}

/** Gone means that no answer came, or none that this API gives. */
export class Gone extends Error {}

/** call sends one request and returns the result of its reply. */
async function call(method, path, body, signal) {
  const request = { method, cache: "no-store", signal: AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])]) };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "Content-Type": "application/json" };
  }
  let response, reply;
  try {
    response = await fetch(new URL("../" + path, import.meta.url), request); // the server may be below a path of a proxy
    reply = await response.json();
  } catch {
    throw new Gone("the server does not answer");
  }
  if (typeof reply?.status !== "string" || typeof reply.result !== "object" || reply.result === null) {
    throw new Gone("the answer is not this server's");
  }
  if (reply.status !== "success") {
    const wait = Number(response.headers.get("Retry-After")) || 0;
    throw new Refused(response.status, reply.status, String(reply.message), wait * 1000);
  }
  return reply.result;
}

/** read gets a path below the API. */
export const read = (path, signal) => call("GET", "api/v1" + path, undefined, signal);

/** signIn makes a session; the cookie is kept by the browser, out of reach of script. */
export const signIn = (name, password) => call("POST", "session", { name, password });

/** signOut ends the session. */
export const signOut = () => call("DELETE", "session");
