// The list of exchanges: searched, filtered, sorted; rows are made when they come near the window.

const filter = { text: "", verdicts: new Set(), route: "", case: "", sort: "gravest" };
const opened = new Set();
let shownRows = [];
let watcher;
let rowHeight = 33;
const ROWS_OF_BLOCK = 50;

const haystacks = data.rows.map((row) => (row[ROW.TITLE] + " " + row[ROW.ID] + " " + data.routes[row[ROW.ROUTE]] + " " + row[ROW.WHY] + " " + wordOf(row)).toLowerCase());

function matches(row, number) {
  if (filter.verdicts.size > 0 && !filter.verdicts.has(row[ROW.VERDICT])) return false;
  if (filter.route !== "" && row[ROW.ROUTE] !== Number(filter.route)) return false;
  if (filter.case !== "" && row[ROW.CASE] !== Number(filter.case)) return false;
  return filter.text === "" || filter.text.split(/\s+/).every((word) => haystacks[number].includes(word));
}

const slower = (row) => (row[ROW.RECORDED_US] > 0 && row[ROW.REPLAYED_US] > 0 ? row[ROW.REPLAYED_US] / row[ROW.RECORDED_US] : -1);
const SORTS = {
  gravest: ["gravest first", (one, other) => one[ROW.VERDICT] - other[ROW.VERDICT]],
  recorded: ["as recorded", () => 0],
  slowest: ["slowest in the replay", (one, other) => other[ROW.REPLAYED_US] - one[ROW.REPLAYED_US]],
  slower: ["most slowed down", (one, other) => slower(other) - slower(one)],
};

function apply() {
  const compare = SORTS[filter.sort][1];
  shownRows = [];
  data.rows.forEach((row, number) => { if (matches(row, number)) shownRows.push(number); });
  if (filter.sort !== "recorded") shownRows.sort((one, other) => compare(data.rows[one], data.rows[other]) || one - other);
  byId("found").textContent = shownRows.length === data.rows.length ? results(shownRows.length) : shownRows.length.toLocaleString("en") + " of " + results(data.rows.length);
  layOut();
}

// Places for all rows; each is filled when it comes near.
function layOut() {
  const list = byId("rows");
  if (watcher) watcher.disconnect();
  watcher = new IntersectionObserver((seen) => seen.filter((it) => it.isIntersecting).forEach((it) => fillBlock(it.target)), { rootMargin: "900px 0px" });
  const made = [];
  for (let at = 0; at < shownRows.length; at += ROWS_OF_BLOCK) {
    const block = element("div", { class: "block", role: "none", "data-at": at });
    block.style.height = Math.min(ROWS_OF_BLOCK, shownRows.length - at) * rowHeight + "px";
    made.push(block);
  }
  if (made.length === 0) made.push(element("p", { class: "nothing", role: "listitem" }, data.rows.length ? "Nothing matches." : "No exchange was compared."));
  list.replaceChildren(...made);
  if (shownRows.length > 0) {
    fillBlock(made[0]);
    made.slice(1).forEach((block) => watcher.observe(block));
  }
}

function fillBlock(block) {
  if (block.firstChild) return;
  watcher.unobserve(block);
  const at = Number(block.dataset.at);
  block.append(...shownRows.slice(at, at + ROWS_OF_BLOCK).map((number, offset) => item(number, at + offset)));
  block.style.height = "";
  const first = block.firstElementChild;
  if (at === 0 && !first.classList.contains("open") && first.offsetHeight > 0) rowHeight = first.offsetHeight;
}

function item(number, position) {
  const row = data.rows[number];
  const [recorded, replayed] = [row[ROW.RECORDED], row[ROW.REPLAYED]].map((status) => status || "–");
  const times = [row[ROW.RECORDED_US], row[ROW.REPLAYED_US]].map((us) => (us < 0 ? "–" : span(us * 1e3)));
  const isOther = recorded !== replayed;
  const button = element("button", { type: "button", class: "line", "aria-expanded": "false" },
    badge(wordOf(row)), element("span", { class: "title" }, line(row[ROW.TITLE])),
    element("span", { class: isOther ? "status other" : "status" }, isOther ? recorded + " → " + replayed : recorded),
    element("span", { class: "why" }, line(row[ROW.WHY])),
    element("span", { class: "took" }, unseen("took "), times[0] === "–" && times[1] === "–" ? "" : times.join(" → ")),
    element("span", { class: "id" }, short(row[ROW.ID])));
  const made = element("div", { class: "item", role: "listitem", id: anchorOf(row), "data-number": number, "aria-setsize": shownRows.length, "aria-posinset": position + 1 }, element("h3", {}, button));
  button.addEventListener("click", () => toggle(made));
  if (opened.has(number)) unfold(made);
  return made;
}

