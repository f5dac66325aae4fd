//! What the repeats of a replay say, in a few lines under the receipt: how often, against production, which exchanges, what
//! is noise, and what follows.
//!
//! In: the receipt and the results. Out: lines for a person; the sentences at the end also go to machines.

use diff::{Class, Estimate, ExchangeResult, Repeated, SCREEN_COUNT};
use exchange::NoisyPlace;
use replayer::receipt::{HeldPlace, HeldStill, Receipt, RepeatsProof, Resets};

/// Exchanges that are told of, the most telling first. The rest is in `--json`. A choice.
const EXCHANGES_SHOWN_MAX: usize = 3;
/// Noisy places that are told of. A choice.
const NOISE_SHOWN_MAX: usize = 4;

/// Labelled lines.
pub(crate) fn repeat_lines(receipt: &Receipt, results: &[ExchangeResult]) -> Vec<(&'static str, String)> {
    let Some(repeats) = &receipt.repeats else { return Vec::new() };
    let mut lines = vec![("repeats", how_often(repeats))];
    lines.extend((!repeats.stopped_at_failure()).then(|| ("against", against_production(repeats))));
    lines.extend(load_words(repeats).map(|words| ("load", words)));
    lines.extend(reset_words(&repeats.resets).map(|words| ("reset", words)));
    let words = |(result, repeated)| (word(repeated), exchange_words(result, repeated, repeats.stopped_at_failure()));
    lines.extend(told(results).map(words));
    if !repeats.noise.is_empty() {
        lines.push(("noise", noise_words(&repeats.noise)));
    }
    lines.extend(repeats.held_still.as_ref().map(|held| ("noise", held_still_words(held))));
    lines.extend(conclusions(receipt, results).into_iter().map(|sentence| ("so", sentence)));
    lines
}

/// `300 of 300, reset container: 7 of 300, 2.3 % (1.1 % to 4.7 %) failed, at 95 % confidence`.
fn how_often(repeats: &RepeatsProof) -> String {
    let RepeatsProof { asked, done, failed, .. } = repeats;
    if repeats.stopped_at_failure() {
        return format!("{done} of {asked}, reset {}: stopped at the first that failed", repeats.reset.word());
    }
    let failed = match repeats.rate_missed_max {
        Some(rate) => format!("none failed; what fails in {} or more would have shown", percent(rate)),
        None => format!("{failed} failed"),
    };
    let confidence = percent(repeats.confidence);
    let fallen = match (repeats.not_started_count, repeats.not_started.first()) {
        (0, _) | (_, None) => String::new(),
        (count, Some(first)) => {
            format!("; {count} not judged, first repeat {}: {}", first.repeat + 1, first.reason)
        }
    };
    format!("{done} of {asked}, reset {}: {failed}, at {confidence} confidence{fallen}", repeats.reset.word())
}

/// `9 fresh containers, 3 starts in the same one: it wrote to its files, first `/data/log` (9)`; nothing where all was as asked.
fn reset_words(resets: &Resets) -> Option<String> {
    let why: Vec<_> = resets.why.iter().map(|why| format!("{} ({})", why.reason, why.count)).collect();
    let many = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let (fresh, starts) = (many(resets.containers, "fresh container"), many(resets.processes, "start"));
    (resets.containers > 0).then(|| format!("{fresh}, {starts} in the same one: {}", why.join("; ")))
}

/// Both rates of unusual answers side by side.
fn against_production(repeats: &RepeatsProof) -> String {
    let (production, here) = (&repeats.unusual_in_production, &repeats.unusual_here);
    let overlap = if repeats.intervals_overlap { "the intervals overlap" } else { "the intervals do not overlap" };
    let otherwise = if repeats.otherwise.is_empty() {
        "nothing known is otherwise".to_owned()
    } else {
        format!("otherwise: {}", repeats.otherwise.join("; "))
    };
    let otherwise = if repeats.intervals_overlap { String::new() } else { format!("; {otherwise}") };
    format!("unusual answers in production {production}, here {here}; {overlap}{otherwise}")
}

