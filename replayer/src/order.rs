//! The recorded causal order: what followed an answer follows it again, what overlapped overlaps.
//!
//! In: when each exchange began and ended in the recording, and of which conversation it is. Out: for each, how many of those
//! that ended first have to have ended again before it may be sent. Exchanges of different capture sessions have no common clock: a later session waits
//! for all of an earlier one.

use std::sync::Mutex;

use tokio::sync::watch;

/// In which order exchanges are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// What followed an answer follows it again, what overlapped overlaps.
    #[default]
    Recorded,
    /// One after the other, in the order they began.
    Serial,
}

impl Order {
    /// Its name on the command line and in a receipt.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Serial => "serial",
        }
    }
}

/// When one exchange began and ended, in nanoseconds of its session's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Rank of its session among the replayed ones: lower is earlier.
    pub(crate) session: usize,
    /// First byte of the request.
    pub(crate) started_ns: u64,
    /// End of the exchange.
    pub(crate) ended_ns: u64,
}

impl Span {
    /// A recording may claim that something ended before it began; then it ended as it began, so that nothing waits for
    /// itself or for what comes after it.
    pub(crate) fn end(&self) -> u64 {
        self.ended_ns.max(self.started_ns)
    }
}

/// The order in which a list of exchanges, sorted by session and start, may be sent.
///
/// Exchanges stand in lines, each sorted by when they ended in the recording. A gate is a number of the first ones of a line
/// that have to have ended again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CausalOrder {
    /// For each exchange: what has to have ended before it is sent.
    gates: Vec<Vec<Gate>>,
    /// For each exchange: its places in lines.
    places: Vec<Vec<Place>>,
    /// How long each line is.
    lens: Vec<usize>,
}

/// The first `count` of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    line: usize,
    count: usize,
}

/// The place `rank` of a line, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    rank: usize,
}

/// The line that all exchanges stand in.
const ALL: usize = 0;

impl CausalOrder {
    /// The order of `spans`, which are sorted by session and start: each waits for all that had ended before it began.
    pub(crate) fn of(spans: &[Span]) -> Self {
        Self::in_lines(spans, &vec![vec![ALL]; spans.len()], &vec![vec![ALL]; spans.len()], 1)
    }

    /// The same, but that exchanges of two different conversations never wait for each other. Those of no known conversation
    /// (`None`) wait for all, and all wait for them: nobody can tell whose answer they needed.
    pub(crate) fn by_conversation(spans: &[Span], conversations: &[Option<usize>]) -> Self {
        const NOBODYS: usize = 1;
        let own = |conversation: usize| conversation + 2;
        let lines = conversations.iter().flatten().map(|&conversation| own(conversation) + 1).max().unwrap_or(2);
        let stands: Vec<_> = conversations.iter().map(|it| vec![ALL, it.map_or(NOBODYS, own)]).collect();
        let waits: Vec<_> = conversations.iter().map(|it| it.map_or(vec![ALL], |it| vec![NOBODYS, own(it)])).collect();
        Self::in_lines(spans, &stands, &waits, lines)
    }

    /// The order of `count` exchanges one after the other.
    pub(crate) fn serial(count: usize) -> Self {
        Self {
            gates: (0..count).map(|at| vec![Gate { line: ALL, count: at }]).collect(),
            places: (0..count).map(|at| vec![Place { line: ALL, rank: at }]).collect(),
            lens: vec![count],
        }
    }

    /// For each exchange the lines that it stands in, and those that it waits for.
    fn in_lines(spans: &[Span], stands: &[Vec<usize>], waits: &[Vec<usize>], lines: usize) -> Self {
        let mut by_end: Vec<usize> = (0..spans.len()).collect();
        by_end.sort_by_key(|&at| (spans[at].session, spans[at].end(), at));
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); lines];
        let mut places = vec![Vec::new(); spans.len()];
        for at in by_end {
            for &line in &stands[at] {
                places[at].push(Place { line, rank: members[line].len() });
                members[line].push(at);
            }
        }
        let ended_before = |line: usize, span: &Span| {
            members[line].partition_point(|&other| {
                let other = &spans[other];
                (other.session, other.end()) < (span.session, span.started_ns)
            })
        };
        let gate = |span: &Span, line: usize| Gate { line, count: ended_before(line, span) };
        let gates = spans.iter().zip(waits).map(|(span, waits)| waits.iter().map(|&line| gate(span, line)).collect());
        Self { gates: gates.collect(), places, lens: members.iter().map(Vec::len).collect() }
    }
}

/// Which of the exchanges have ended again, and who waits for them.
#[derive(Debug)]
pub(crate) struct Progress {
    order: CausalOrder,
    lines: Mutex<Vec<Line>>,
    /// How many of the first of each line have ended.
    leading: Vec<watch::Sender<usize>>,
}

/// Who of a line has ended.
#[derive(Debug)]
struct Line {
    ended: Vec<bool>,
    /// When the first one, the first two, … had all ended.
    reached_ns: Vec<u64>,
}

impl Progress {
    /// Nothing has ended yet.
    pub(crate) fn new(order: CausalOrder) -> Self {
        let lines = order.lens.iter().map(|&len| Line { ended: vec![false; len], reached_ns: Vec::new() }).collect();
        let leading = order.lens.iter().map(|_| watch::channel(0).0).collect();
        Self { order, lines: Mutex::new(lines), leading }
    }

    /// Waits until all that exchange `at` waits for have ended again; gives when the last of them had, or 0 where it waits for
    /// nothing.
    pub(crate) async fn may_send(&self, at: usize) -> u64 {
        for gate in &self.order.gates[at] {
            let mut leading = self.leading[gate.line].subscribe();
            leading.wait_for(|&leading| leading >= gate.count).await.expect("the sender lives as long as self");
        }
        let lines = self.lines();
        let reached = |gate: &Gate| lines[gate.line].reached_ns.get(gate.count.checked_sub(1)?).copied();
        self.order.gates[at].iter().filter_map(reached).max().unwrap_or_default()
    }

