// Two texts line by line, side by side or inline, equal runs folded.

// Equal lines that are shown around a difference, and the shortest run of more that is worth folding.
const AROUND = 3;
const FOLD_MIN = 4;
// Differences up to which the shortest list of changes is looked for: Myers' algorithm keeps the square of it.
const EDITS_MAX = 500;

// [[one, other], …]: numbers of lines that stand against each other; undefined for none.
function aligned(one, other) {
  let begin = 0;
  while (begin < one.length && begin < other.length && one[begin] === other[begin]) begin += 1;
  let end = 0;
  while (end < Math.min(one.length, other.length) - begin && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  const pairs = [];
  for (let at = 0; at < begin; at += 1) pairs.push([at, at]);
  pairs.push(...middle(one.slice(begin, one.length - end), other.slice(begin, other.length - end)).map(
    ([left, right]) => [left === undefined ? left : left + begin, right === undefined ? right : right + begin]));
  for (let at = end; at > 0; at -= 1) pairs.push([one.length - at, other.length - at]);
  return pairs;
}

// E. W. Myers, An O(ND) difference algorithm, Algorithmica 1 (1986), figure 2; past EDITS_MAX everything is taken as changed.
function middle(one, other) {
  const [n, m] = [one.length, other.length];
  const reach = new Int32Array(2 * EDITS_MAX + 3);
  const base = EDITS_MAX + 1;
  const trace = [];
  for (let edits = 0; edits <= Math.min(n + m, EDITS_MAX); edits += 1) {
    trace.push(reach.slice(base - edits - 1, base + edits + 2));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const down = diagonal === -edits || (diagonal !== edits && reach[base + diagonal - 1] < reach[base + diagonal + 1]);
      let x = down ? reach[base + diagonal + 1] : reach[base + diagonal - 1] + 1;
      while (x < n && x - diagonal < m && one[x] === other[x - diagonal]) x += 1;
      reach[base + diagonal] = x;
      if (x >= n && x - diagonal >= m) return walkedBack(trace, n, m);
    }
  }
  return [...one.map((_, at) => [at, undefined]), ...other.map((_, at) => [undefined, at])];
}

function walkedBack(trace, n, m) {
  const pairs = [];
  let [x, y] = [n, m];
  for (let edits = trace.length - 1; edits >= 0; edits -= 1) {
    const reach = (diagonal) => trace[edits][diagonal + edits + 1];
    const diagonal = x - y;
    const down = diagonal === -edits || (diagonal !== edits && reach(diagonal - 1) < reach(diagonal + 1));
    const before = down ? diagonal + 1 : diagonal - 1;
    const fromX = edits === 0 ? 0 : reach(before);
    const fromY = edits === 0 ? 0 : fromX - before;
    while (x > fromX && y > fromY) pairs.push([x -= 1, y -= 1]);
    if (edits === 0) break;
    if (down) pairs.push([undefined, y -= 1]);
    else pairs.push([x -= 1, undefined]);
  }
  return pairs.reverse();
}

// Rows of a table for two texts that were aligned.
function textRows(recorded, replayed) {
  const [one, other] = [recorded.split("\n"), replayed.split("\n")];
  const rows = [];
  let isFirst = true;
  let equal = [];
  let gone = [];
  let come = [];
  const flush = (isLast) => {
    if (gone.length + come.length === 0) return;
    rows.push({ folds: equal, isLast: false });
    equal = [];
    if (isFirst) rows.push({ row: element("tr", { class: "mark" }, element("td", { colspan: isSplit ? 6 : 4 }, firstMark())) });
    isFirst = false;
    rows.push(...pairRows(gone, come).map((row) => ({ row })));
    gone = [];
    come = [];
  };
  for (const [left, right] of aligned(one, other)) {
    if (left !== undefined && right !== undefined) {
      flush();
      equal.push({ left: left + 1, right: right + 1, text: one[left] });
    } else if (left !== undefined) {
      gone.push({ number: left + 1, text: one[left] });
    } else {
      come.push({ number: right + 1, text: other[right] });
    }
  }
  flush();
  rows.push({ folds: equal, isLast: true });
  const made = [];
  rows.forEach(({ row, folds, isLast }, at) => {
    if (row) made.push(row);
    else made.push(...equalRows(folds, at === 0 ? 0 : AROUND, isLast ? 0 : AROUND));
  });
  return made;
}

