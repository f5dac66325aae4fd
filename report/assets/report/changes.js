// What differs, place by place.

const isWord = (character) => character !== undefined && /[\p{L}\p{N}_]/u.test(character);

// Where two texts part: common beginning, what is one's own, common end; words are taken whole.
function parts(one, other) {
  let begin = 0;
  const shorter = Math.min(one.length, other.length);
  while (begin < shorter && one[begin] === other[begin]) begin += 1;
  if (begin > 0 && /[\ud800-\udbff]/.test(one[begin - 1])) begin -= 1;
  let end = 0;
  while (end < shorter - begin && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  if (end > 0 && /[\udc00-\udfff]/.test(one[one.length - end])) end -= 1;
  const ends = (text) => isWord(text[begin]) || isWord(text[text.length - end - 1]);
  if (ends(one) || ends(other)) {
    while (begin > 0 && isWord(one[begin - 1])) begin -= 1;
    while (end > 0 && isWord(one[one.length - end])) end -= 1;
  }
  return { begin, end };
}

// Most words of a text of which each is looked for in the other; longer ones part once and meet once.
const WORDS_MAX = 600;

const wordsOf = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^]/gu) || [];

// [[text, isOwn], …]: what a text shares with another one and what is its own, word by word.
function runs(text, other) {
  const [words, others] = [wordsOf(text), wordsOf(other)];
  if (words.length > WORDS_MAX || others.length > WORDS_MAX) {
    const { begin, end } = parts(text, other);
    return [[text.slice(0, begin), false], [text.slice(begin, text.length - end), true], [text.slice(text.length - end), false]];
  }
  const shared = new Set(aligned(words, others).filter(([one, two]) => one !== undefined && two !== undefined).map(([one]) => one));
  const made = [];
  words.forEach((word, at) => {
    const last = made[made.length - 1];
    if (last && last[1] === !shared.has(at)) last[0] += word;
    else made.push([word, !shared.has(at)]);
  });
  // A space or a dash between two words of its own is its own.
  made.forEach((run, at) => { if (at > 0 && at < made.length - 1 && !/[\p{L}\p{N}_]/u.test(run[0])) run[1] = true; });
  return made;
}

// A text with what is its own marked.
function marked(text, other, name, write) {
  if (other === undefined) return [write(text)];
  const made = [];
  for (const [run, isOwn] of runs(text, other)) {
    const last = made[made.length - 1];
    if (last && last[1] === isOwn) last[0] += run;
    else if (run) made.push([run, isOwn]);
  }
  return made.map(([run, isOwn]) => (isOwn ? element(name, {}, write(run)) : write(run)));
}

// Both values of a change; of long texts the part around their first difference.
function valuesOf(change) {
  const { recorded, replayed, text } = change;
  const isLong = (shown) => shown && shown.len > shown.text.length;
  if (text && (isLong(recorded) || isLong(replayed))) return [text.recorded_excerpt, text.replayed_excerpt];
  return [recorded && recorded.text, replayed && replayed.text];
}

// A line feed at the end that only one of two values has is shown: nobody sees it otherwise.
function withEnds(one, other) {
  if (one === undefined || other === undefined || one.endsWith("\n") === other.endsWith("\n")) return [one, other];
  return [one, other].map((text) => text.replace(/\n$/, "⏎\n"));
}

function placeOf(change) {
  const words = [];
  if (change.event !== undefined) words.push(element("div", { class: "dim" }, "event " + change.event));
  words.push(change.pointer ? code(change.pointer) : element("span", { class: "dim" }, "the whole body"));
  if (change.replayed_pointer !== undefined) words.push(element("div", { class: "dim" }, "now ", code(change.replayed_pointer)));
  return words;
}

const SIGNS = { added: ["+", "added"], removed: ["−", "removed"], changed: ["≠", "changed"], moved: ["↕", "moved"], "type-changed": ["≠", "type changed"] };

