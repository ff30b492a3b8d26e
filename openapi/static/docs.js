// The contents: search, where one is, and the language of the samples. Nothing that is
// typed or chosen is kept.
import { attach } from "./tryit.js";

const root = document.documentElement;
const side = document.getElementById("side");
const search = document.getElementById("search");
const found = document.getElementById("found");
const menu = document.getElementById("menu");
const language = document.getElementById("language");

language.addEventListener("change", () => { root.dataset.language = language.value; });

// The samples call the server that this page is from.
const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
for (const code of document.querySelectorAll(".sample code")) {
  code.textContent = code.textContent.replaceAll("http://localhost:8886", base);
}

for (const figure of document.querySelectorAll("figure")) {
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "quiet copy";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(figure.querySelector("code").textContent);
    } catch { // no permission, or no TLS: let people copy it themselves
      getSelection().selectAllChildren(figure.querySelector("code"));
      done = "Selected";
    }
    copy.textContent = done;
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
  figure.querySelector("figcaption").append(" ", copy);
}

// What each link of the contents stands for, in small letters.
const links = [...side.querySelectorAll("#contents a")].map((link) => {
  const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  const words = target.querySelector(".words") ?? target;
  return { link, item: link.closest("li"), name: link.textContent.toLowerCase(), text: words.textContent.toLowerCase() };
});

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let hits = 0;
  for (const each of links) {
    const hit = words.every((w) => each.name.includes(w) || each.text.includes(w));
    each.hit = hit;
    if (each.item) {
      each.item.hidden = !hit;
      each.item.classList.toggle("by-name", words.length > 0 && words.every((w) => each.name.includes(w)));
      hits += hit ? 1 : 0;
    }
  }
  for (const section of side.querySelectorAll("#contents section")) {
    section.hidden = !section.querySelector("li:not([hidden])");
  }
  found.textContent = words.length === 0 ? "" : hits === 0 ? "Nothing has these words." : `${hits} found`;
}
search.addEventListener("input", filter);
search.addEventListener("keydown", (e) => {
  if (e.key === "Escape") {
    search.value = "";
    filter();
  }
  if (e.key === "Enter") {
    (side.querySelector("li.by-name:not([hidden]) a") ?? side.querySelector("li:not([hidden]) a"))?.click();
  }
});
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && !e.target.closest?.("input, textarea, select")) {
    e.preventDefault();
    open(true);
    search.focus();
  }
});

// On a narrow screen the contents are behind a button.
function open(on) {
  side.classList.toggle("open", on);
  menu.setAttribute("aria-expanded", String(on));
}
menu.addEventListener("click", () => open(!side.classList.contains("open")));
side.addEventListener("click", (e) => { if (e.target.closest("a")) open(false); });

// The link of what is in sight is marked.
const byID = new Map(links.map((each) => [each.link.hash.slice(1), each.link]));
let current;
const inSight = new Set();
const parts = [...document.querySelectorAll("main > section, main > article")];
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) inSight.add(entry.target);
    else inSight.delete(entry.target);
  }
  const link = byID.get(parts.find((part) => inSight.has(part))?.id);
  if (!link || link === current) return;
  current?.removeAttribute("aria-current");
  current = link;
  link.setAttribute("aria-current", "true");
  const box = link.getBoundingClientRect(), frame = side.getBoundingClientRect();
  if (box.top < frame.top || box.bottom > frame.bottom) side.scrollTop += box.top - frame.top - frame.height / 2;
}, { rootMargin: "-80px 0px -75% 0px" });
for (const part of parts) watcher.observe(part);

attach(base);