// Equal lines, the middle of a long run folded behind a button.
function equalRows(run, before, after) {
  const isAllEqual = before === 0 && after === 0;
  const hidden = run.length - before - after;
  if (isAllEqual || hidden < FOLD_MIN) return run.map(equalRow);
  const button = element("button", { type: "button" }, "Show " + many(hidden, "equal line"));
  const fold = element("tr", { class: "fold" }, element("td", { colspan: isSplit ? 6 : 4 }, button));
  button.addEventListener("click", () => fold.replaceWith(...run.slice(before, run.length - after).map(equalRow)));
  return [...run.slice(0, before).map(equalRow), fold, ...run.slice(run.length - after).map(equalRow)];
}

function equalRow({ left, right, text }) {
  return isSplit
    ? element("tr", {}, cells(left, "", " ", lines(text)), cells(right, "", " ", lines(text)))
    : element("tr", {}, element("td", { class: "n" }, left), element("td", { class: "n" }, right), element("td", { class: "s" }), element("td", {}, lines(text)));
}

function cells(number, name, sign, text) {
  return [element("td", { class: "n " + name }, number), element("td", { class: "s " + name }, sign), element("td", { class: name }, text)];
}

// Lines that stand where other lines stood, one beside the other.
function pairRows(gone, come) {
  const rows = [];
  const own = (list, others, name, at) => marked(list[at].text, others[at] && others[at].text, name, lines);
  if (isSplit) {
    for (let at = 0; at < Math.max(gone.length, come.length); at += 1) {
      rows.push(element("tr", {},
        gone[at] ? cells(gone[at].number, "gone", "−", own(gone, come, "del", at)) : cells("", "none", "", ""),
        come[at] ? cells(come[at].number, "come", "+", own(come, gone, "ins", at)) : cells("", "none", "", "")));
    }
    return rows;
  }
  const inline = (entry, name, sign, text) => element("tr", {},
    element("td", { class: "n " + name }, sign === "−" ? entry.number : ""), element("td", { class: "n " + name }, sign === "+" ? entry.number : ""),
    element("td", { class: "s " + name }, sign), element("td", { class: name }, text));
  gone.forEach((entry, at) => rows.push(inline(entry, "gone", "−", own(gone, come, "del", at))));
  come.forEach((entry, at) => rows.push(inline(entry, "come", "+", own(come, gone, "ins", at))));
  return rows;
}

function linesTable(caption, rows) {
  const columns = isSplit ? ["n", "s", "", "n", "s", ""] : ["n", "n", "s", ""];
  const side = (name) => [element("th", { scope: "col" }, unseen("line")), element("th", { scope: "col" }, unseen("sign")), element("th", { scope: "col" }, name)];
  const heads = isSplit
    ? [side("Recorded"), side("Replayed")]
    : [element("th", { scope: "col" }, unseen("recorded line")), element("th", { scope: "col" }, unseen("replayed line")), element("th", { scope: "col" }, unseen("sign")), element("th", { scope: "col" }, "Recorded − and replayed +")];
  const made = element("table", { class: "lines" }, element("caption", { class: "unseen" }, caption),
    element("colgroup", {}, columns.map((name) => element("col", { class: name }))),
    element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows));
  return element("div", { class: "frame", tabindex: "0", role: "group", "aria-label": caption }, made);
}

