// What is seen. Everything from the server becomes a text node, never markup.

import { bytes, count, moment, name, rate, span } from "./format.js";

/** node makes an element with a class. */
function node(tag, className) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  return e;
}

/** put changes a text only when it differs, so that selections and screen readers are left alone. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** show hides or shows an element. */
export function show(element, visible) {
  element.hidden = !visible;
}

/** list makes the children of parent match items, keeping the elements of those that stay. */
function list(parent, items, key, make, update) {
  const have = new Map([...parent.children].map((e) => [e.dataset.key, e]));
  items.forEach((item, i) => {
    const k = String(key(item));
    let e = have.get(k);
    have.delete(k);
    if (!e) {
      e = make();
      e.dataset.key = k;
    }
    if (parent.children[i] !== e) parent.insertBefore(e, parent.children[i] ?? null);
    update(e, item);
  });
  for (const e of have.values()) e.remove();
}

const states = new Set(["pending", "active", "receiving", "suspended", "cancelled", "complete", "error",
  "queued", "running", "success", "failed", "timeout", "interrupted"]);

/** badge shows a state by word and color. */
function badge(element, status) {
  put(element, name(status));
  element.className = "badge" + (states.has(status) ? " " + status : "");
}

function makeTransfer() {
  const e = node("li", "card transfer");
  const head = node("div", "head");
  head.append(node("span", "where"), node("span", "badge"));
  e.append(head, node("progress"), node("p", "facts"), node("p", "why"));
  e.querySelector("progress").max = 1;
  return e;
}

/** fraction is how much of a transfer is done, from 0 to 1. */
function fraction(t) {
  if (t.status === "complete") return 1;
  if (t.total > 0) return Math.min(1, t.done / t.total);
  return t.files > 0 ? Math.min(1, t.filesDone / t.files) : 0;
}

/** updateTransfer shows one transfer; see fromSend and fromRecv for its fields. */
function updateTransfer(e, t) {
  const done = fraction(t);
  put(e.querySelector(".where"), t.where);
  badge(e.querySelector(".badge"), t.status);
  const bar = e.querySelector("progress");
  bar.value = done;
  bar.className = states.has(t.status) ? t.status : "";
  const percent = `${Math.floor(done * 100)} %`;
  put(bar, percent);
  bar.setAttribute("aria-label", `${t.where}, ${percent}`);

  const facts = [];
  if (t.status === "complete") {
    facts.push(count(t.files, "file"), bytes(t.total));
  } else {
    facts.push(percent, `${bytes(t.done)} of ${bytes(t.total)}`, `${t.filesDone} of ${count(t.files, "file")}`);
  }
  if (t.processing && t.status !== "pending") {
    facts.push(rate(t.rate));
    if (t.eta) facts.push(`${span(t.eta)} left`);
  }
  if (t.start && t.end) facts.push(`took ${span((t.end - t.start) / 1e6)}`);
  facts.push(t.end ? `ended ${moment(t.end)}` : t.start ? `began ${moment(t.start)}` : "");
  put(e.querySelector(".facts"), facts.filter(Boolean).join(" · "));
  const why = e.querySelector(".why");
  put(why, name(t.why));
  show(why, Boolean(t.why));
  why.classList.toggle("waiting", Boolean(t.processing)); // it waits; it has not failed
}

const host = (address, port) => (address.includes(":") ? `[${name(address)}]` : name(address)) + (port ? `:${Number(port)}` : "");

function fromSend(t) {
  return {
    id: t.transferId, status: t.status, processing: t.processing, why: t.errorMessage, rate: t.rate, eta: t.etaSeconds,
    where: `to ${name(t.username)}@${host(String(t.destinationAddress ?? ""), t.destinationPort)}, below ${name(t.destinationPath)}`,
    total: t.totalBytes, done: t.bytesSent, files: t.totalFiles, filesDone: t.filesSent, start: t.startTime, end: t.endTime,
  };
}