/// `x4: most 31 in flight (production 8), 208.1 exchanges/s (production 52.4)`.
fn load_words(repeats: &RepeatsProof) -> Option<String> {
    let RepeatsProof { copies, production, here, .. } = repeats;
    (*copies > 1).then(|| {
        format!(
            "x{copies}: most {} in flight (production {}), {:.1} exchanges/s (production {:.1})",
            here.in_flight_max, production.in_flight_max, here.requests_per_s, production.requests_per_s
        )
    })
}

/// The exchanges that say most: flaky ones first, then those that fail each time.
fn told(results: &[ExchangeResult]) -> impl Iterator<Item = (&ExchangeResult, &Repeated)> {
    let repeated = results.iter().filter_map(|result| Some((result, result.repeated.as_deref()?)));
    let mut repeated: Vec<_> = repeated.filter(|(_, repeated)| repeated.failed.events > 0).collect();
    repeated.sort_by_key(|(_, repeated)| (repeated.class, std::cmp::Reverse(repeated.failed.events)));
    repeated.into_iter().take(EXCHANGES_SHOWN_MAX)
}

/// At most eight letters: the label of a line.
fn word(repeated: &Repeated) -> &'static str {
    match repeated.class {
        Class::Flaky => "flaky",
        Class::ReproducibleFailure => "fails",
        _ => "unsure",
    }
}

/// `3fa9c1d20011 POST /tickets: 7 of 300, 2.3 % (…); 2 outcomes, flip rate 0.05, parts at byte 143, all of 8 pass in 83 %`.
/// Of repeats that stopped at the first failure only how many failed.
fn exchange_words(result: &ExchangeResult, repeated: &Repeated, has_stopped: bool) -> String {
    let Estimate { events, of, .. } = repeated.failed;
    let failed = if has_stopped { format!("{events} of {of}") } else { repeated.failed.to_string() };
    let mut words = vec![format!("{} {}: {failed}", result.id.short(), result.title)];
    let kinds = repeated.outcomes.len() as u64 + repeated.outcomes_more;
    words.push(format!("{kinds} outcome{}", if kinds == 1 { "" } else { "s" }));
    words.extend(repeated.flip_rate.map(|rate| format!("flip rate {rate:.3}")));
    words.extend(repeated.first_divergence.map(|at| format!("bodies part at byte {at}")));
    if let Some(last) = repeated.pass_hat.last().filter(|_| repeated.class == Class::Flaky && !has_stopped) {
        words.push(format!("{} in a row pass in {}", last.k, percent(last.value)));
    }
    words.join(", ")
}