// Heads and bodies of both answers.
function messages(row, detail) {
  const { recorded, replayed } = detail.look;
  const made = [];
  const pair = (name, of) => {
    const [one, other] = [recorded && recorded[of], replayed && replayed[of]];
    if (!one && !other) return;
    const isBoth = of === "response" && one && other;
    // What is shown may look alike where not all is shown: a last line's end, what is behind a beginning.
    const { verdict, comparison } = detail.result;
    const differs = verdict === "changed" || verdict === "failed" || (comparison && ((comparison.changes || []).length > 0 || comparison.changes_more > 0));
    const [left, right] = isBoth ? wholes(one, other) : [one, other].map((content) => content && whole(content));
    const isAlike = isBoth && !differs && left === right;
    const equal = of === "response" && one && (isAlike || detail.result.verdict === "same") ? equalWords(detail.result, isAlike && (one.cut || other.cut)) : "";
    made.push(element("h4", {}, equal ? name + ", " + equal : one && other ? name : one ? name + ", as recorded" : name + ", as replayed"));
    const content = isBoth && !isAlike ? linesTable(name + " line by line", textRows(left, right))
      : element("pre", { tabindex: "0", role: "group", "aria-label": name }, lines(one ? left : right));
    const summary = () => (isBoth && !isAlike ? "Show both, line by line" : "Show it, " + many(left.split("\n").length, "line"));
    if (isBoth) made.push(...partedNote(comparison, one, other));
    made.push(equal ? element("details", {}, element("summary", {}, summary()), content) : content);
    const cut = [[one, data.cases[row[ROW.CASE]].recorded, row[ROW.ID]], [other, data.cases[row[ROW.CASE]].replayed, detail.result.replayed_id]];
    for (const [content, source, id] of cut) {
      if (content && content.cut && isOfFiles) made.push(element("p", { class: "note" }, "This is the beginning of ", code(source), ", which has " + bytes(content.len) + "."));
      else if (content && content.cut && id) made.push(element("p", { class: "note" }, "This is its beginning; all " + bytes(content.len) + " of it: ", command("retake show " + source + " " + short(id))));
    }
  };
  pair(isOfFiles ? "Both files" : "Answer", "response");
  pair("Request", "request");
  return made;
}

// What is said of two answers that are equal, or were called so.
function equalWords({ verdict, comparison }, isCut) {
  const isByRules = verdict === "same" && comparison && comparison.rules_used && comparison.rules_used.length > 0;
  return "equal on both sides" + (isByRules ? " but for what rules leave out" : isCut ? " as far as it is shown" : "");
}

// Where two bodies part that are shown alike, or not all of which is shown.
function partedNote(comparison, one, other) {
  const inBody = ((comparison && comparison.changes) || []).filter(({ pointer }) => pointer !== "status" && !pointer.startsWith("header:"));
  const isCut = one.cut || other.cut;
  const isAlike = one.body === other.body && Boolean(one.unended) === Boolean(other.unended);
  const parted = inBody.find((change) => !change.pointer && change.text);
  if (inBody.length === 0 || !(isAlike || (isCut && parted))) return [];
  const shown = !isAlike ? "Not all of both bodies is shown" : isCut ? "What is shown of both bodies is equal, and they differ behind it" : "Both bodies are shown alike, and they differ";
  const where = parted ? ": they part at byte " + parted.text.first_difference.toLocaleString("en") + " (recorded " + excerpt(parted.text.recorded_excerpt) + ", replayed " + excerpt(parted.text.replayed_excerpt) + ")" : "";
  return [element("p", { class: "note parted" }, shown + where + ".")];
}

const excerpt = (text) => (/^(0x[0-9a-f]{2} at byte|ends after) [0-9]+/.test(text) ? text : "“" + line(text) + "”");

// Both texts; of one that ends without a line feed where the other has one, that is said.
function wholes(one, other) {
  const isOdd = !one.cut && !other.cut && Boolean(one.unended) !== Boolean(other.unended);
  return [one, other].map((content) => whole(content) + (isOdd && content.unended ? "\n(no line feed at the end)" : ""));
}

const whole = (content) => (content.head && content.head + "\n\n") + content.body.replace(/\n$/, "");

