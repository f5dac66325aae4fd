// One exchange, unfolded.

function detailView(number) {
  const row = data.rows[number];
  const detail = detailOf(number);
  const { result, look } = detail;
  const made = element("div", { class: "detail" });
  made.append(...tools(row, result), ...reasons(result));
  const { comparison } = result;
  if (comparison && (comparison.changes || []).length > 0) {
    made.append(element("h4", {}, "What differs"), changesTable(comparison));
    if (comparison.changes_more) made.append(element("p", { class: "note" }, "and " + many(comparison.changes_more, "change") + " more, in --json"));
  }
  made.append(...noisy(comparison), ...remarks(comparison), ...(look.troubles || []).map((words) => element("p", { class: "reason" }, line(words))));
  made.append(...repeated(result.repeated), ...trajectory(result, look), ...timeline(look), ...messages(row, detail));
  if (detail.without_bodies) made.append(element("p", { class: "note" }, "Heads and bodies are left out: this page has enough of them. The commands above show them."));
  return made;
}

function tools(row, result) {
  const names = data.cases[row[ROW.CASE]];
  if (isOfFiles) return [];
  const commands = [names.command && command(names.command + " " + short(result.id)), command("retake show " + names.recorded + " " + short(result.id))];
  if (result.replayed_id) commands.push(command("retake show " + names.replayed + " " + short(result.replayed_id)));
  return [element("div", { class: "tools" }, element("a", { href: "#" + anchorOf(row), class: "id" }, unseen("Link to exchange "), result.id), commands)];
}

function reasons(result) {
  const made = [];
  if (result.reason) made.push(element("p", { class: "reason" }, line(result.reason)));
  for (const call of result.missed || []) {
    made.push(element("p", { class: "reason" }, "Asked, and not recorded: ", code(call.asked), call.nearest && element("div", { class: "dim" }, "nearest: " + line(call.nearest))));
  }
  for (const title of result.extra || []) made.push(element("p", { class: "reason" }, "Asked once more than recorded: ", code(title)));
  for (const title of result.never_asked || []) made.push(element("p", { class: "reason" }, "Recorded, and never asked: ", code(title)));
  if (result.calls_reordered || result.reordered) made.push(element("p", { class: "note" }, "The same calls were made in another order."));
  return made;
}

// What differs within measured noise, and by what evidence it proves nothing.
function noisy(comparison) {
  if (!comparison || !comparison.noise || comparison.noise.length === 0) return [];
  const shown = (value) => element("td", {}, value ? code(value.text) : element("span", { class: "dim" }, "nothing"));
  const rows = comparison.noise.map(({ evidence, ...change }) => element("tr", {}, element("th", { scope: "row" }, evidence.call && element("div", { class: "dim" }, line(evidence.call)), placeOf(change)), shown(change.recorded), shown(change.replayed),
    element("td", {}, evidence.differed.events + " of " + evidence.differed.of, (evidence.runs || []).length > 0 && element("div", { class: "dim" }, "run " + evidence.runs.map(short).join(", ")))));
  return [element("h4", {}, "Within measured noise"), element("div", { class: "wide" }, table({ class: "rows" }, "Differences within measured noise", ["Place", "Recorded", "Replayed", "Differed before"], rows))];
}

function remarks(comparison) {
  if (!comparison) return [];
  const words = [];
  if (comparison.recorded_part_only) words.push("Only a part of the answer was recorded, and that part was compared.");
  if (comparison.replayed_part_only) words.push("Only a part of the replayed answer was kept, and that part was compared.");
  if (comparison.coarse && ["image", "audio"].includes(comparison.compared_as)) words.push("Not decoded on both sides: compared by size and digest.");
  else if (comparison.coarse) words.push("Too large or too unlike for a fine comparison: a difference may be shown larger than it is.");
  for (const [side, why] of [["recorded", comparison.recorded_not_json], ["replayed", comparison.replayed_not_json]]) {
    if (why) words.push("The " + side + " body is not JSON: " + line(why.reason) + " at byte " + why.at + ". Rules for places in it do not apply.");
  }
  const { streams } = comparison;
  const came = (side) => (side ? many(side.events, "event") + ", " + side.pieces + " with a piece of the message, " + (side.end ? "ended by " + line(side.end) : "without an end") : "in one piece");
  if (streams) words.push("How the message came: recorded " + came(streams.recorded) + "; replayed " + came(streams.replayed) + ".");
  for (const used of comparison.rules_used || []) words.push("Left out by the rule " + line(used.rule) + ": " + many(used.count, "place") + ", such as " + line(used.pointer || "the whole body") + ".");
  return words.map((text) => element("p", { class: "note" }, text));
}

