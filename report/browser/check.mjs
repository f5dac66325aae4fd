// Looks at the pages of a folder in Chromium, as tests/it/browser.rs wrote them there: `node check.mjs FOLDER MODULES CHROMIUM`.
//
// In: attack.html (every text of it is an attack), few.html (some exchanges of each kind), runs.html (two runs), files.html (two
// files), alike.html (bodies that look alike), many.html (ten thousand exchanges). Out: a line for each thing that holds, with what was measured; a failure ends it with status 1. Screenshots go into FOLDER/shots.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, modules, executablePath] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
/** How long ten thousand exchanges may take until they can be used, in milliseconds; the median of OPENED openings. */
const OPEN_MS_MAX = 1000;
const OPENED = 5;

const shots = path.join(folder, "shots");
fs.mkdirSync(shots, { recursive: true });
const holds = (words) => console.log("holds: " + words);

/** A page in a browser with a folder of its own, and all that went wrong in it. */
async function opened(name, options, look) {
  const profile = fs.mkdtempSync(path.join(folder, "profile-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, args: ARGUMENTS, viewport: { width: 1280, height: 900 }, bypassCSP: false, ...options,
  });
  const wrong = [];
  const page = await context.newPage();
  page.on("console", (message) => wrong.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith("data:image/svg+xml,") && request.url() !== address(name)) wrong.push(`request: ${request.url()}`); });
  context.on("page", () => wrong.push("a window was opened"));
  try {
    await page.goto(address(name));
    await page.waitForSelector("html[data-ready]");
    await look(page);
    assert.deepEqual(wrong, [], name);
    assert.equal(page.url().split("#")[0], address(name), "the page stays where it is");
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

const address = (name) => "file://" + path.join(path.resolve(folder), name);

async function attack(page) {
  const lines = page.locator(".item .line");
  const count = await lines.count();
  assert.ok(count >= 12, `${count} exchanges`);
  for (let at = 0; at < count; at += 1) await lines.nth(at).click();
  for (const summary of await page.locator("summary").all()) await summary.click();
  for (const cell of await page.locator(".id").all()) await cell.hover();
  await page.keyboard.press("v");
  assert.equal(await page.evaluate(() => window.attacked), undefined, "nothing of a recording has run");
  const made = await page.evaluate(() => [...document.querySelectorAll("body *")].map((it) => it.localName).filter((it) => ["img", "iframe", "object", "embed", "form", "base", "link", "video", "b64"].includes(it)));
  assert.deepEqual(made, [], "nothing of a recording is an element");
  const handlers = await page.evaluate(() => [...document.querySelectorAll("*")].flatMap((it) => it.getAttributeNames()).filter((it) => it.startsWith("on") || it === "style" || it === "srcdoc"));
  assert.deepEqual(handlers.filter((it) => it !== "style"), [], "no handler stands in an attribute");
  const links = await page.evaluate(() => [...document.querySelectorAll("[href]")].map((it) => it.getAttribute("href")).filter((it) => !it.startsWith("#") && !it.startsWith("data:image/svg+xml,")));
  assert.deepEqual(links, [], "each link leads to this page");
  const turned = await page.evaluate(() => /[\u0000\u202a-\u202e\u2066-\u2069\u2028\u2029]/.test(document.body.innerText));
  assert.equal(turned, false, "characters that turn text around are shown, not obeyed");
  holds(`an attack in each text of ${count} exchanges: no dialog, no request, no message, no element, no handler`);
}

/** The policy is there, and refuses what an injection would do. */
async function policy(page) {
  const refused = await page.evaluate(async () => {
    const seen = [];
    document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
    const script = document.createElement("script");
    try { script.textContent = "window.attacked = 1"; document.body.append(script); } catch { seen.push("trusted types"); }
    try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.attacked=1'>"); } catch { seen.push("markup"); }
    try { await fetch("https://127.0.0.1:9/"); } catch { seen.push("fetch"); }
    // What a tool of the browser evaluates may evaluate; what runs later is the page's own.
    setTimeout(() => { try { (0, eval)("window.attacked = 1"); } catch { seen.push("eval"); } }, 0);
    await new Promise((done) => setTimeout(done, 100));
    return { seen, attacked: window.attacked };
  });
  assert.equal(refused.attacked, undefined, JSON.stringify(refused));
  for (const what of ["markup", "fetch", "eval"]) assert.ok(refused.seen.includes(what), `${what}: ${refused.seen}`);
  holds(`the policy refuses scripts, markup from text, requests and eval (${[...new Set(refused.seen)].join(", ")})`);
}

async function accessible(page, name) {
  // The policy forbids another script in the page: the browser's own tools run it.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const told = "[one.id, one.impact, one.nodes.length, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary]";
  const expression = `axe.run(document, { resultTypes: ["violations"] }).then((it) => JSON.stringify(it.violations.map((one) => ${told})))`;
  const { result } = await session.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  assert.deepEqual(JSON.parse(result.value), [], `${name}: axe has something to say`);
  holds(`axe finds nothing in ${name}`);
}

async function use(page) {
  const rows = page.locator(".item");
  const all = await rows.count();
  // Chips, search, routes.
  const chip = page.locator(".chip.v-changed");
  await chip.click();
  assert.equal(await chip.getAttribute("aria-pressed"), "true");
  assert.deepEqual([...new Set(await page.locator(".item .badge").allInnerTexts())].map((it) => it.replace(/\s/g, "")), ["changed"]);
  await chip.click();
  assert.equal(await rows.count(), all);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.type("nothing like it");
  assert.equal(await page.locator(".nothing").count(), 1);
  assert.match(await page.locator("#found").innerText(), /^0 of /);
  await page.keyboard.press("Control+a");
  await page.keyboard.type("priority");
  assert.ok((await rows.count()) > 0 && (await rows.count()) < all);
  await page.fill("#search", "");
  await page.keyboard.press("Escape");
  // Keys: next, next, before, unfold, fold.
  for (const key of ["j", "j", "k"]) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.activeElement.closest(".item").getAttribute("aria-posinset")), "1");
  await page.keyboard.press("o");
  assert.equal(await page.locator(".item.open .line").first().getAttribute("aria-expanded"), "true");
  const controlled = await page.locator(".item.open .line").first().getAttribute("aria-controls");
  assert.equal(await page.locator(`[id="${controlled}"]`).count(), 1);
  await page.keyboard.press("Enter");
  assert.equal(await page.locator(".item.open").count(), 0);
  // The dialog with the keys, and leaving it.
  await page.keyboard.press("?");
  assert.ok(await page.locator("dialog#keys").evaluate((it) => it.open));
  await page.keyboard.press("Escape");
  assert.ok(!(await page.locator("dialog#keys").evaluate((it) => it.open)));
  // Skip link first, focus seen.
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.reload();
  await page.waitForSelector("html[data-ready]");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  // Side by side and inline.
  const changed = page.locator(".item", { has: page.locator(".badge.v-changed") }).first();
  await changed.locator(".line").click();
  const columns = () => changed.locator(".changes > thead th").count();
  assert.equal(await columns(), 3);
  await page.locator("#view").click();
  assert.equal(await columns(), 2);
  await page.locator("#view").click();
  assert.ok((await changed.locator("del").count()) > 0 && (await changed.locator("ins").count()) > 0);
  assert.ok((await changed.locator(".first").count()) > 0, "the first difference is marked");
  const folds = changed.locator(".fold button");
  const before = await folds.count();
  assert.ok(before > 0, "equal lines are folded");
  await folds.first().click();
  assert.equal(await changed.locator(".fold button").count(), before - 1);
  // What noise set apart has its evidence; equal answers are there once, folded.
  const noisy = page.locator(".item", { has: page.locator(".badge.v-noise") }).first();
  await noisy.locator(".line").click();
  const within = noisy.locator("table", { hasText: "Differences within measured noise" });
  assert.match(await within.innerText(), /model POST \/v1\/chat\/completions\s+dep:model:\/user[^]*30 of 30/);
  for (const word of ["noise", "same"]) {
    const alike = page.locator(".item", { has: page.locator(`.badge.v-${word}`) }).first();
    if ((await alike.locator(".line").getAttribute("aria-expanded")) === "false") await alike.locator(".line").click();
    assert.equal(await alike.locator("h4", { hasText: "Answer, equal on both sides" }).count(), 1, word);
    const answer = alike.locator("details pre[aria-label=Answer]");
    assert.equal(await answer.isVisible(), false, "folded");
    await alike.locator("summary", { hasText: /^Show it, [0-9]+ lines$/ }).click();
    assert.equal(await answer.isVisible(), true);
    assert.match(await answer.innerText(), /note 17/);
  }
  // Copying, and the link of a cluster.
  await page.locator(".clusters .copy").first().click();
  await page.waitForFunction(() => /Copied|Selected/.test(document.querySelector(".clusters .copy").textContent));
  await page.locator(".clusters a.id").first().click();
  const wanted = await page.evaluate(() => location.hash.slice(1));
  assert.ok(await page.locator(`[id="${wanted}"]`).evaluate((it) => it.classList.contains("open")), "a cluster's example unfolds");
  // Colours.
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.locator("#theme").click();
  await page.locator("#theme").click();
  assert.notEqual(await ground(), light);
  await page.locator("#theme").click();
  holds("search, chips, keys, dialog, skip link, side by side and inline, folds, copying, links and colours");
}

