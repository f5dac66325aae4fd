// Charts, each with the same in words or in a table beside it.

// An exchange with its calls and chunks, both sides on one scale.
function timeline(look) {
  const sides = [["recorded", look.recorded], ["replayed", look.replayed]].filter(([, side]) => side && side.took_ns !== undefined);
  if (sides.length === 0) return [];
  const longest = Math.max(1, ...sides.map(([, side]) => Math.max(side.took_ns, ...(side.calls || []).map((call) => call.began_ns + call.took_ns))));
  const at = (ns) => (Math.max(0, Math.min(1, ns / longest)) * 100).toFixed(3) + "%";
  const bar = (name, from, to, y, height) => drawn("rect", { class: name, x: at(from), width: at(Math.max(to - from, longest / 400)), y, height, rx: 1 });
  const rows = [];
  for (const [name, side] of sides) {
    const answered = side.answered_ns === undefined ? side.took_ns : side.answered_ns;
    rows.push(element("div", { class: "label side" }, name));
    rows.push(drawn("svg", { "aria-hidden": "true" }, bar("wait", 0, answered, 5, 10), side.answered_ns !== undefined && bar("send", answered, side.took_ns, 5, 10),
      (side.chunks || []).map(([ns]) => drawn("line", { class: "tick", x1: at(ns), x2: at(ns), y1: 2, y2: 18 }))));
    for (const call of side.calls || []) {
      const isBad = call.status === undefined || call.status >= 400;
      rows.push(element("div", { class: "label" }, line(call.dependency + " " + call.title)));
      rows.push(drawn("svg", { "aria-hidden": "true" }, bar(isBad ? "call-bad" : "call", call.began_ns, call.began_ns + call.took_ns, 7, 6)));
    }
  }
  rows.push(element("div", {}), element("div", { class: "axis", "aria-hidden": "true" }, element("span", {}, "0"), element("span", {}, span(longest / 2)), element("span", {}, span(longest))));
  const key = (name, words) => element("span", {}, drawn("svg", { "aria-hidden": "true", viewBox: "0 0 22 10" }, drawn("rect", { class: name, y: 1, width: 22, height: 8, rx: 1 })), words);
  const chunks = drawn("svg", { "aria-hidden": "true", viewBox: "0 0 22 10" }, [4, 9, 18].map((x) => drawn("line", { class: "tick", x1: x, x2: x, y1: 0, y2: 10 })));
  return [
    element("h4", {}, "Timeline"),
    element("div", { class: "timeline", role: "img", "aria-label": sides.map(([name, side]) => timelineWords(name, side)).join(" ") }, rows),
    element("div", { class: "legend" }, key("wait", "waiting for the answer"), key("send", "answer coming"), element("span", {}, chunks, "a part of it came"), key("call", "call of a dependency"), key("call-bad", "call with an error")),
  ];
}

function timelineWords(name, side) {
  const answered = side.answered_ns === undefined ? "no answer came" : "the answer began after " + span(side.answered_ns);
  const chunks = side.chunks && side.chunks.length ? " in " + many(side.chunks.length + (side.chunks_more || 0), "part") : "";
  const calls = (side.calls || []).length;
  return name + ": " + answered + chunks + ", ended after " + span(side.took_ns) + ", " + many(calls, "call") + " of dependencies.";
}

// The repeats in a row, one letter each; of very many, one letter for several: the gravest.
const LETTERS = { ".": ["ok", "same"], c: ["bad", "changed"], f: ["bad", "failed"], d: ["div", "diverged"], "?": ["open", "not judged"], "-": ["open", "not sent"] };
const STRIP_MAX = 1200;

function strip(verdicts) {
  const step = Math.ceil(verdicts.length / STRIP_MAX);
  const order = "fdc?-.";
  const spans = [];
  for (let at = 0; at < verdicts.length; at += step) {
    const part = verdicts.slice(at, at + step);
    const letter = [...order].find((it) => part.includes(it)) || "?";
    const last = spans[spans.length - 1];
    if (last && last.letter === letter) last.count += 1;
    else spans.push({ letter, count: 1 });
  }
  const counts = [...order].map((it) => [it, verdicts.split(it).length - 1]).filter(([, count]) => count > 0);
  const words = counts.map(([it, count]) => count.toLocaleString("en") + " " + LETTERS[it][1]).join(", ");
  return [
    element("div", { class: "strip", role: "img", tabindex: "0", "aria-label": "Repeats in their order: " + words }, spans.map(({ letter, count }) => element("span", { class: LETTERS[letter][0] }, letter.repeat(count)))),
    element("div", { class: "legend" }, counts.map(([it]) => element("span", {}, element("b", { class: "mono" }, it), " " + LETTERS[it][1])), element("span", {}, words + (step > 1 ? "; each letter is the gravest of " + step + " repeats" : ""))),
  ];
}