function repeated(of) {
  if (!of) return [];
  const rows = [
    ["class", of.class.replace(/-/g, " ")],
    ["failed", rate(of.failed)],
    ["distinct answers", of.distinct_exact + " as they came, " + of.distinct_parsed + " by what counts; " + many(of.distinct_effects, "set") + " of calls"],
  ];
  if (of.rate_missed_max !== undefined) rows.push(["would have shown", "what fails in " + percent(of.rate_missed_max) + " or more"]);
  if (of.flip_rate !== undefined) rows.push(["flip rate", of.flip_rate.toFixed(3)]);
  if (of.first_divergence !== undefined) rows.push(["bodies part", "at byte " + of.first_divergence]);
  for (const { k, value } of of.pass_hat || []) rows.push(["all of " + k + " pass", percent(value)]);
  const facts = element("table", { class: "facts" }, element("caption", { class: "unseen" }, "Repeats of this exchange"), element("tbody", {}, rows.map(([name, words]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, words)))));
  const outcomes = (of.outcomes || []).map((it) => element("tr", {}, element("td", {}, badge(it.verdict)), element("td", { class: "number" }, it.count), element("td", { class: "number" }, it.first + 1), element("td", {}, code((it.parsed || "no answer").slice(0, 12)))));
  const apart = (of.apart || []).map((it) => element("tr", {}, element("td", {}, it.pointer ? code(it.pointer) : "the whole body"), element("td", { class: "number" }, it.count + " of " + of.compared_with_first),
    element("td", {}, it.one ? code(it.one.text) : "nothing"), element("td", {}, it.other ? code(it.other.text) : "nothing")));
  const made = [element("h4", {}, "Repeats"), ...strip(of.verdicts || ""), facts];
  if (outcomes.length > 1) made.push(element("div", { class: "wide" }, table({ class: "rows" }, "Kinds of outcome", ["Outcome", "Repeats", "First", "Answer"], outcomes)));
  if (apart.length > 0) made.push(element("h4", {}, "Where repeats part from the first"), element("div", { class: "wide" }, table({ class: "rows" }, "Places where repeats differ", ["Place", "Differed", "First", "Another"], apart)));
  return made;
}

// What became of a call: sign, name of its colour, words.
const STEPS = { same: ["", "", ""], moved: [">", "", "moved"], changed: ["≠", "changed", "asked otherwise"], missing: ["−", "removed", "not made"], extra: ["+", "added", "one more"] };

// The calls of both sides, each against its counterpart.
function trajectory(result, look) {
  const [one, other] = [look.recorded, look.replayed].map((side) => (side && side.calls) || []);
  const steps = result.trajectory ? stepsOf(result.trajectory, one, other) : pairedCalls(one, other).map(stepOfPair);
  if (steps.length === 0) return [];
  const cell = (call, isMade) => call
    ? element("td", {}, element("span", { class: call.status === undefined || call.status >= 400 ? "bad" : "" }, call.status === undefined ? call.end : call.status), " ", element("span", { class: "dim" }, "at " + at(call.began_ns) + ", " + span(call.took_ns)), !call.certain && element("span", { class: "dim" }, " (whose call it is, is not certain)"))
    : element("td", { class: "dim" }, isMade ? "made" : "not made");
  const rows = steps.map(({ step, title, left, right, isLeft, isRight, words }, number) => {
    const [sign, name, what] = STEPS[step] || STEPS.changed;
    return element("tr", {}, element("td", { class: "number" }, number + 1), element("td", {}, sign && element("span", { class: "sign " + name, "aria-hidden": "true" }, sign), " ", what),
      element("th", { scope: "row" }, code(title), (words || []).map((text) => element("div", { class: "dim" }, line(text)))), cell(left, isLeft), cell(right, isRight));
  });
  const more = result.trajectory && result.trajectory.steps_more;
  return [element("h4", {}, "Calls of dependencies"), element("div", { class: "wide" }, table({ class: "rows calls" }, "Calls of dependencies on both sides", ["#", unseen("Difference"), "Call", "Recorded", "Replayed"], rows)),
    more ? element("p", { class: "note" }, "and " + many(more, "call") + " more, in --json") : null].filter(Boolean);
}

// As the comparison aligned them: recorded ones by id, replayed ones by number.
function stepsOf(trajectory, one, other) {
  const byId = new Map(one.map((call) => [call.id, call]));
  return trajectory.steps.map((it) => ({
    step: it.step, title: it.title, words: it.arguments, left: byId.get(it.recorded_id), right: other[it.replayed_at],
    isLeft: it.recorded_at !== undefined, isRight: it.replayed_at !== undefined,
  }));
}

function stepOfPair([left, right]) {
  const call = left || right;
  const step = !left ? "extra" : !right ? "missing" : right.otherwise ? "changed" : "same";
  return { step, title: call.dependency + " " + call.title, left, right };
}

const at = (ns) => (ns < 0 ? "−" + span(-ns) : span(ns));

// By the recording that answered; else by whom and what in their order; what is left stands alone.
function pairedCalls(one, other) {
  const origin = (call) => call.answered_by || call.id;
  const left = other.map((call) => ({ ...call }));
  const taken = new Set();
  const take = (is) => {
    const found = left.findIndex((call, number) => !taken.has(number) && is(call));
    if (found >= 0) taken.add(found);
    return found >= 0 ? left[found] : undefined;
  };
  const byOrigin = one.map((call) => take((it) => origin(it) === origin(call)));
  const pairs = one.map((call, number) => {
    if (byOrigin[number]) return [call, byOrigin[number]];
    const found = take((it) => !it.answered_by && it.dependency === call.dependency && it.title === call.title);
    if (found) found.otherwise = call.answered_by === undefined && other.some((it) => it.answered_by);
    return [call, found];
  });
  left.forEach((call, number) => { if (!taken.has(number)) pairs.push([undefined, call]); });
  return pairs;
}