/** Unfolds one exchange of each verdict that there is. */
async function unfoldEach(page) {
  for (const word of ["failed", "diverged", "changed", "flaky", "unjudged", "noise", "same"]) {
    const line = page.locator(`.item .line:has(.badge.v-${word})`).first();
    if ((await line.count()) > 0 && (await line.getAttribute("aria-expanded")) === "false") await line.click();
  }
}

async function narrow(page) {
  await unfoldEach(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `nothing is wider than the window: ${wide} px`);
  await page.screenshot({ path: path.join(shots, "narrow.png"), fullPage: true });
  holds("400 px are enough");
}

async function printed(page) {
  await unfoldEach(page);
  await page.emulateMedia({ media: "print" });
  assert.ok(!(await page.locator(".bar-of-list").isVisible()));
  const pdf = await page.pdf({ format: "A4" });
  assert.ok(pdf.length > 10_000);
  fs.writeFileSync(path.join(shots, "printed.pdf"), pdf);
  holds("it prints");
}

async function shot(page, name) {
  await page.screenshot({ path: path.join(shots, name + ".png") });
  await unfoldEach(page);
  await page.screenshot({ path: path.join(shots, name + "-whole.png"), fullPage: true });
}

/** Two runs say whether the second is no worse; two files have neither times nor commands for ids. */
async function others(name, page) {
  if (name === "runs.html") {
    assert.deepEqual((await page.locator(".standings .badge").allInnerTexts()).map((it) => it.trim()), ["inconclusive", "regressed"]);
  } else {
    await page.locator(".item .line").click();
    assert.equal(await page.locator(".timeline").count(), 0);
    assert.equal((await page.locator("body").innerText()).includes("retake show"), false);
    assert.match(await page.locator("#found").innerText(), /^1 pair of files$/);
  }
  await page.screenshot({ path: path.join(shots, name.replace(".html", ".png")), fullPage: true });
  holds(`${name} says what is its own`);
}

