// The page's life: sign in, ask about every second, stop when nobody looks,
// ask less often when the server is in trouble.

import { Gone, Refused, read, signIn, signOut } from "./api.js";
import * as view from "./view.js";

const period = 1000; // milliseconds between two rounds
const longest = 30_000; // milliseconds between two tries at a server in trouble

const $ = (id) => document.getElementById(id);

let signedIn = false;
let forbidden = false; // trigger runs are not for this user
let failures = 0; // rounds in a row that failed
let timer = 0;
let round = null; // AbortController of the round under way
let seen = {}; // per side, which transfers were under way: what ended meanwhile is said aloud

function say(text) {
  view.put($("said"), text);
}

function trouble(text) {
  view.put($("trouble"), text);
  view.show($("trouble"), text !== "");
  document.body.classList.toggle("stale", text !== "");
}

/** turn shows the form or the status. */
function turn(inside) {
  if (inside === signedIn && (inside ? !$("status").hidden : !$("sign-in").hidden)) return;
  signedIn = inside;
  forbidden = false;
  seen = {};
  if (!inside) view.clear();
  view.show($("sign-in"), !inside);
  view.show($("status"), inside);
  view.show($("sign-out"), inside);
  if (!inside) $("name").focus();
}

/** announce says which transfers have ended since the last round. */
function announce(side, items) {
  for (const t of items) {
    if (!t.processing && seen[side]?.has(t.id)) say(`Transfer ${t.where}: ${t.status}`);
  }
  seen[side] = new Set(items.filter((t) => t.processing).map((t) => t.id));
}

/** section asks for one list; what only concerns it stays within it. */
async function section(name, path, signal, use) {
  try {
    use(await read(path, signal));
  } catch (e) {
    if (!(e instanceof Refused) || e.code === "unauthorized" || e.code === "tooManyRequests") throw e;
    if (name === "runs" && e.code === "forbidden") {
      forbidden = true;
      view.hideRuns("Trigger runs are shown to superusers.");
      return;
    }
    view.note(name, e.message);
  }
}

/** ask is one round. */
async function ask(signal) {
  const info = await read("/server", signal);
  // Without a login the server returns only the version.
  const inside = typeof info.serverUid === "string";
  view.server(info);
  if (signedIn && !inside) view.put($("refused"), "Your session has ended. Sign in again.");
  turn(inside);
  if (!inside) return;
  await Promise.all([
    section("send", "/send/transfers?limit=20", signal, (r) => announce("send", view.transfers("send", r.transfers ?? []))),
    section("recv", "/recv/transfers?limit=20", signal, (r) => announce("recv", view.transfers("recv", r.transfers ?? []))),
    forbidden ? undefined : section("runs", "/trigger-runs?limit=20", signal, (r) => view.runs(r.runs ?? [])),
  ]);
}

/** go does one round and plans the next. A round under way is dropped. */
async function go() {
  clearTimeout(timer);
  round?.abort();
  const mine = (round = new AbortController());
  let wait = period;
  try {
    await ask(mine.signal);
    if (mine.signal.aborted) return;
    failures = 0;
    trouble("");
  } catch (e) {
    if (mine.signal.aborted) return;
    if (!(e instanceof Refused || e instanceof Gone)) console.error(e);
    if (e instanceof Refused && e.code === "unauthorized") {
      turn(false);
      view.put($("refused"), "Your session has ended. Sign in again.");
      failures = 0;
    } else {
      wait = Math.max(Math.min(longest, period * 2 ** ++failures), e.retryAfter ?? 0);
      const what = e instanceof Gone ? "The server does not answer." : e instanceof Refused ? e.message : "This page has failed; reload it.";
      trouble(`${what} The next try is in ${Math.ceil(wait / 1000)} s; what is shown may be old.`);
    }
  }
  // Signed out there is nothing to watch: submitting the form starts a round.
  if ((signedIn || failures > 0) && !document.hidden) timer = setTimeout(go, wait);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    round?.abort();
  } else {
    go();
  }
});

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  view.put($("refused"), "");
  try {
    await signIn($("name").value, $("password").value);
    $("password").value = "";
    say("Signed in.");
    await go();
    if (!signedIn && failures === 0) view.put($("refused"), "The browser did not keep the session's cookie; allow cookies for this page.");
  } catch (e) {
    view.put($("refused"), e.message);
    $("password").select();
  } finally {
    button.disabled = false;
  }
});

$("sign-out").addEventListener("click", async () => {
  clearTimeout(timer);
  round?.abort();
  try {
    await signOut();
    turn(false);
    view.put($("refused"), "");
    trouble("");
    say("Signed out.");
  } catch (e) {
    trouble(`You are still signed in: ${e.message}.`);
    timer = setTimeout(go, period);
  }
});

go();
