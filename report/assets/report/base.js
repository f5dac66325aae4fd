// What the other parts stand on: elements made of text, numbers in words, and the data of this page.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// Control characters, and those that turn text around (Unicode TR 9): shown, and never obeyed.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const escaped = (character) => {
  const code = character.codePointAt(0);
  return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u{" + code.toString(16) + "}";
};
// A character under thousands of accents takes a browser minutes.
const MARKS = /(\p{M}{32})\p{M}+/gu;
const lines = (text) => String(text).replace(UNSEEN, escaped).replace(MARKS, "$1…");
const line = (text) => lines(text).replace(/\n/g, "\\n");

// Makes an element. A child that is no node becomes text, and text is never markup.
function element(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function drawn(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "href" && !String(value).startsWith("#")) throw new Error("links lead to this page alone");
    if (name.startsWith("on") || name === "style") throw new Error("neither handlers nor styles are made of text");
    made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) made.append(child);
  }
  return made;
}

const code = (text) => element("code", {}, line(text));
const unseen = (text) => element("span", { class: "unseen" }, text);

function table(attributes, caption, heads, rows) {
  const head = heads.map((it) => element("th", { scope: "col" }, it));
  return element("table", attributes, element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
}

const data = JSON.parse(byId("index").textContent);
const ROW = { CASE: 0, ID: 1, TITLE: 2, ROUTE: 3, VERDICT: 4, RECORDED: 5, REPLAYED: 6, WHY: 7, RECORDED_US: 8, REPLAYED_US: 9 };
const blocks = new Map();

// All that the page has of an exchange: its block is read when one of its exchanges is first asked for.
function detailOf(number) {
  const block = Math.floor(number / data.block);
  if (!blocks.has(block)) blocks.set(block, JSON.parse(byId("block-" + block).textContent));
  return blocks.get(block)[number % data.block];
}

const anchors = new Map();

// Names an exchange in an address. Runs of repeats have the same one several times.
for (const row of data.rows) {
  const anchor = "x-" + row[ROW.CASE] + "-" + row[ROW.ID];
  const before = anchors.get(anchor) || 0;
  anchors.set(anchor, before + 1);
  row.anchor = before === 0 ? anchor : anchor + "-" + before;
}
const anchorOf = (row) => row.anchor;
const short = (id) => id.slice(0, 12);
const wordOf = (row) => data.verdicts[row[ROW.VERDICT]];

function badge(word) {
  return element("span", { class: "badge v-" + word }, element("span", { class: "glyph", "aria-hidden": "true" }), word);
}

// 850 µs, 12.3 ms, 4.56 s
function span(ns) {
  if (ns < 1e3) return Math.round(ns) + " ns";
  if (ns < 1e6) return Math.round(ns / 1e3) + " µs";
  if (ns < 1e9) return (ns / 1e6).toFixed(1) + " ms";
  if (ns < 6e10) return (ns / 1e9).toFixed(2) + " s";
  return Math.floor(ns / 6e10) + " min " + String(Math.floor(ns / 1e9) % 60).padStart(2, "0") + " s";
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return (unit ? count.toFixed(1) : count) + " " + units[unit];
}

function percent(share) {
  const value = share * 100;
  return (value !== 0 && value < 1 ? value.toFixed(2) : value.toFixed(1)).replace(/\.?0+$/, "") + " %";
}

// "1 exchange", "7 pairs of files": what this page's results are of.
const results = (count) => count.toLocaleString("en") + " " + data.nouns[count === 1 ? 0 : 1];
const isOfFiles = data.nouns[0] !== "exchange";

const many = (count, word) => count.toLocaleString("en") + " " + word + (count === 1 ? "" : "s");

function command(raw) {
  const text = line(raw);
  return element("span", { class: "command" }, code(text), element("button", { type: "button", class: "copy", "data-copy": text }, "Copy"));
}

// Tables that are wider than the window are scrolled, also by keys.
function reachable(within) {
  for (const wide of within.querySelectorAll(".wide")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    else wide.removeAttribute("tabindex");
  }
}

// What is remembered between visits; a browser may refuse.
const memory = {
  get(name) { try { return localStorage.getItem("retake-" + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("retake-" + name, value); } catch { /* nothing is remembered */ } },
};

// Side by side or inline: one for the whole page.
let isSplit = (memory.get("view") || (innerWidth >= 900 ? "split" : "inline")) === "split";