/** Bodies that differ where it is not seen: the reader is told where. */
async function alike(page) {
  const items = page.locator(".item");
  const detail = async (at) => {
    await items.nth(at).locator(".line").click();
    return items.nth(at).locator(".detail");
  };
  const rows = (of) => of.locator("table.lines tr:has(td.gone), table.lines tr:has(td.come)");
  // `a` and `a` with a line feed.
  const ended = await detail(0);
  assert.match(await ended.locator("table.changes td.new").first().innerText(), /^a⏎/);
  assert.equal(await ended.locator("table.changes td.new ins").first().innerText().then((text) => text.trim()), "⏎", "what only one has is marked");
  assert.match(await rows(ended).last().innerText(), /\(no line feed at the end\)/);
  assert.match(await ended.locator("table.changes").innerText(), /on one side alone the last line ends with a line feed/);
  assert.ok((await ended.locator("table.lines .first").count()) > 0, "the first difference is marked");
  assert.equal(await ended.locator(".parted").count(), 0);
  // Bytes of which the beginning is shown, as long as each other and not.
  for (const at of [1, 2]) {
    const bytes = await detail(at);
    const said = await bytes.locator(".parted").innerText();
    assert.match(said, at === 1 ? /^What is shown of both bodies is equal, and they differ behind it: / : /^Not all of both bodies is shown: /);
    assert.match(said, /they part at byte 1,024 \(recorded 0x00 at byte 1024, replayed 0x[0-9a-f]{2} at byte 1024\)\.$/);
    assert.match(await bytes.innerText(), /This is its beginning; all [^]* of it:[^]*retake show case\.retake/);
    assert.equal(await bytes.locator("h4", { hasText: "equal on both sides" }).count(), 0, "nothing is called equal");
  }
  const text = await detail(3);
  assert.match(await text.locator(".parted").innerText(), /they part at byte 34,004 \(recorded “[^]*last[^]*”, replayed “[^]*end[^]*”\)\.$/);
  await page.screenshot({ path: path.join(shots, "alike.png"), fullPage: true });
  holds("a line feed at the end, and a difference behind what is shown, are seen");
}

