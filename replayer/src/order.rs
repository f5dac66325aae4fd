//! The recorded causal order: what followed an answer follows it again, what overlapped overlaps.
//!
//! In: when each exchange began and ended in the recording. Out: for each, how many of those that ended first have to have
//! ended again before it may be sent. Exchanges of different capture sessions have no common clock: a later session waits
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
    fn end(&self) -> u64 {
        self.ended_ns.max(self.started_ns)
    }
}

/// The order in which a list of exchanges, sorted by session and start, may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CausalOrder {
    /// For each exchange: how many of the first in end order have to have ended before it is sent.
    gates: Vec<usize>,
    /// For each exchange: its place in end order.
    end_ranks: Vec<usize>,
}

impl CausalOrder {
    /// The order of `spans`, which are sorted by session and start.
    pub(crate) fn of(spans: &[Span]) -> Self {
        let mut by_end: Vec<usize> = (0..spans.len()).collect();
        by_end.sort_by_key(|&at| (spans[at].session, spans[at].end(), at));
        let mut end_ranks = vec![0; spans.len()];
        for (rank, &at) in by_end.iter().enumerate() {
            end_ranks[at] = rank;
        }
        let ended_before = |span: &Span| {
            by_end.partition_point(|&other| {
                let other = &spans[other];
                (other.session, other.end()) < (span.session, span.started_ns)
            })
        };
        Self { gates: spans.iter().map(ended_before).collect(), end_ranks }
    }

    /// The order of `count` exchanges one after the other.
    pub(crate) fn serial(count: usize) -> Self {
        Self { gates: (0..count).collect(), end_ranks: (0..count).collect() }
    }

    /// How many exchanges there are.
    pub(crate) fn len(&self) -> usize {
        self.gates.len()
    }
}

/// Which of the exchanges have ended again, and who waits for them.
#[derive(Debug)]
pub(crate) struct Progress {
    order: CausalOrder,
    ended: Mutex<Ended>,
    leading: watch::Sender<usize>,
}

#[derive(Debug)]
struct Ended {
    by_rank: Vec<bool>,
    leading: usize,
}

impl Progress {
    /// Nothing has ended yet.
    pub(crate) fn new(order: CausalOrder) -> Self {
        let ended = Mutex::new(Ended { by_rank: vec![false; order.len()], leading: 0 });
        Self { order, ended, leading: watch::channel(0).0 }
    }

    /// Waits until all that had ended before exchange `at` began have ended again.
    pub(crate) async fn may_send(&self, at: usize) {
        let gate = self.order.gates[at];
        let mut leading = self.leading.subscribe();
        leading.wait_for(|&leading| leading >= gate).await.expect("the sender lives as long as self");
    }

    /// Says that exchange `at` has ended.
    pub(crate) fn ended(&self, at: usize) {
        let mut ended = self.ended.lock().expect("no one panics while holding this lock");
        ended.by_rank[self.order.end_ranks[at]] = true;
        while ended.by_rank.get(ended.leading).is_some_and(|&done| done) {
            ended.leading += 1;
        }
        self.leading.send_replace(ended.leading);
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

    proptest! {
        #[test]
        fn the_gates_let_through_exactly_when_all_that_had_ended_before_have_ended(spans in any_spans()) {
            let order = CausalOrder::of(&spans);
            for at in 0..spans.len() {
                let first_in_end_order: BTreeSet<_> =
                    (0..spans.len()).filter(|&other| order.end_ranks[other] < order.gates[at]).collect();
                prop_assert_eq!(first_in_end_order, forerunners(&spans, at));
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
        assert_eq!(order.gates, [0, 0, 1, 3]);
    }

    #[test]
    fn a_long_exchange_does_not_hold_back_what_began_before_it_ended() {
        let order = CausalOrder::of(&spans(&[(0, 100), (1, 2), (3, 4), (101, 102)]));
        assert_eq!(order.gates, [0, 0, 1, 3]);
    }

    #[test]
    fn a_later_session_waits_for_all_of_an_earlier_one_whatever_the_clocks_say() {
        let first = Span { session: 0, started_ns: 1_000, ended_ns: 9_000 };
        let second = Span { session: 1, started_ns: 0, ended_ns: 5 };
        assert_eq!(CausalOrder::of(&[first, second]).gates, [0, 1]);
    }

    #[tokio::test]
    async fn in_serial_order_nothing_is_sent_before_the_one_before_has_ended() {
        let progress = Progress::new(CausalOrder::serial(2));
        progress.may_send(0).await;
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), progress.may_send(1)).await;
        assert!(waits.is_err(), "the first is still in flight");
        progress.ended(0);
        progress.may_send(1).await;
    }

    #[tokio::test]
    async fn an_exchange_is_let_through_only_once_the_last_of_its_forerunners_has_ended() {
        let progress = Progress::new(CausalOrder::of(&spans(&[(0, 10), (0, 12), (20, 30)])));
        progress.may_send(0).await;
        progress.may_send(1).await;
        progress.ended(1);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(20), progress.may_send(2)).await;
        assert!(waits.is_err(), "one forerunner is still in flight");
        progress.ended(0);
        progress.may_send(2).await;
    }
}
