use proptest::prelude::*;

use super::*;

fn id(number: u8) -> Id {
    Id([number; 16])
}

fn command(words: &str) -> Vec<u8> {
    let words: Vec<&str> = words.split(' ').collect();
    let bulk = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect::<String>();
    format!("*{}\r\n{bulk}", words.len()).into_bytes()
}

/// A recorded connection of `cache`: each turn answers with 10 bytes.
fn conversation(number: u8, turns: &[&[u8]]) -> Conversation {
    let turns = turns.iter().enumerate().map(|(at, asked)| Turn {
        asked: asked.to_vec(),
        answer: at * 10..at * 10 + 10,
        at_ns: u64::from(number) * 1000 + at as u64,
        opens: resp::opens(asked),
        owner: None,
    });
    Conversation { id: id(number), dependency: "cache".to_owned(), greeting: 0..0, turns: turns.collect() }
}

fn library(conversations: &[&[&[u8]]]) -> Conversations {
    let mut library = Conversations::new(false);
    for (at, turns) in conversations.iter().enumerate() {
        library.add(conversation(at as u8 + 1, turns));
    }
    library
}

/// What a connection gets for these bytes: number of the connection and the beginning of the answer.
fn answers(library: &mut Conversations, caller: &mut Caller, said: &[u8]) -> Vec<(u8, usize)> {
    caller.says(said);
    let mut answers = Vec::new();
    while let Reply::Answered(answered) = library.reply(caller, None) {
        answers.push((answered.id.0[0], answered.answer.start));
    }
    answers
}

#[test]
fn a_connection_follows_a_recorded_one_and_what_is_left_is_told() {
    let mut library = library(&[&[b"a\n", b"b\n", b"c\n"]]);
    let (mut caller, greeting) = library.connect("cache");
    assert_eq!(greeting, Some((id(1), 0..0)));
    assert_eq!(answers(&mut library, &mut caller, b"a\nb"), [(1, 0)]);
    assert_eq!(answers(&mut library, &mut caller, b"\n"), [(1, 10)]);
    assert_eq!(library.followed(&caller), Some(id(1)));
    let left = library.never_asked();
    assert_eq!((left.len(), left[0].title.as_str()), (1, "c"));
}

#[test]
fn what_starts_over_answers_a_new_service_as_it_did_the_first() {
    let mut library = library(&[&[b"a\n", b"b\n"], &[b"a\n"]]);
    for _ in 0..2 {
        let [(mut one, _), (mut other, _)] = [(); 2].map(|()| library.connect("cache"));
        assert_eq!(answers(&mut library, &mut one, b"a\n"), [(1, 0)]);
        assert_eq!(answers(&mut library, &mut other, b"a\n"), [(2, 0)]);
        assert_eq!(library.never_asked().len(), 1);
        library.start_over();
        assert_eq!(library.never_asked().len(), 3);
    }
}

#[test]
fn pools_that_deal_their_connections_out_otherwise_get_the_same_answers() {
    let (set, get, other) = (command("SET a 1"), command("GET a"), command("GET b"));
    let mut library = library(&[&[&set, &get], &[&other, &get]]);
    let (mut one, _) = library.connect("cache");
    assert_eq!(
        answers(&mut library, &mut one, &[&set[..], &other, &get, &get].concat()),
        [(1, 0), (2, 0), (2, 10), (1, 10)]
    );
    assert!(library.never_asked().is_empty());
}

#[test]
fn a_connection_that_begins_as_a_later_one_did_repeats_that_one() {
    let mut library = library(&[&[b"a\n"], &[b"b\n"]]);
    let (mut caller, _) = library.connect("cache");
    assert_eq!(answers(&mut library, &mut caller, b"b\n"), [(2, 0)]);
    assert_eq!(library.followed(&caller), Some(id(2)));
    let (mut next, _) = library.connect("cache");
    assert_eq!(answers(&mut library, &mut next, b"a\n"), [(1, 0)]);
}

#[test]
fn one_connection_more_may_open_but_not_ask_once_more() {
    let (auth, get) = (command("AUTH ***"), command("GET a"));
    let mut library = library(&[&[&auth, &get]]);
    for expected in [vec![(1, 0), (1, 10)], vec![(1, 0)]] {
        let (mut caller, _) = library.connect("cache");
        assert_eq!(answers(&mut library, &mut caller, &[&auth[..], &get].concat()), expected);
    }
    let (mut caller, _) = library.connect("cache");
    caller.says(&get);
    let Reply::Missed(miss) = library.reply(&mut caller, None) else { panic!("it was used up") };
    assert_eq!(miss.to_string(), "cache GET a was asked once more than the 1 time it was recorded");
}

