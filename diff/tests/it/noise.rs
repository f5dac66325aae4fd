//! Noise at large: an unchanged service against itself, and changes planted into it.

use diff::{Comparison, Noise, NoiseLearner, Output, Route, Rules, compare_responses, places_apart};
use exchange::{Head, Id};
use stats::{Confidence, Rate};

const EXCHANGE: Id = Id([1; 16]);
const LEARNED: u64 = 30;
const JUDGED: u64 = 500;

/// Numbers from a seed (Vigna's splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn letters(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..len).map(|_| char::from(LETTERS[self.below(62) as usize])).collect()
    }
}

/// What a model's service answers: ids, a time, a number that varies, one of three words, a field that comes and goes, a text.
fn answer(chance: &mut Chance, at: u64) -> String {
    let priority = ["low", "low", "low", "medium", "medium", "high"][chance.below(6) as usize];
    let cached = if chance.below(4) == 0 { r#""cached":true,"# } else { "" };
    let how = ["was declined", "did not go through", "has been refused by the bank"][chance.below(3) as usize];
    format!(
        r#"{{"id":"chatcmpl-{}","created":{},"request":"{:08x}-4f7d-4a52-9c7e-1d2f3a4b5c6d",{cached}"took_ms":{}.{},"priority":"{priority}",
        "usage":{{"total_tokens":{},"limit":4096}},"choices":[{{"index":0,"text":"the payment {} {how}"}}],"trace":["{:08x}","{:08x}"],"ok":true}}"#,
        chance.letters(22),
        1_764_208_800 + at / 4,
        chance.next() as u32,
        20 + chance.below(60),
        chance.below(10),
        100 + chance.below(400),
        chance.letters(6),
        chance.next() as u32,
        chance.next() as u32,
    )
}

fn head() -> Head {
    Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned())
}

fn output<'a>(head: &'a Head, body: &'a str) -> Output<'a> {
    Output { head, body: body.as_bytes(), complete: true, whole: true }
}

fn route() -> Route {
    Route::new("POST", "/chat")
}

/// What so many repeats of a service teach.
fn learned(answer: &mut dyn FnMut(u64) -> String) -> Noise {
    let head = head();
    let mut learner = NoiseLearner::default();
    let first = answer(0);
    for at in 1..=LEARNED {
        let places = places_apart(&output(&head, &first), &output(&head, &answer(at)), &route(), &Rules::strict());
        learner.add(EXCHANGE, &route().to_string(), &places);
    }
    Noise::of([learner.conclude("v1".to_owned(), Vec::new())])
}

fn judged(noise: &Noise, recorded: &str, replayed: &str) -> Comparison {
    let head = head();
    let mut comparison =
        compare_responses(&output(&head, recorded), &output(&head, replayed), &Rules::strict(), &route());
    noise.set_apart(&mut comparison, &route(), EXCHANGE);
    comparison
}

#[test]
fn an_unchanged_noisy_service_is_reported_no_more_often_than_its_profiles_say() {
    let (mut alarms, mut of, mut stated, mut stated_of) = (0, 0, 0, 0);
    for seed in 0..20 {
        let mut chance = Chance(seed);
        let noise = learned(&mut |at| answer(&mut chance, at));
        let expected = noise.alarms(&route().to_string()).unwrap();
        stated += expected.events;
        stated_of += expected.of;
        let recorded = answer(&mut chance, LEARNED + 1);
        // Production's answer is one more of the same kind: where it is unusual itself, that is told once, and not held
        // against each repeat.
        if !judged(&noise, &recorded, &answer(&mut chance, LEARNED + 2)).is_equal() {
            alarms += 1;
            of += 1;
            continue;
        }
        for at in 0..JUDGED {
            let comparison = judged(&noise, &recorded, &answer(&mut chance, LEARNED + 3 + at));
            alarms += u64::from(!comparison.is_equal());
            of += 1;
        }
    }
    let seen = Rate::new(alarms, of).clopper_pearson(Confidence::DEFAULT);
    let said = Rate::new(stated, stated_of).clopper_pearson(Confidence::DEFAULT);
    eprintln!("false alarms: {alarms} of {of} ({seen}); stated: {stated} of {stated_of} ({said})");
    assert!(seen.low <= said.high, "{seen} against {said}");
    assert!(seen.high < 0.05, "{seen}");
}

#[test]
fn an_unchanged_steady_service_is_never_reported() {
    let same = answer(&mut Chance(7), 0);
    let noise = learned(&mut |_| same.clone());
    assert!((0..JUDGED).all(|_| judged(&noise, &same, &same).is_equal()));
}

/// A change of each kind, as what it replaces and by what, and where it is to be found.
const PLANTED: [(&str, &str, &str); 12] = [
    ("\"ok\":true", "\"ok\":false", "/ok"),
    ("\"ok\":true", "\"ok\":\"true\"", "/ok"),
    (",\"ok\":true", "", "/ok"),
    ("\"ok\":true", "\"ok\":true,\"more\":1", "/more"),
    ("\"limit\":4096", "\"limit\":4095", "/usage/limit"),
    ("\"limit\":4096", "\"limit\":null", "/usage/limit"),
    ("\"id\":\"chatcmpl-", "\"id\":\"cmpl-", "/id"),
    ("\"created\":", "\"created\":1", "/created"),
    ("\"took_ms\":", "\"took_ms\":9", "/took_ms"),
    ("\"priority\":\"", "\"priority\":\"very ", "/priority"),
    ("\"total_tokens\":", "\"total_tokens\":-", "/usage/total_tokens"),
    ("-4f7d-4a52-9c7e-1d2f3a4b5c6d\"", "\"", "/request"),
];

#[test]
fn what_changes_beyond_the_noise_is_reported_with_its_pointer_and_the_noise_beside_it_is_not() {
    for seed in 0..10 {
        let mut chance = Chance(seed);
        let noise = learned(&mut |at| answer(&mut chance, at));
        let mut told = 0;
        for at in 0..20 {
            let (recorded, replayed) = (answer(&mut chance, at), answer(&mut chance, at));
            if !judged(&noise, &recorded, &replayed).is_equal() {
                continue;
            }
            told += 1;
            for (from, to, pointer) in PLANTED {
                assert!(replayed.contains(from), "{from}");
                let comparison = judged(&noise, &recorded, &replayed.replacen(from, to, 1));
                let changed: Vec<&str> = comparison.changes.iter().map(|change| change.pointer.as_str()).collect();
                assert_eq!(changed, [pointer], "{from} -> {to} in {replayed}");
            }
        }
        assert!(told > 10, "{told}");
    }
}
