// Numbers, times and names as people read them.

// What would break a line, hide itself or turn the direction of the text: all
// of that may stand in a file name, and none of it may change what is seen.
const hidden = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** name makes text from elsewhere safe to look at. */
export function name(text) {
  return String(text ?? "").replace(hidden, (c) => short[c] ?? "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** bytes writes a size: 1536 is "1.5 KiB". */
export function bytes(n) {
  if (n == null || !(n >= 0)) return "";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let u = 0;
  while (n >= 1024 && u < units.length - 1) {
    n /= 1024;
    u++;
  }
  return u === 0 ? (n === 1 ? "1 byte" : `${n} bytes`) : `${digits(n)} ${units[u]}`;
}

/** rate writes kbit/s. */
export function rate(kbit) {
  if (!(kbit > 0)) return "";
  if (kbit < 1000) return `${digits(kbit)} kbit/s`;
  if (kbit < 1e6) return `${digits(kbit / 1e3)} Mbit/s`;
  return `${digits(kbit / 1e6)} Gbit/s`;
}

/** digits keeps three of them. */
function digits(n) {
  return n < 10 ? n.toFixed(2).replace(/\.?0+$/, "") : n < 100 ? n.toFixed(1).replace(/\.0$/, "") : n.toFixed(0);
}

/** span writes a duration given in seconds. */
export function span(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${digits(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** moment writes microseconds since the epoch: today as a time, else with the date. */
export function moment(micros) {
  if (!micros) return "";
  const d = new Date(micros / 1000);
  const time = d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return d.toDateString() === new Date().toDateString() ? time : `${d.toLocaleDateString()} ${time}`;
}

/** count writes "1 file", "2 files". */
export const count = (n, word) => `${Number(n).toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
