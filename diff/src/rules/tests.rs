use super::*;
use crate::ChangeKind;

fn rules(texts: &[&str]) -> Rules {
    texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap()
}

fn refused(text: &str) -> String {
    Rules::strict().ignoring(text).unwrap_err().to_string()
}

fn place(text: &str) -> Place {
    rules(&[text]).rules.remove(0).place
}

#[test]
fn a_rule_names_its_place_by_how_it_begins() {
    let pattern = |text: &str| Pattern::parse(text).unwrap();
    assert_eq!(place("/choices/*/id"), Place::Body(pattern("/choices/*/id")));
    assert_eq!(place("/a key with spaces"), Place::Body(pattern("/a key with spaces")));
    assert_eq!(place("status"), Place::Status);
    assert_eq!(place("header:X-Request-Cost"), Place::Header("x-request-cost".to_owned()));
    assert_eq!(place("sse:/id"), Place::EventData(pattern("/id")));
    assert_eq!(place("sse:"), Place::EventData(pattern("")));
    assert_eq!(place("sse:id"), Place::EventField(EventField::Id));
    let dependency = "openai".to_owned();
    assert_eq!(
        place("dep:openai:/user"),
        Place::CallRequest { dependency: dependency.clone(), pattern: pattern("/user") }
    );
    assert_eq!(place("dep:openai:response:/id"), Place::CallResponse { dependency, pattern: pattern("/id") });
    for host in ["api.test:8443", "[::1]:8443", "[::1]", "v2"] {
        let expected = Place::CallRequest { dependency: host.to_owned(), pattern: pattern("/id") };
        assert_eq!(place(&format!("dep:{host}:/id")), expected);
    }
}

#[test]
fn a_route_before_the_pointer_limits_the_rule() {
    let rules = rules(&["POST /tickets/* /id", "* /** header:etag"]);
    let body_rules = |method: &str, path: &str| rules.for_response(&Route::new(method, path)).body.len();
    assert_eq!(body_rules("POST", "/tickets/7"), 1);
    assert_eq!(body_rules("GET", "/tickets/7"), 0);
    assert_eq!(body_rules("POST", "/tickets"), 0);
    assert_eq!(rules.for_response(&Route::new("GET", "/x")).for_header("etag"), Some(1));
    assert!(rules.for_document().body.is_empty(), "a file has no route");
}

#[test]
fn what_is_no_rule_is_refused_with_the_column_and_what_is_expected() {
    insta::assert_snapshot!(refused("id"), @"rule `id`, column 1: neither a pointer (`/…`, `status`, `header:NAME`, `sse:/…`, `dep:NAME:/…`) nor a method in upper case");
    insta::assert_snapshot!(refused("/a/b*c"), @"rule `/a/b*c`, column 5: `*` and `**` stand alone in a step; a literal `*` is written `~2`");
    insta::assert_snapshot!(refused("  /é/~x"), @"rule `  /é/~x`, column 6: after `~` comes 0 (for `~`), 1 (for `/`) or 2 (for `*`)");
    insta::assert_snapshot!(refused("POST tickets /id"), @"rule `POST tickets /id`, column 6: a path that begins with `/` is expected after the method");
    insta::assert_snapshot!(refused("POST /tickets id"), @"rule `POST /tickets id`, column 15: a pointer begins with `/`");
    insta::assert_snapshot!(refused("POST /tickets"), @"rule `POST /tickets`, column 14: a pointer is expected: `/…`, `status`, `header:NAME`, `sse:/…` or `dep:NAME:/…`");
    insta::assert_snapshot!(refused("header:"), @"rule `header:`, column 8: the name of a header field is expected");
    insta::assert_snapshot!(refused("sse:7"), @"rule `sse:7`, column 5: a pointer begins with `/`");
    insta::assert_snapshot!(refused("dep:/user"), @"rule `dep:/user`, column 5: `dep:` is followed by a dependency's name and `:`, as in `dep:openai:/user`");
    insta::assert_snapshot!(refused("POST /t dep:openai:/user"), @"rule `POST /t dep:openai:/user`, column 1: a rule for a dependency takes no route: the call's own route is not the service's");
    insta::assert_snapshot!(refused(" "), @"rule ` `, column 2: a pointer is expected: `/…`, `status`, `header:NAME`, `sse:/…` or `dep:NAME:/…`");
    insta::assert_snapshot!(refused("statuses"), @"rule `statuses`, column 7: nothing may follow `status`");
    assert!(Rules::strict().ignoring("id").unwrap_err().help().unwrap().contains("/id"));
}

