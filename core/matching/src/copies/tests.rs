use exchange::Head;
use proptest::prelude::*;

use super::*;
use crate::{AsRecorded, Recorded, Scope};

fn head() -> Head {
    Head::new("POST /chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\r\n")
}

/// Copies of recorded calls with these bodies, numbered from 1.
fn copies(count: u32, bodies: &[&str]) -> Copies {
    let mut library = Library::new(Box::new(AsRecorded));
    for (number, body) in (1..).zip(bodies) {
        let (dependency, body) = ("llm".to_owned(), body.as_bytes().to_vec());
        let (scope, conversation) = (None, None);
        library.add(Recorded { id: Id([number; 16]), dependency, scope, conversation, head: head(), body });
    }
    Copies::new(library, count)
}

/// The copy whose recording answers; `None` for a miss.
fn ask(copies: &mut Copies, body: &str, made_by: &[u32]) -> Option<u32> {
    let head = head();
    let call = Call { dependency: "llm", scope: None, conversation: None, head: &head, body: body.as_bytes() };
    let asked = copies.reader().read(call);
    copies.ask(call, &asked, made_by).copy
}

#[test]
fn a_copy_that_is_late_is_answered_though_one_that_is_through_may_have_had_its_recording() {
    let mut copies = copies(2, &["{}"]);
    assert_eq!(ask(&mut copies, "{}", &[0, 1]), Some(0), "it was the second copy's, which nobody knows");
    assert_eq!(ask(&mut copies, "{}", &[0]), Some(1), "the second copy is through by now");
    assert_eq!((copies.never_asked(0), copies.never_asked(1)), (vec![], vec![]));
    assert_eq!(ask(&mut copies, "{}", &[0]), None);
    copies.begin_anew();
    assert_eq!(ask(&mut copies, "{}", &[1]), Some(1));
}

#[test]
fn a_call_too_many_is_missed_where_no_other_copy_may_have_made_one_before() {
    let mut copies = copies(3, &["{}", "[]"]);
    assert_eq!(ask(&mut copies, "[]", &[0, 1, 2]), Some(0));
    assert_eq!(ask(&mut copies, "{}", &[0]), Some(0));
    assert_eq!(ask(&mut copies, "{}", &[0]), None, "only another call was shared");
    assert_eq!(ask(&mut copies, "1", &[0, 1]), None, "nothing equals it");
}

#[test]
fn calls_give_way_one_after_the_other() {
    let mut copies = copies(3, &["{}"]);
    assert_eq!(ask(&mut copies, "{}", &[0, 1]), Some(0));
    assert_eq!(ask(&mut copies, "{}", &[1, 2]), Some(1));
    assert_eq!(ask(&mut copies, "{}", &[0]), Some(2), "the first goes to copy 1, whose own goes to copy 2");
    assert_eq!(ask(&mut copies, "{}", &[0, 1, 2]), None);
}

/// True where the calls can be shared out so that each copy has `left` of them at most: tries all ways.
fn can_be_shared_out(calls: &[BTreeSet<u32>], left: &mut [u32]) -> bool {
    let Some((first, others)) = calls.split_first() else { return true };
    first.iter().any(|&copy| {
        let at = copy as usize;
        if left[at] == 0 {
            return false;
        }
        left[at] -= 1;
        let shared = can_be_shared_out(others, left);
        left[at] += 1;
        shared
    })
}

proptest! {
    #[test]
    fn a_call_is_missed_exactly_where_no_way_of_sharing_them_out_answers_all(
        recorded in 1..3_u32,
        calls in proptest::collection::vec(proptest::collection::btree_set(0..4_u32, 1..4), 0..9),
    ) {
        let mut copies = copies(4, &vec!["{}"; recorded as usize]);
        let mut answered: Vec<BTreeSet<u32>> = Vec::new();
        for made_by in calls {
            let mut all = answered.clone();
            all.push(made_by.clone());
            let expected = can_be_shared_out(&all, &mut [recorded; 4]);
            let made_by_list: Vec<u32> = made_by.into_iter().collect();
            prop_assert_eq!(ask(&mut copies, "{}", &made_by_list).is_some(), expected);
            if expected {
                answered = all;
            }
        }
        let left: usize = (0..4).map(|copy| copies.never_asked(copy).len()).sum();
        prop_assert_eq!(left + answered.len(), 4 * recorded as usize);
    }
}

#[test]
fn a_call_that_equals_no_recording_takes_that_of_the_first_copy_which_has_it_left() {
    let mut copies = copies(2, &["[1]"]);
    let serve = |copies: &mut Copies, made_by: &[u32]| {
        let head = head();
        let call = Call { dependency: "llm", scope: None, conversation: None, head: &head, body: b"[9]" };
        let asked = copies.reader().read(call);
        copies.stand_in(0, (call, &asked), &[Id([1; 16])], made_by).map(|placed| placed.copy)
    };
    assert_eq!(serve(&mut copies, &[0, 1]), Some(0));
    assert_eq!(serve(&mut copies, &[0, 1]), Some(1));
    assert_eq!(serve(&mut copies, &[0, 1]), None);
}