// A rate with its interval, on a line from none to all.
function rate(estimate) {
  const x = (share) => (share * 100).toFixed(2) + "%";
  const share = estimate.of ? estimate.events / estimate.of : 0;
  const words = estimate.events + " of " + estimate.of + (estimate.of ? ", " + percent(share) + " (" + percent(estimate.low) + " to " + percent(estimate.high) + ")" : "");
  return [words, drawn("svg", { class: "rate", role: "img", "aria-label": words },
    drawn("line", { class: "track", x1: "0%", x2: "100%", y1: 9, y2: 9 }), drawn("line", { class: "span", x1: x(estimate.low), x2: x(estimate.high), y1: 9, y2: 9 }),
    drawn("circle", { class: "dot", cx: x(share), cy: 9, r: 4 }))];
}

// How long exchanges took, recorded against replayed: share that took at most so long, and a table of it.
const QUANTILES = [["fastest", 0], ["p50", 0.5], ["p90", 0.9], ["p95", 0.95], ["p99", 0.99], ["slowest", 1]];
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];

function latency(rows) {
  const both = rows.filter((row) => row[ROW.RECORDED_US] >= 0 && row[ROW.REPLAYED_US] >= 0);
  if (both.length === 0) return element("p", { class: "note" }, "No exchange here has both times.");
  const sorted = (at) => Float64Array.from(both, (row) => Math.max(1, row[at])).sort();
  const sides = [["recorded", sorted(ROW.RECORDED_US)], ["replayed", sorted(ROW.REPLAYED_US)]];
  const number = (ns) => element("td", { class: "number" }, span(ns));
  const body = QUANTILES.map(([name, share]) => {
    const [one, other] = sides.map(([, times]) => quantile(times, share));
    return element("tr", {}, element("th", { scope: "row" }, name), number(one * 1e3), number(other * 1e3), element("td", { class: "number" }, (other / one).toFixed(2) + "×"));
  });
  return element("div", {}, distribution(sides, both.length),
    element("div", { class: "wide times" }, table({ class: "rows" }, "Times of " + many(both.length, "exchange"), [unseen("Quantile"), "Recorded", "Replayed", "Replayed / recorded"], body)));
}

function distribution(sides, count) {
  const [width, height, left, bottom] = [860, 220, 44, 24];
  const low = Math.log10(Math.min(...sides.map(([, times]) => times[0])));
  const high = Math.max(low + 0.3, Math.log10(Math.max(...sides.map(([, times]) => times[times.length - 1]))));
  const x = (us) => left + ((Math.log10(us) - low) / (high - low)) * (width - left - 90);
  const y = (share) => 10 + (1 - share) * (height - bottom - 10);
  const grid = [];
  for (let power = Math.ceil(low); power <= high; power += 1) {
    grid.push(drawn("line", { class: "grid", x1: x(10 ** power), x2: x(10 ** power), y1: 10, y2: height - bottom }), drawn("text", { x: x(10 ** power), y: height - 8, "text-anchor": "middle" }, span(10 ** power * 1e3).replace(".0 ", " ").replace(".00 ", " ")));
  }
  for (const share of [0, 0.5, 0.9, 1]) {
    grid.push(drawn("line", { class: "grid", x1: left, x2: width - 90, y1: y(share), y2: y(share) }), drawn("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, share * 100 + " %"));
  }
  const path = (times) => {
    const steps = Math.min(times.length, 240);
    let text = "M" + x(times[0]).toFixed(1) + " " + y(0).toFixed(1);
    for (let at = 1; at <= steps; at += 1) text += "H" + x(quantile(times, at / steps)).toFixed(1) + "V" + y(at / steps).toFixed(1);
    return text;
  };
  const label = (name, times, dy) => drawn("text", { class: name, x: width - 84, y: y(1) + dy }, name);
  const words = "Share of " + many(count, "exchange") + " that took at most so long. " + sides.map(([name, times]) => name + ": half within " + span(quantile(times, 0.5) * 1e3) + ", 95 % within " + span(quantile(times, 0.95) * 1e3)).join("; ") + ".";
  return drawn("svg", { class: "chart", viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": words }, grid,
    sides.map(([name, times], at) => [drawn("path", { class: name, d: path(times) }), label(name, times, at ? 18 : 4)]).flat());
}