/// `POST /tickets /id 8970 of 8970, …`.
fn noise_words(noise: &[NoisyPlace]) -> String {
    let mut most: Vec<_> = noise.iter().collect();
    most.sort_by_key(|place| std::cmp::Reverse(place.differed));
    let place =
        |it: &&NoisyPlace| format!("{} {} {} of {}", it.route, place_words(&it.pointer), it.differed, it.compared);
    let shown: Vec<_> = most.iter().take(NOISE_SHOWN_MAX).map(place).collect();
    let more = noise.len().saturating_sub(NOISE_SHOWN_MAX);
    let more = if more > 0 { format!(", and {more} more places") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// `` `--determinism 0` measures POST /tickets /id (uuid), …: … ``.
pub(crate) fn held_still_words(held: &HeldStill) -> String {
    let place = |it: &HeldPlace| format!("{} {} ({})", it.route, place_words(&it.pointer), it.form);
    let shown: Vec<_> = held.places.iter().take(NOISE_SHOWN_MAX).map(place).collect();
    let more = held.places.len().saturating_sub(NOISE_SHOWN_MAX);
    let more = if more > 0 { format!(", and {more} more places") } else { String::new() };
    format!(
        "`{}` measures {}{more}: clock and chance are held still here, so that all repeats have one value there, and production another",
        held.measure_with,
        shown.join(", ")
    )
}

pub(crate) fn place_words(pointer: &str) -> &str {
    if pointer.is_empty() { "(the whole body)" } else { pointer }
}

pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent < 1.0 { format!("{percent:.2}") } else { format!("{percent:.1}") };
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What follows from the repeats, in sentences.
pub(crate) fn conclusions(receipt: &Receipt, results: &[ExchangeResult]) -> Vec<String> {
    let Some(repeats) = &receipt.repeats else { return Vec::new() };
    let repeated: Vec<_> = results.iter().filter_map(|result| result.repeated.as_deref()).collect();
    let is_serial = receipt.determinism.order == "serial";
    let flaky = repeated.iter().filter(|it| it.class == Class::Flaky).count();
    let is_steady = |it: &Repeated| it.outcomes.len() == 1 && it.outcomes_more == 0;
    let steady = !repeated.is_empty() && repeated.iter().all(|it| is_steady(it));
    let mut sentences = Vec::new();
    if flaky > 0 {
        let many = if flaky == 1 { "exchange was" } else { "exchanges were" };
        let next = if !is_serial && repeats.here.in_flight_max > 1 {
            "; `--order serial` shows whether that takes exchanges in flight together"
        } else {
            ""
        };
        sentences.push(format!("{flaky} {many} answered in more than one way, in one and the same environment{next}"));
    }
    if repeats.stopped_at_failure() {
        sentences.push(
            "repeats that stop at the first failure show it, and not how often it comes: `--repeat N` without `--until-failure` does"
                .to_owned(),
        );
    } else if !repeats.intervals_overlap {
        let more = share(&repeats.unusual_here) > share(&repeats.unusual_in_production);
        let more = if more { "more" } else { "less" };
        sentences.push(format!(
            "unusual answers came {more} often here than in production, by more than chance: these repeats are not yet what production was"
        ));
    }
    if steady && is_serial && repeats.production.in_flight_max > 1 {
        sentences.push(without_overlap(repeats));
    }
    if repeats.copies > 1 {
        let copies = repeats.copies;
        sentences.push(format!(
            "one service answered {copies} copies at once, and they may have met in it: none is called deterministic"
        ));
    } else if repeats.reset == replayer::Reset::None {
        sentences.push(
            "one service answered all repeats, and may have remembered some: none is called deterministic".to_owned(),
        );
    }
    let is_noisy = |it: &&&Repeated| {
        it.class == Class::Unconfirmed && it.failed.events == 0 && it.failed.of >= SCREEN_COUNT && !is_steady(it)
    };
    let noisy = repeated.iter().filter(is_noisy).count();
    if noisy > 0 {
        let many = if noisy == 1 { "exchange has" } else { "exchanges have" };
        sentences
            .push(format!("{noisy} {many} several outcomes, which differ as noise does: none is called deterministic"));
    }
    sentences
}

/// What a steady answer at order `serial` says of what overlapped in production.
fn without_overlap(repeats: &RepeatsProof) -> String {
    let done = repeats.done;
    let most = repeats.production.in_flight_max;
    match repeats.unusual_in_production.events {
        0 => format!(
            "with one exchange at a time nothing varied in {done} repeats; in production up to {most} were in flight together: \
             what varies at order `recorded` is a race between exchanges"
        ),
        unusual => format!(
            "with one exchange at a time each had a single outcome in {done} repeats, and {unusual} that production answered \
             otherwise did not fail that way again: it takes exchanges in flight together (up to {most} in production), a race"
        ),
    }
}

fn share(estimate: &diff::Estimate) -> f64 {
    if estimate.of == 0 { 0.0 } else { estimate.events as f64 / estimate.of as f64 }
}
