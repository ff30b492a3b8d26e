// Carrying out a command from the page: with the session of the page at "/", or with a
// token that is typed. Whatever is not GET is asked about first.

/** attach gives every command a form, which is made when it is first wanted. */
export function attach(base) {
  for (const entry of document.querySelectorAll("article[data-method]")) {
    const button = entry.querySelector(".try");
    button.hidden = false;
    button.setAttribute("aria-expanded", "false");
    let form;
    button.addEventListener("click", () => {
      form ??= entry.querySelector(".samples").insertBefore(make(entry, base), entry.querySelector(".tools").nextSibling);
      const shown = button.getAttribute("aria-expanded") === "false";
      form.hidden = !shown;
      button.setAttribute("aria-expanded", String(shown));
      if (shown) form.querySelector("input, textarea, button").focus();
    });
  }
}

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

/** fields are the names below a title of an entry, such as "In the path". */
function fields(entry, title) {
  const head = [...entry.querySelectorAll(".words > h4")].find((h) => h.textContent === title);
  if (!head) return [];
  return [...head.nextElementSibling.children].map((row) => ({
    name: row.querySelector(".name").textContent, required: row.querySelector(":scope > dt .required") !== null,
  }));
}

let made = 0;

function make(entry, base) {
  const { method, path } = entry.dataset;
  const stream = path.endsWith("/events");
  const form = element("form", { class: "tryit", "aria-label": `Try ${entry.id}` });
  const inputs = [];
  const field = (where, { name, required }) => {
    const id = `try-${++made}`;
    const input = element("input", { id, autocomplete: "off", spellcheck: "false" });
    input.required = required;
    inputs.push({ where, name, input });
    form.append(element("label", { for: id }, required ? `${name} (required)` : name), input);
  };
  for (const f of fields(entry, "In the path")) field("path", f);
  for (const f of fields(entry, "In the query")) field("query", f);
  let body;
  const request = entry.querySelector("template.request");
  if (fields(entry, "Parameters").length > 0) {
    const id = `try-${++made}`;
    body = element("textarea", { id, rows: "8", spellcheck: "false", autocomplete: "off" });
    body.value = request?.content.textContent ?? "{}";
    form.append(element("label", { for: id }, "Parameters (JSON)"), body);
  }
  const tokenID = `try-${++made}`;
  const token = element("input", { id: tokenID, type: "password", autocomplete: "off" });
  form.append(element("label", { for: tokenID }, "API token (empty: the session of the status page)"), token);
  const send = element("button", { type: "submit" }, `${method} ${path}`);
  const reply = element("pre", { tabindex: "0", hidden: "" });
  const said = element("p", { role: "status", "aria-live": "polite" });
  form.append(send, said, reply);
  if (stream) {
    send.disabled = true;
    said.textContent = "The stream does not end: follow it with the sample.";
  }

  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    let text;
    if (body) {
      try {
        text = JSON.stringify(JSON.parse(body.value));
      } catch (fault) {
        said.textContent = `The parameters are no JSON: ${fault.message}`;
        body.focus();
        return;
      }
    }
    const query = new URLSearchParams();
    let to = path;
    for (const { where, name, input } of inputs) {
      if (where === "path") to = to.replace(`{${name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.set(name, input.value);
    }
    const headers = {};
    if (token.value !== "") headers.Authorization = `Bearer ${token.value}`;
    if (text !== undefined) headers["Content-Type"] = "application/json";
    send.disabled = true;
    try {
      if (method !== "GET") {
        const who = await user(base, headers.Authorization);
        if (!confirm(`Really carry out ${entry.id} on ${base}, as ${who}?`)) {
          said.textContent = "Not carried out.";
          return;
        }
      }
      const begin = performance.now();
      const response = await fetch(base + to + (query.size > 0 ? `?${query}` : ""), { method, headers, body: text, cache: "no-store" });
      const answer = await response.text();
      said.textContent = `${response.status} ${response.statusText}, ${Math.round(performance.now() - begin)} ms` +
        (response.status === 401 ? ": sign in on the status page, or give a token." : "");
      reply.textContent = pretty(answer);
      reply.hidden = false;
    } catch (fault) {
      said.textContent = `No answer: ${fault.message}`;
    } finally {
      send.disabled = false;
    }
  });
  return form;
}

/** user names who would carry out a command. */
async function user(base, authorization) {
  const response = await fetch(`${base}/api/v1/server`, { headers: authorization ? { Authorization: authorization } : {}, cache: "no-store" });
  const reply = await response.json();
  return reply.result?.userName ? `user ${reply.result.userName}` : "nobody (you are not signed in)";
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
