// The page as a whole: theme, keys, links, copying, printing.

const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  memory.set("theme", theme);
}

function buildTools() {
  let theme = THEMES.includes(memory.get("theme")) ? memory.get("theme") : "system";
  const button = element("button", { type: "button", id: "theme" });
  const say = () => { button.textContent = theme[0].toUpperCase() + theme.slice(1); button.setAttribute("aria-label", "Colours: " + theme + "; change"); };
  button.addEventListener("click", () => { theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]; setTheme(theme); say(); });
  setTheme(theme);
  say();
  const keys = element("button", { type: "button", id: "keys-button", "aria-haspopup": "dialog" }, "Keys ", element("kbd", {}, "?"));
  keys.addEventListener("click", () => byId("keys").showModal());
  byId("tools").append(button, keys);
}

const KEYS = [
  ["/", "search", () => byId("search").focus()],
  ["j", "next exchange", () => step(1)],
  ["k", "exchange before", () => step(-1)],
  ["o", "unfold or fold it", () => { const made = current(); if (made) toggle(made); }],
  ["v", "side by side or inline", () => byId("view").click()],
  ["t", "colours: system, light, dark", () => byId("theme").click()],
  ["?", "these keys", () => byId("keys").showModal()],
];
let hasKeys = memory.get("keys") !== "off";

function buildKeys() {
  const rows = [...KEYS, ["Esc", "leave the search, close this"]].map(([key, words]) => element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, key)), element("td", {}, words)));
  const box = element("input", { type: "checkbox", id: "has-keys" });
  box.checked = hasKeys;
  box.addEventListener("change", () => { hasKeys = box.checked; memory.set("keys", hasKeys ? "on" : "off"); });
  const close = element("button", { type: "button" }, "Close");
  const dialog = element("dialog", { id: "keys", "aria-labelledby": "keys-title" }, element("h2", { id: "keys-title" }, "Keys"),
    element("table", { class: "facts" }, element("caption", { class: "unseen" }, "Keys"), element("tbody", {}, rows)),
    element("p", {}, element("label", {}, box, " single keys do this")), close);
  close.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
}

// The exchange that has the focus, or that is first in the window.
function current() {
  const focused = document.activeElement && document.activeElement.closest(".item");
  if (focused) return focused;
  return [...document.querySelectorAll(".item")].find((it) => it.getBoundingClientRect().bottom > 90);
}

function step(by) {
  const focused = document.activeElement && document.activeElement.closest(".item");
  const here = focused ? shownRows.indexOf(Number(focused.dataset.number)) + by : 0;
  if (here < 0 || here >= shownRows.length) return;
  const block = byId("rows").children[Math.floor(here / ROWS_OF_BLOCK)];
  fillBlock(block);
  const made = block.children[here % ROWS_OF_BLOCK];
  made.querySelector(".line").focus({ preventScroll: true });
  made.scrollIntoView({ block: "nearest", behavior: "instant" });
}

function onKey(event) {
  if (event.key === "Escape" && document.activeElement === byId("search")) document.activeElement.blur();
  const isTyping = event.target.closest && event.target.closest("input, select, textarea, dialog");
  if (!hasKeys || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const found = KEYS.find(([key]) => key === event.key);
  if (!found) return;
  event.preventDefault();
  found[2]();
}

// Unfolds the exchange that the address names.
function followHash() {
  const number = data.rows.findIndex((row) => "#" + anchorOf(row) === location.hash);
  if (number < 0) return;
  const made = reveal(number);
  if (!opened.has(number)) toggle(made);
  made.querySelector(".line").focus({ preventScroll: true });
}

async function onCopy(event) {
  const button = event.target.closest && event.target.closest(".copy");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function buildLatency() {
  const has = data.rows.some((row) => row[ROW.RECORDED_US] >= 0 && row[ROW.REPLAYED_US] >= 0);
  if (!has) return;
  byId("times").hidden = false;
  const place = element("div", {});
  const show = (route) => {
    place.replaceChildren(latency(route === "" ? data.rows : data.rows.filter((row) => row[ROW.ROUTE] === Number(route))));
    reachable(place);
  };
  const note = element("p", { class: "note" }, "How long each exchange took, as the proxy saw it in the recording and as it took in the replay, where dependencies answer from the recording.");
  byId("latency").append(note);
  if (data.routes.length > 1) {
    const choice = element("select", { "aria-label": "Route of the times" }, element("option", { value: "" }, "all routes"), data.routes.map((name, number) => element("option", { value: number }, line(name))));
    choice.addEventListener("change", () => show(choice.value));
    byId("latency").append(choice);
  }
  byId("latency").append(place);
  show("");
}

// On paper there is no scrolling: the first rows are all made. A choice, some forty pages.
const PRINTED_MAX = 2000;

buildTools();
buildKeys();
buildList();
apply();
buildLatency();
document.querySelectorAll(".copy").forEach((it) => { it.hidden = false; });
document.addEventListener("click", onCopy);
document.addEventListener("keydown", onKey);
addEventListener("hashchange", followHash);
addEventListener("resize", () => reachable(document));
addEventListener("beforeprint", () => {
  [...byId("rows").children].slice(0, PRINTED_MAX / ROWS_OF_BLOCK).forEach((block) => { if (block.dataset.at) fillBlock(block); });
  document.querySelectorAll("details").forEach((it) => { it.open = true; });
});
followHash();
reachable(document);
performance.mark("ready");
document.documentElement.dataset.ready = "true";