#[test]
fn the_same_rule_twice_is_one_rule() {
    assert_eq!(rules(&["/id", " /id "]).texts().collect::<Vec<_>>(), ["/id"]);
}

#[test]
fn what_a_dependency_rule_covers_is_taken_out_of_the_call_and_told() {
    let rules = rules(&["dep:llm:/**/id", "dep:store:/at", "/x"]);
    assert!(rules.has_any_for_dependency("llm") && !rules.has_any_for_dependency("other"));
    let mut body = content::json::parse(br#"{"id":1,"messages":[{"id":2,"text":"hi"}],"at":3,"x":4}"#).unwrap();
    let taken = rules.take_out_of_call("llm", &mut body);
    assert_eq!(body.to_compact_text(), r#"{"messages":[{"text":"hi"}],"at":3,"x":4}"#);
    let places: Vec<_> = taken.iter().map(|taken| (taken.rule.as_str(), taken.pointer.as_str())).collect();
    assert_eq!(places, [("dep:llm:/**/id", "/id"), ("dep:llm:/**/id", "/messages/0/id")]);
    assert_ne!(taken[0].digest, taken[1].digest);
}

#[test]
fn of_very_many_places_taken_out_the_last_stands_for_all_that_follow() {
    let rules = rules(&["dep:llm:/*"]);
    let taken = |last: u8| {
        let mut body = content::json::parse(format!("[{}{last}]", "0,".repeat(5_000)).as_bytes()).unwrap();
        rules.take_out_of_call("llm", &mut body)
    };
    assert_eq!(taken(1).len(), TAKEN_OUT_LEN_MAX);
    assert_ne!(taken(1).last(), taken(2).last());
    assert_eq!(taken(1), taken(1));
}

#[test]
fn uses_of_the_same_rule_are_added_up() {
    let used = |rule: &str, count| RuleUse { rule: rule.to_owned(), pointer: rule.to_owned(), count, reason: None };
    let mut all = vec![used("/a", 1)];
    RuleUse::merge(&mut all, &[used("/b", 2), used("/a", 3)]);
    assert_eq!(all, [used("/a", 4), used("/b", 2)]);
}

proptest::proptest! {
    #[test]
    fn no_text_at_all_makes_reading_a_rule_panic(text in "(POST |\\* |/|~|\\*|dep:|sse:|header:|status|:|é| |a){0,8}") {
        if let Err(error) = Rules::strict().ignoring(&text) {
            proptest::prop_assert!(error.column >= 1);
        }
    }
}

#[test]
fn a_rule_covers_a_place_and_all_below_it_as_a_comparison_would() {
    let rules = Rules::strict().ignoring("/choices/*/id").unwrap().ignoring("POST /a header:x-served-by").unwrap();
    let rules = rules.ignoring("sse:/id").unwrap().ignoring("sse:retry").unwrap();
    let change = |pointer: &str| Change::at(pointer, ChangeKind::Changed);
    let cover = |pointer: &str| rules.cover(&Route::new("POST", "/a"), &change(pointer));
    for pointer in ["/choices/0/id", "/choices/12/id/deep", "header:x-served-by", "sse:/id", "sse:retry"] {
        assert!(cover(pointer), "{pointer}");
    }
    for pointer in ["/choices/0", "/choices", "", "status", "header:etag", "sse:/other", "sse:event", "/id"] {
        assert!(!cover(pointer), "{pointer}");
    }
    assert!(!rules.cover(&Route::new("GET", "/a"), &change("header:x-served-by")));
    assert!(Rules::strict().ignoring("/**").unwrap().cover(&Route::default(), &change("")));
}

#[test]
fn a_tolerance_covers_numbers_that_are_near_and_no_others() {
    let rules = Rules::strict().ignoring("tolerance /scores/*=abs:1").unwrap();
    let rules = rules.ignoring("tolerance sse:/score=rel:0.1").unwrap();
    let cover = |pointer: &str, one: &str, other: &str| {
        let shown = |text: &str| Some(crate::Shown::beginning_of(text));
        let change =
            Change { recorded: shown(one), replayed: shown(other), ..Change::at(pointer, ChangeKind::Changed) };
        rules.cover(&Route::default(), &change)
    };
    assert!(cover("/scores/1", "0.5", "0.9") && cover("sse:/score", "100", "95"));
    assert!(
        !cover("/scores/1", "0.5", "1.9") && !cover("/scores", "0.5", "0.9") && !cover("/scores/1/a", "0.5", "0.9")
    );
    assert!(!cover("/scores/1", "\"0.5\"", "\"0.9\"") && !cover("/score", "100", "95"));
}