function toggle(made) {
  const number = Number(made.dataset.number);
  if (opened.has(number)) {
    opened.delete(number);
    made.classList.remove("open");
    made.querySelector(".line").setAttribute("aria-expanded", "false");
    made.querySelector(".detail").remove();
  } else {
    opened.add(number);
    unfold(made);
  }
}

function unfold(made) {
  const row = data.rows[made.dataset.number];
  const detail = detailView(Number(made.dataset.number));
  detail.id = "d-" + anchorOf(row);
  made.classList.add("open");
  made.querySelector(".line").setAttribute("aria-expanded", "true");
  made.querySelector(".line").setAttribute("aria-controls", detail.id);
  made.append(detail);
  reachable(detail);
}

// Shows again what is unfolded, after side by side became inline or the other way round.
function refresh() {
  document.querySelectorAll(".item.open").forEach((made) => {
    made.querySelector(".detail").remove();
    unfold(made);
  });
}

// Makes the row of an exchange and brings it into view; filters that hide it are given up.
function reveal(number) {
  if (!shownRows.includes(number)) {
    clearFilters();
    apply();
  }
  const position = shownRows.indexOf(number);
  const block = byId("rows").children[Math.floor(position / ROWS_OF_BLOCK)];
  fillBlock(block);
  const made = block.children[position % ROWS_OF_BLOCK];
  made.scrollIntoView({ block: "start", behavior: "instant" });
  return made;
}

function clearFilters() {
  Object.assign(filter, { text: "", route: "", case: "" });
  filter.verdicts.clear();
  byId("list").querySelectorAll("input, select").forEach((it) => { it.value = it.id === "sort" ? filter.sort : ""; });
  byId("list").querySelectorAll(".chip").forEach((it) => it.setAttribute("aria-pressed", "false"));
}

function buildList() {
  const search = element("input", { type: "search", id: "search", placeholder: "Search (press /)", "aria-label": "Search by request, id, place or value", autocomplete: "off", spellcheck: "false" });
  search.addEventListener("input", () => { filter.text = search.value.trim().toLowerCase(); apply(); });
  const counts = data.verdicts.map((_, number) => data.rows.reduce((sum, row) => sum + (row[ROW.VERDICT] === number), 0));
  const chips = data.verdicts.map((word, number) => {
    if (counts[number] === 0) return null;
    const chip = element("button", { type: "button", class: "chip v-" + word, "aria-pressed": "false" }, element("span", { class: "glyph", "aria-hidden": "true" }), word + " ", counts[number].toLocaleString("en"));
    chip.addEventListener("click", () => {
      const isOn = !filter.verdicts.delete(number);
      if (isOn) filter.verdicts.add(number);
      chip.setAttribute("aria-pressed", String(isOn));
      apply();
    });
    return chip;
  });
  const choice = (id, label, options, first) => {
    const made = element("select", { id, "aria-label": label }, first && element("option", { value: "" }, first), options.map(([value, words]) => element("option", { value }, line(words))));
    made.addEventListener("change", () => { filter[id] = made.value; apply(); });
    return made;
  };
  const routes = data.routes.map((name, number) => [number, name]).sort((one, other) => (one[1] < other[1] ? -1 : 1));
  const view = element("button", { type: "button", id: "view" });
  const sayView = () => { view.textContent = isSplit ? "Side by side" : "Inline"; view.setAttribute("aria-label", "Differences are shown " + (isSplit ? "side by side" : "inline") + "; change"); };
  view.addEventListener("click", () => { isSplit = !isSplit; memory.set("view", isSplit ? "split" : "inline"); sayView(); refresh(); });
  sayView();
  byId("list").append(
    element("div", { class: "bar-of-list", role: "search", "aria-label": "Exchanges" }, search, element("div", { class: "chips", role: "group", "aria-label": "Verdicts" }, chips),
      data.routes.length > 1 && choice("route", "Route", routes, "all routes"),
      data.cases.length > 1 && choice("case", "Case", data.cases.map((it, number) => [number, it.name]), "all cases"),
      choice("sort", "Order", Object.entries(SORTS).map(([name, [words]]) => [name, words])), view,
      element("span", { class: "found", id: "found", role: "status" })),
    element("div", { id: "rows", role: "list", "aria-label": "Exchanges" }));
}