/** Until the list can be used, and until the last of ten thousand is there. */
async function many(page) {
  const times = [];
  for (let at = 0; at < OPENED; at += 1) {
    await page.reload({ waitUntil: "commit" });
    await page.waitForSelector("html[data-ready]");
    times.push(await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime));
  }
  times.sort((one, other) => one - other);
  const median = times[Math.floor(OPENED / 2)];
  const size = fs.statSync(path.join(folder, "many.html")).size;
  console.log(`measured: ${(size / 2 ** 20).toFixed(1)} MiB with ten thousand exchanges can be used after ${median.toFixed(0)} ms (median of ${OPENED}; ${times.map((it) => it.toFixed(0)).join(", ")})`);
  const rows = await page.locator(".item").count();
  assert.ok(rows < 500, `${rows} rows are made, and not all`);
  const took = await page.evaluate(async () => {
    const began = performance.now();
    const search = document.getElementById("search");
    search.value = "tickets 99";
    search.dispatchEvent(new Event("input"));
    return performance.now() - began;
  });
  await page.fill("#search", "");
  await page.evaluate(() => document.getElementById("rows").lastElementChild.scrollIntoView({ block: "end", behavior: "instant" }));
  await page.waitForFunction(() => [...document.querySelectorAll(".item")].some((it) => it.getAttribute("aria-posinset") === it.getAttribute("aria-setsize")));
  console.log(`measured: a search through ten thousand takes ${took.toFixed(0)} ms`);
  assert.ok(median <= OPEN_MS_MAX, `${median} ms`);
  assert.ok(took < 500, `${took} ms`);
  holds("ten thousand exchanges open within a second, and only those in view are made");
}

await opened("attack.html", {}, attack);
// Refusals are told in the console: they are wanted here, and looked at one by one.
await opened("few.html", {}, async (page) => { page.removeAllListeners("console"); page.removeAllListeners("request"); await policy(page); });
await opened("few.html", {}, use);
for (const colorScheme of ["light", "dark"]) {
  await opened("few.html", { colorScheme }, async (page) => { await shot(page, colorScheme); await accessible(page, colorScheme); });
}
await opened("few.html", { viewport: { width: 400, height: 860 } }, async (page) => { await narrow(page); await accessible(page, "400 px"); });
await opened("few.html", { reducedMotion: "reduce" }, async (page) => assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior), "auto"));
await opened("few.html", {}, printed);
for (const name of ["runs.html", "files.html"]) {
  await opened(name, {}, async (page) => { await others(name, page); await accessible(page, name); });
}
await opened("alike.html", {}, async (page) => { await alike(page); await accessible(page, "alike.html"); });
await opened("many.html", {}, many);