#[test]
fn a_miss_names_the_nearest_turn_and_the_first_byte_that_differs() {
    let mut library = library(&[&[&command("GET user:1")[..]]]);
    let (mut caller, _) = library.connect("cache");
    caller.says(&command("GET user:2"));
    let Reply::Missed(miss) = library.reply(&mut caller, None) else { panic!("it was not recorded") };
    assert_eq!(
        miss.to_string(),
        "cache GET user:2 was not recorded; the nearest is 010101010101 (turn 1, GET user:1): byte 22: recorded \
         \"…6\\r\\nuser:1\\r\\n\", said \"…6\\r\\nuser:2\\r\\n\""
    );
    let (mut caller, _) = library.connect("other");
    caller.says(b"x");
    assert!(matches!(library.reply(&mut caller, None), Reply::Missed(Miss { nearest: None, .. })));
}

#[test]
fn half_a_turn_is_waited_for_and_named_when_nothing_more_comes() {
    let mut library = library(&[&[b"hello world\n"]]);
    let (mut caller, _) = library.connect("cache");
    caller.says(b"hello");
    assert_eq!(library.reply(&mut caller, None), Reply::Wait);
    let Reply::Missed(miss) = library.reply_at_last(&mut caller, None) else { panic!("it was cut") };
    assert!(miss.to_string().ends_with("it ends after 5 bytes, recorded goes on: \"hello world\\n\""), "{miss}");
}

#[test]
fn what_was_said_on_the_same_ones_behalf_answers_first_and_anothers_is_borrowed() {
    let get = command("GET a");
    let mut library = Conversations::new(false);
    for (number, owner) in [(1, 7), (2, 8)] {
        let mut one = conversation(number, &[&get]);
        one.turns[0].owner = Some(id(owner));
        library.add(one);
    }
    let (mut caller, _) = library.connect("cache");
    let mut ask = |owner: u8| {
        caller.says(&get);
        let Reply::Answered(answered) = library.reply(&mut caller, Some(id(owner))) else { panic!("two are recorded") };
        (answered.id, answered.scope, answered.borrowed)
    };
    assert_eq!(ask(8), (id(2), MatchScope::Inferred, false));
    assert_eq!(ask(8), (id(1), MatchScope::Connection, true));
}

#[test]
fn what_is_said_after_a_silence_is_a_turn_of_its_own_though_nothing_was_answered() {
    let piece = |offset, at_ns| Piece { offset, at_ns };
    let client = Heard { bytes: b"a\nb\nc\n", pieces: &[piece(0, 1), piece(2, 2), piece(4, 2_000_000_000)] };
    let (_, turns) = turns_of(client, Heard { bytes: b"", pieces: &[] });
    assert_eq!(turns.iter().map(|turn| turn.asked.as_slice()).collect::<Vec<_>>(), [&b"a\nb\n"[..], b"c\n"]);
}

#[test]
fn what_is_served_again_begins_anew() {
    let mut library = Conversations::new(true);
    library.add(conversation(1, &[b"a\n", b"b\n"]));
    for _ in 0..3 {
        let (mut caller, _) = library.connect("cache");
        assert_eq!(answers(&mut library, &mut caller, b"a\nb\na\n"), [(1, 0), (1, 10), (1, 0)]);
    }
}

#[test]
fn a_recorded_connection_is_cut_by_command_where_it_is_redis_and_else_by_who_spoke_when() {
    let piece = |offset, at_ns| Piece { offset, at_ns };
    let said = [command("SET a 1"), command("GET a")].concat();
    let client = Heard { bytes: &said, pieces: &[piece(0, 1), piece(5, 2)] };
    let server = Heard { bytes: b"+OK\r\n$1\r\n1\r\n", pieces: &[piece(0, 3)] };
    let (greeting, turns) = turns_of(client, server);
    assert_eq!((greeting, turns.len()), (0..0, 2));
    assert_eq!((turns[0].answer.clone(), turns[1].answer.clone()), (0..5, 5..12));

    let client = Heard { bytes: b"EHLO x\r\nQUIT\r\n", pieces: &[piece(0, 2), piece(4, 3), piece(8, 6)] };
    let server = Heard { bytes: b"220 hi\r\n250-x\r\n250 y\r\n", pieces: &[piece(0, 1), piece(8, 4), piece(15, 5)] };
    let (greeting, turns) = turns_of(client, server);
    assert_eq!(greeting, 0..8);
    let turns: Vec<_> = turns.iter().map(|turn| (turn.asked.as_slice(), turn.answer.clone(), turn.at_ns)).collect();
    assert_eq!(turns, [(&b"EHLO x\r\n"[..], 8..22, 2), (b"QUIT\r\n", 22..22, 6)]);
}

/// The slow and obvious one: every turn of a list in recorded order, the first that fits; own connection first.
struct Obvious {
    turns: Vec<Vec<Vec<u8>>>,
    served: Vec<Vec<bool>>,
}

impl Obvious {
    /// All beginnings of `said` that are unserved turns, whoever's.
    fn fits(&self, said: &[u8]) -> bool {
        let all = self.turns.iter().zip(&self.served).flat_map(|(turns, served)| turns.iter().zip(served));
        all.into_iter().any(|(turn, served)| !served && said.starts_with(turn))
    }
}