function fromRecv(t) {
  const left = t.totalSize - t.bytesReceived;
  return {
    id: `${t.sourcePublicKey} ${t.transferId}`, status: t.status, processing: t.processing, why: t.errorMessage, rate: t.rate,
    eta: t.rate > 0 && left > 0 ? Math.ceil((left * 8) / (t.rate * 1000)) : null,
    where: `from ${host(String(t.sourceIP ?? ""), 0)} for ${name(t.username)}, below ${name(t.destinationPath)}`,
    total: t.totalSize, done: t.bytesReceived, files: t.totalFiles, filesDone: t.filesReceived, start: t.startTime, end: t.endTime,
  };
}

/** transfers shows a list of sent ("send") or received ("recv") transfers and returns them in the page's terms. */
export function transfers(side, found) {
  const items = found.map(side === "send" ? fromSend : fromRecv);
  list(document.getElementById(side), items, (t) => t.id, makeTransfer, updateTransfer);
  const moving = items.filter((t) => t.processing).length;
  put(document.getElementById(`${side}-count`), moving > 0 ? `${moving} under way` : "");
  note(side, items.length > 0 ? "" : side === "send"
    ? "Nothing has been sent yet. Try: jetstream send ./reel bob@host:/incoming"
    : "Nothing has arrived yet.");
  return items;
}

/** note says something in place of a list, or nothing. */
export function note(section, text) {
  const e = document.getElementById(`${section}-note`);
  put(e, text);
  show(e, text !== "");
}

function makeRun() {
  const e = node("tr");
  e.setAttribute("role", "row"); // said aloud, for on a phone the table is laid out as blocks
  for (const [className, label] of [["event", "Event"], ["state", "Status"], ["exit", "Exit"], ["took", "Duration"], ["attempt", "Attempt"], ["when", "Queued"]]) {
    const cell = node("td", className);
    cell.dataset.label = label;
    cell.setAttribute("role", "cell");
    e.append(cell);
  }
  e.querySelector(".event").append(node("span", "name"), node("p", "why"));
  e.querySelector(".state").append(node("span", "badge"));
  return e;
}

function updateRun(e, r) {
  put(e.querySelector(".name"), name(r.event));
  const why = e.querySelector(".why");
  put(why, name(r.errorMessage));
  show(why, Boolean(r.errorMessage));
  badge(e.querySelector(".badge"), r.status);
  put(e.querySelector(".exit"), r.signal ? name(r.signal) : r.exitCode == null ? "–" : String(r.exitCode));
  put(e.querySelector(".took"), r.startTime && r.endTime ? span((r.endTime - r.startTime) / 1e6)
    : r.status === "running" && r.startTime ? `since ${moment(r.startTime)}` : "–");
  put(e.querySelector(".attempt"), String(r.attempt));
  put(e.querySelector(".when"), moment(r.queueTime));
}

/** runs shows the last trigger runs. */
export function runs(found) {
  list(document.getElementById("runs"), found, (r) => r.runId, makeRun, updateRun);
  show(document.getElementById("runs-table"), found.length > 0);
  const waiting = found.filter((r) => r.status === "queued").length;
  put(document.getElementById("runs-count"), waiting > 0 ? `${waiting} waiting` : "");
  note("runs", found.length > 0 ? "" : "No script has been run yet.");
}

/** hideRuns takes the runs away and says why. */
export function hideRuns(why) {
  document.getElementById("runs").replaceChildren();
  show(document.getElementById("runs-table"), false);
  put(document.getElementById("runs-count"), "");
  note("runs", why);
}

/** server shows which server this is. */
export function server(info) {
  const who = [info.serverName, info.hostName].filter(Boolean).map(name);
  put(document.getElementById("server"), [...new Set(who)].join(" on "));
  put(document.getElementById("version"), info.version ? `JetStream ${name(info.version)}` : "");
  document.title = who[0] ? `${who[0]} – JetStream` : "JetStream";
}

/** clear takes away what a signed-out visitor must not see. */
export function clear() {
  for (const id of ["send", "recv", "runs"]) document.getElementById(id).replaceChildren();
  for (const id of ["send-count", "recv-count", "runs-count", "server"]) put(document.getElementById(id), "");
  for (const section of ["send", "recv", "runs"]) note(section, "");
  show(document.getElementById("runs-table"), false);
}