function kindOf(change) {
  const [sign, word] = SIGNS[change.kind] || ["≠", String(change.kind).replace(/-/g, " ")];
  const name = change.kind === "added" || change.kind === "removed" ? change.kind : "changed";
  return element("span", {}, element("span", { class: "sign " + name, "aria-hidden": "true" }, sign), " ", word);
}

// What else is known of a change: what its values look like, how far two vectors are apart, where two texts part.
function knownWords(change) {
  const words = [];
  if (change.format) words.push(line(change.format).replace(/-/g, " "));
  if (change.vector) {
    const { len, differing, max_abs: most, cosine } = change.vector;
    words.push(differing + " of " + many(len, "number") + " differ" + (most === undefined ? "" : ", by at most " + most) + (cosine === undefined ? "" : ", cosine " + cosine));
  }
  if (change.text) words.push(textWords(change.text));
  return words;
}

function textWords(text) {
  const words = ["parts at byte " + text.first_difference.toLocaleString("en")];
  if (text.words_removed !== undefined) words.push(many(text.words_removed, "word") + " gone, " + text.words_added + " new");
  return words.join("; ");
}

function changesTable(comparison) {
  const rows = [];
  for (const change of comparison.changes || []) rows.push(...changeRows(change));
  const heads = isSplit ? ["Place", "Recorded", "Replayed"] : ["Place", "Recorded − and replayed +"];
  return table({ class: "changes" }, "Changes, place by place", heads, rows);
}

function changeRows(change) {
  const [recorded, replayed] = withEnds(...valuesOf(change));
  const old = recorded === undefined ? null : element("code", {}, marked(recorded, replayed, "del", lines));
  const now = replayed === undefined ? null : element("code", {}, marked(replayed, recorded, "ins", lines));
  const head = element("th", { scope: "row" }, placeOf(change),
    element("div", { class: "kind" }, kindOf(change), knownWords(change).map((words) => element("span", { class: "dim" }, ", " + words))));
  const nothing = () => element("span", { class: "dim" }, "nothing");
  const values = isSplit
    ? [element("td", { class: old ? "old" : "" }, old || nothing()), element("td", { class: now ? "new" : "" }, now || nothing())]
    : [element("td", { class: "stack" }, old && element("div", { class: "old" }, old), now && element("div", { class: "new" }, now))];
  const rows = [element("tr", {}, head, values)];
  if (change.text && change.text.hunks) {
    rows.push(element("tr", {}, element("td", { colspan: isSplit ? 3 : 2 }, hunks(change.text))));
  }
  return rows;
}

// Groups of lines, the first of them marked as where the texts part.
function hunks(text) {
  const rows = [];
  const across = isSplit ? 6 : 4;
  text.hunks.forEach((hunk, number) => {
    if (number === 0) rows.push(element("tr", { class: "mark" }, element("td", { colspan: across }, firstMark())));
    const removed = (hunk.removed || []).map((text, at) => ({ number: hunk.recorded_line + at, text }));
    const added = (hunk.added || []).map((text, at) => ({ number: hunk.replayed_line + at, text }));
    rows.push(...pairRows(removed, added));
    if (hunk.lines_more) rows.push(noteRow(many(hunk.lines_more, "line") + " more", across));
    else if (isEndAlone(hunk)) rows.push(noteRow("on one side alone the last line ends with a line feed", across));
    if (number < text.hunks.length - 1) rows.push(noteRow("⋯", across));
  });
  if (text.hunks_more) rows.push(noteRow(many(text.hunks_more, "place") + " more", across));
  return linesTable("Lines that differ", rows);
}

// Lines are listed without their ends: where the last ones look alike, it is their ends that differ.
function isEndAlone({ removed = [], added = [] }) {
  const last = removed[removed.length - 1];
  return last !== undefined && last === added[added.length - 1] && !last.endsWith("…");
}

const firstMark = () => element("span", { class: "first" }, "first difference");

function noteRow(words, across) {
  return element("tr", { class: "fold" }, element("td", { colspan: across }, words));
}