proptest! {
    /// Whatever is dealt to whichever connection in whatever order: what was recorded is answered, each turn once.
    #[test]
    fn recorded_turns_dealt_out_otherwise_are_all_answered_and_each_once(
        turns in proptest::collection::vec(proptest::collection::vec("[ab]{1,3}", 1..5), 1..4),
        deal in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..24),
    ) {
        let turns: Vec<Vec<Vec<u8>>> =
            turns.iter().map(|turns| turns.iter().map(|turn| format!("{turn}\n").into_bytes()).collect()).collect();
        let mut library = Conversations::new(false);
        for (at, turns) in turns.iter().enumerate() {
            library.add(conversation(at as u8, &turns.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        }
        let mut callers: Vec<Caller> = turns.iter().map(|_| library.connect("cache").0).collect();
        let mut obvious = Obvious { served: turns.iter().map(|turns| vec![false; turns.len()]).collect(), turns: turns.clone() };
        let all: Vec<&Vec<u8>> = turns.iter().flatten().collect();
        for (which, who) in deal {
            let said = all[which.index(all.len())];
            let expected = obvious.fits(said);
            let caller = &mut callers[who.index(turns.len())];
            caller.says(said);
            match library.reply(caller, None) {
                Reply::Answered(answered) => {
                    prop_assert!(expected);
                    let (conversation, turn) = (answered.id.0[0] as usize, answered.answer.start / 10);
                    prop_assert_eq!(&turns[conversation][turn], said);
                    prop_assert!(!std::mem::replace(&mut obvious.served[conversation][turn], true), "served twice");
                }
                Reply::Missed(_) => {
                    prop_assert!(!expected);
                    caller.pending.clear();
                }
                Reply::Wait => prop_assert!(false, "whole turns were said"),
            }
        }
        let left = obvious.served.iter().flatten().filter(|served| !**served).count();
        prop_assert_eq!(library.never_asked().len(), left);
    }

    #[test]
    fn the_longest_beginning_is_found_as_a_search_of_all_finds_it(
        keys in proptest::collection::btree_set("[ab]{1,4}", 0..12), said in "[ab]{0,6}"
    ) {
        let turns: BTreeMap<Vec<u8>, Equal> = keys.iter().map(|key| (key.clone().into_bytes(), Equal::default())).collect();
        let mut slow: Vec<Vec<u8>> = turns.keys().filter(|key| said.as_bytes().starts_with(key)).cloned().collect();
        slow.sort_by_key(|key| std::cmp::Reverse(key.len()));
        prop_assert_eq!(prefixes_among(&turns, said.as_bytes()), slow);
    }

    /// As a strangers' recording may claim them.
    #[test]
    fn pieces_that_cannot_be_are_survived(
        client in proptest::collection::vec((0..40_usize, any::<u64>()), 0..12),
        server in proptest::collection::vec((any::<usize>(), 0..20_u64), 0..12),
        bytes in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let pieces = |of: &[(usize, u64)]| of.iter().map(|&(offset, at_ns)| Piece { offset, at_ns }).collect::<Vec<_>>();
        let (greeting, turns) = turns_of(
            Heard { bytes: &bytes, pieces: &pieces(&client) },
            Heard { bytes: &bytes, pieces: &pieces(&server) },
        );
        prop_assert!(greeting.end <= bytes.len() && turns.iter().all(|turn| turn.answer.end <= bytes.len()));
    }

    #[test]
    fn cutting_loses_no_byte_and_never_fails(
        client in proptest::collection::vec((any::<u8>(), 0..20_u64), 0..20),
        server in proptest::collection::vec((any::<u8>(), 0..20_u64), 0..20),
    ) {
        let bytes = |heard: &[(u8, u64)]| heard.iter().map(|(byte, _)| *byte).collect::<Vec<_>>();
        let pieces = |heard: &[(u8, u64)]| {
            heard.iter().enumerate().map(|(offset, (_, at_ns))| Piece { offset, at_ns: *at_ns }).collect::<Vec<_>>()
        };
        let (mut client, mut server) = (client, server);
        client.sort_by_key(|(_, at_ns)| *at_ns);
        server.sort_by_key(|(_, at_ns)| *at_ns);
        let (said, answered) = (bytes(&client), bytes(&server));
        let (greeting, turns) = turns_of(
            Heard { bytes: &said, pieces: &pieces(&client) },
            Heard { bytes: &answered, pieces: &pieces(&server) },
        );
        prop_assert_eq!(turns.iter().flat_map(|turn| turn.asked.clone()).collect::<Vec<_>>(), said);
        let mut end = greeting.end;
        for turn in &turns {
            prop_assert_eq!(turn.answer.start, end);
            end = turn.answer.end;
        }
        prop_assert_eq!(end, answered.len());
    }
}
