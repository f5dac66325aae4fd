use exchange::{Context, Digests, End, Head, Request, Role, Times, Transport};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn failing() -> Exchange {
    Exchange {
        id: Id([0x3f; 16]),
        session: Id([2; 16]),
        sequence: 0,
        role: Role::Ingress,
        transport: Transport::Http1,
        request: Request { head: Head::new("POST /tickets HTTP/1.1\r\n\r\n"), body: exchange::Body::default() },
        interim: Vec::new(),
        response: None,
        end: End::Complete,
        times: Times { started_ns: 20 * SECOND, ended_ns: 21 * SECOND, ..Times::default() },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    }
}

fn used_at(seconds: u64, numbers: &[(&str, u64)]) -> Moment {
    let numbers = numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let what = What::Used { subject: "triage".to_owned(), since_ns: Some(SECOND), numbers };
    Moment { at_ns: seconds * SECOND, what }
}

fn at(at_ns: u64, what: What) -> Moment {
    Moment { at_ns, what }
}

fn log(subject: &str, stream: Stream, text: &str) -> What {
    What::Log { subject: subject.to_owned(), stream, text: text.to_owned() }
}

fn moments() -> Vec<Moment> {
    let other = |ended: Option<&str>| What::Other {
        id: Id([0x77; 16]),
        dependency: Some("model".to_owned()),
        title: "POST /v1/chat".to_owned(),
        ended: ended.map(str::to_owned),
    };
    vec![
        used_at(19, &[(column::CPU_US, 40_000), (column::MEMORY_BYTES, 30 << 20), (column::THROTTLED_US, 0)]),
        at(20 * SECOND, What::Begin),
        at(20 * SECOND + 5_000_000, log("triage", Stream::Stderr, "queue full\x1b[2J")),
        at(20 * SECOND + 9_000_000, other(None)),
        at(20 * SECOND + 900_000_000, other(Some("200"))),
        used_at(
            21,
            &[
                (column::CPU_US, 98_000),
                (column::THROTTLED, 9),
                (column::THROTTLED_US, 870_000),
                (column::MEMORY_BYTES, 63 << 20),
                (column::MEMORY_LIMIT_BYTES, 64 << 20),
                (column::PRESSURE_MEMORY_US, 120_000),
                (column::OOM_KILLS, 1),
            ],
        ),
        at(21 * SECOND, What::End { how: "500".to_owned() }),
        at(22 * SECOND, What::LogGap { subject: "triage".to_owned(), missed: 12 }),
        at(23 * SECOND, What::Service { text: "triage: die, exit status 137".to_owned() }),
    ]
}

#[test]
fn a_failure_reads_with_what_surrounded_it() {
    let (exchange, moments) = (failing(), moments());
    let page =
        AroundPage { exchange: &exchange, session: None, around_ns: 10 * SECOND, moments: &moments, left_out: 3 };
    insta::assert_snapshot!(around_page(&page, Style::PLAIN), @r"
    3f3f3f3f3f3f POST /tickets, began 20.00 s into a session that is not here

           AT  WHAT
      -1.00 s  used     CPU 4 %, memory 30.0 MiB
            0  begins
      +5.0 ms  log err  queue full\x1b[2J
      +9.0 ms  call     777777777777 model: POST /v1/chat begins
    +900.0 ms  call     777777777777 model: POST /v1/chat ends, 200
      +1.00 s  used     CPU 9 %, throttled for 870.0 ms in 9 periods, memory 63.0 MiB of 64.0 MiB, 1 killed for want of memory, waited 120.0 ms for memory
      +1.00 s  ends     500
      +2.00 s  log      (12 more, not recorded: too fast)
      +3.00 s  service  triage: die, exit status 137
    not seen where it was recorded: pressure, GPU
    3 more, farther from the exchange, are left out: give a shorter time
    ");
}

#[test]
fn of_several_containers_each_line_says_whose_it_is() {
    let exchange = failing();
    let moments = [
        at(20 * SECOND, What::Begin),
        at(20 * SECOND, log("web-1", Stream::Stdout, "asked")),
        at(20 * SECOND, log("web-2", Stream::Stderr, "full")),
        used_at(21, &[(column::CPU_US, 40_000)]),
        at(22 * SECOND, What::LogGap { subject: "web-2".to_owned(), missed: 2 }),
    ];
    let page = AroundPage { exchange: &exchange, session: None, around_ns: SECOND, moments: &moments, left_out: 0 };
    let text = around_page(&page, Style::PLAIN);
    insta::assert_snapshot!(text, @r"
    3f3f3f3f3f3f POST /tickets, began 20.00 s into a session that is not here

         AT  WHAT
          0  begins
          0  log      web-1 | asked
          0  log err  web-2 | full
    +1.00 s  used     triage | CPU 4 %
    +2.00 s  log      web-2 | (2 more, not recorded: too fast)
    not seen where it was recorded: throttling, pressure, GPU
    ");
}

#[test]
fn what_is_missing_is_said_and_the_document_has_the_same() {
    let exchange = failing();
    let page = AroundPage { exchange: &exchange, session: None, around_ns: SECOND, moments: &[], left_out: 0 };
    assert!(
        around_page(&page, Style::PLAIN).ends_with("no log lines and no samples from 1.00 s before to as long after\n")
    );
    let moments = moments();
    let read: serde_json::Value =
        serde_json::from_str(&around_json(&AroundPage { moments: &moments, ..page })).unwrap();
    assert_eq!((&read["schema"], &read["moments"][0]["kind"]), (&json!("retake.around/0"), &json!("used")));
    assert_eq!(read["moments"][5]["numbers"][column::THROTTLED], 9);
    assert_eq!((&read["from_ns"], &read["unseen"]), (&json!(19 * SECOND), &json!(["pressure", "GPU"])));
}