    /// Says that exchange `at` has ended.
    pub(crate) fn ended(&self, at: usize, now_ns: u64) {
        let mut lines = self.lines();
        for place in &self.order.places[at] {
            let line = &mut lines[place.line];
            line.ended[place.rank] = true;
            while line.ended.get(line.reached_ns.len()).is_some_and(|&done| done) {
                line.reached_ns.push(now_ns);
            }
            self.leading[place.line].send_replace(line.reached_ns.len());
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.lines.lock().expect("no one panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Spans of up to three sessions in starting order, ends before starts among them, as a hostile recording has them.
    fn any_spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0..3_usize, 0..40_u64, 0..40_u64);
        proptest::collection::vec(span, 0..24).prop_map(|spans| {
            let mut spans: Vec<_> = spans
                .into_iter()
                .map(|(session, started_ns, ended_ns)| Span { session, started_ns, ended_ns })
                .collect();
            spans.sort_by_key(|span| (span.session, span.started_ns));
            spans
        })
    }

    /// The definition, word by word: all that had ended before it began.
    fn forerunners(spans: &[Span], at: usize) -> BTreeSet<usize> {
        let began = &spans[at];
        let ended_before = |other: &Span| {
            other.session < began.session || (other.session == began.session && other.end() < began.started_ns)
        };
        (0..spans.len()).filter(|&other| ended_before(&spans[other])).collect()
    }

    /// All that stand before one of its gates.
    fn waited_for(order: &CausalOrder, at: usize) -> BTreeSet<usize> {
        let holds = |gate: &Gate, place: &Place| gate.line == place.line && place.rank < gate.count;
        let is_before = |other: &usize| {
            order.gates[at].iter().any(|gate| order.places[*other].iter().any(|place| holds(gate, place)))
        };
        (0..order.gates.len()).filter(is_before).collect()
    }

    /// How many each waits for.
    fn counts(order: &CausalOrder) -> Vec<usize> {
        (0..order.gates.len()).map(|at| waited_for(order, at).len()).collect()
    }

    proptest! {
        #[test]
        fn the_gates_let_through_exactly_when_all_that_had_ended_before_have_ended(spans in any_spans()) {
            let order = CausalOrder::of(&spans);
            for at in 0..spans.len() {
                prop_assert_eq!(waited_for(&order, at), forerunners(&spans, at));
            }
        }

        #[test]
        fn by_conversation_all_are_waited_for_but_those_of_another_conversation(
            told in any_spans().prop_flat_map(|spans| {
                let conversations = proptest::collection::vec(proptest::option::of(0..3_usize), spans.len());
                (Just(spans), conversations)
            })
        ) {
            let (spans, conversations) = told;
            let order = CausalOrder::by_conversation(&spans, &conversations);
            for at in 0..spans.len() {
                let others = |other: &usize| match (conversations[at], conversations[*other]) {
                    (Some(own), Some(another)) => own == another,
                    _ => true,
                };
                let expected: BTreeSet<_> = forerunners(&spans, at).into_iter().filter(others).collect();
                prop_assert_eq!(waited_for(&order, at), expected);
            }
        }

        #[test]
        fn nothing_waits_for_itself_or_for_what_is_sent_later(spans in any_spans()) {
            for at in 0..spans.len() {
                prop_assert!(forerunners(&spans, at).iter().all(|&other| other < at));
            }
        }
    }

    fn spans(times: &[(u64, u64)]) -> Vec<Span> {
        times.iter().map(|&(started_ns, ended_ns)| Span { session: 0, started_ns, ended_ns }).collect()
    }

    #[test]
    fn what_overlapped_may_overlap_and_what_followed_waits() {
        let order = CausalOrder::of(&spans(&[(0, 10), (5, 20), (15, 30), (40, 50)]));
        assert_eq!(counts(&order), [0, 0, 1, 3]);
    }

    #[test]
    fn a_long_exchange_does_not_hold_back_what_began_before_it_ended() {
        let order = CausalOrder::of(&spans(&[(0, 100), (1, 2), (3, 4), (101, 102)]));
        assert_eq!(counts(&order), [0, 0, 1, 3]);
    }

    #[test]
    fn a_later_session_waits_for_all_of_an_earlier_one_whatever_the_clocks_say() {
        let first = Span { session: 0, started_ns: 1_000, ended_ns: 9_000 };
        let second = Span { session: 1, started_ns: 0, ended_ns: 5 };
        assert_eq!(counts(&CausalOrder::of(&[first, second])), [0, 1]);
    }

    #[tokio::test]
    async fn in_serial_order_nothing_is_sent_before_the_one_before_has_ended() {
        let progress = Progress::new(CausalOrder::serial(2));
        progress.may_send(0).await;
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), progress.may_send(1)).await;
        assert!(waits.is_err(), "the first is still in flight");
        progress.ended(0, 7);
        progress.may_send(1).await;
    }

    #[tokio::test]
    async fn an_exchange_is_let_through_only_once_the_last_of_its_forerunners_has_ended() {
        let progress = Progress::new(CausalOrder::of(&spans(&[(0, 10), (0, 12), (20, 30)])));
        progress.may_send(0).await;
        progress.may_send(1).await;
        progress.ended(1, 5);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), progress.may_send(2)).await;
        assert!(waits.is_err(), "one forerunner is still in flight");
        progress.ended(0, 7);
        assert_eq!(progress.may_send(2).await, 7, "when the last of them had ended");
    }
}