/// One copy of these recorded calls of one exchange, numbered from 1.
fn of_one_exchange(bodies: &[&str]) -> Copies {
    let mut library = Library::new(Box::new(AsRecorded));
    for (number, body) in (1..).zip(bodies) {
        let (dependency, body, scope) = ("llm".to_owned(), body.as_bytes().to_vec(), Some(scope("a")));
        let conversation = None;
        library.add(Recorded { id: Id([number; 16]), dependency, scope, conversation, head: head(), body });
    }
    Copies::new(library, 1)
}

fn scope(key: &str) -> Scope {
    Scope { key: key.to_owned(), certainty: exchange::Certainty::Recorded }
}

/// The recording that answers, and who gave way, each with what is its now.
fn ask_own(copies: &mut Copies, of: &str, body: &str) -> (Option<u8>, Moves) {
    let (head, scope) = (head(), scope(of));
    let call = Call { dependency: "llm", scope: Some(&scope), conversation: None, head: &head, body: body.as_bytes() };
    let asked = copies.reader().read(call);
    let reply = copies.ask(call, &asked, &[0]);
    let found = if let Looked::Found(found) = reply.looked { Some(found.id.0[0]) } else { None };
    (found, moves(&reply.moved))
}

/// Who gave way, each with what is its now.
type Moves = Vec<(u64, Option<u8>)>;

fn moves(moved: &[Moved]) -> Moves {
    moved.iter().map(|moved| (moved.number, moved.to.as_ref().map(|found| found.id.0[0]))).collect()
}

fn stand_in(copies: &mut Copies, of: &str, number: u64, would_do: &[u8]) -> Option<(u8, Moves)> {
    let (head, scope) = (head(), scope(of));
    let call = Call { dependency: "llm", scope: Some(&scope), conversation: None, head: &head, body: b"[9]" };
    let asked = copies.reader().read(call);
    let would_do: Vec<Id> = would_do.iter().map(|&number| Id([number; 16])).collect();
    let placed = copies.stand_in(number, (call, &asked), &would_do, &[0])?;
    Some((placed.found.id.0[0], moves(&placed.moved)))
}

#[test]
fn a_call_that_stands_in_for_a_recording_gives_way_to_the_one_that_equals_it() {
    let mut copies = of_one_exchange(&["[1]", "[2]"]);
    assert_eq!(stand_in(&mut copies, "a", 7, &[1, 2]), Some((1, vec![])));
    assert_eq!(ask_own(&mut copies, "a", "[1]"), (Some(1), vec![(7, Some(2))]));
    assert_eq!(ask_own(&mut copies, "a", "[1]"), (None, vec![]), "it was asked once more than it was recorded");
    assert_eq!(ask_own(&mut copies, "a", "[2]"), (Some(2), vec![(7, None)]), "one call too many was made");
    assert_eq!(ask_own(&mut copies, "a", "[2]"), (None, vec![]));
    assert_eq!(copies.never_asked(0), []);
    copies.begin_anew();
    assert_eq!(ask_own(&mut copies, "a", "[1]"), (Some(1), vec![]));
}

#[test]
fn a_call_takes_its_own_back_before_it_borrows_another_exchanges() {
    let mut copies = of_one_exchange(&["[1]", "[2]"]);
    let (dependency, body, conversation) = ("llm".to_owned(), b"[1]".to_vec(), None);
    let other = Recorded { id: Id([3; 16]), dependency, scope: Some(scope("b")), conversation, head: head(), body };
    copies.libraries[0].add(other);
    assert_eq!(stand_in(&mut copies, "a", 7, &[1, 2]), Some((1, vec![])));
    assert_eq!(ask_own(&mut copies, "a", "[1]"), (Some(1), vec![(7, Some(2))]));
}

#[test]
fn calls_that_stand_in_give_way_to_one_that_has_no_other_recording() {
    let mut copies = of_one_exchange(&["[1]", "[2]", "[3]"]);
    assert_eq!(stand_in(&mut copies, "a", 7, &[1, 2]), Some((1, vec![])));
    assert_eq!(stand_in(&mut copies, "a", 8, &[2, 3]), Some((2, vec![])));
    assert_eq!(stand_in(&mut copies, "a", 9, &[1]), Some((1, vec![(7, Some(2)), (8, Some(3))])));
    assert_eq!(stand_in(&mut copies, "a", 10, &[1, 2, 3]), None);
    let mut copies = of_one_exchange(&["[1]"]);
    assert_eq!(stand_in(&mut copies, "b", 7, &[1]), None, "it is another exchange's");
    assert_eq!(stand_in(&mut copies, "a", 8, &[4, 1]), Some((1, vec![])), "there is no fourth");
    assert_eq!(copies.never_asked(0), []);
}
