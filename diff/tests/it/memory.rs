//! How much memory it takes to compare two large files: measured as the largest resident set of a process of its own, which
//! nextest gives each test (proc(5): what is written to `clear_refs` begins `VmHWM` anew).

use std::fs;

use diff::{ComparedAs, Comparison, Rules, compare_documents_within};

/// What is not ours: pages of the allocator, of the stack, of the code that runs.
const ASIDE_BYTES: u64 = 4 << 20;

/// Of `VmRSS` or `VmHWM`, in bytes.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Compares, and says how many bytes were taken at most beside the files.
fn measured(one: &str, other: &str, memory_bytes: u64) -> (Comparison, u64) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident("VmRSS");
    let comparison = compare_documents_within(one.as_bytes(), other.as_bytes(), &Rules::strict(), memory_bytes);
    (comparison, resident("VmHWM").saturating_sub(before).saturating_sub(ASIDE_BYTES))
}

/// Records as an API lists them, in one document of so many bytes.
fn records(bytes: usize) -> String {
    let mut text = "{\"items\":[".to_owned();
    let mut number = 0;
    while text.len() < bytes {
        let comma = if number > 0 { "," } else { "" };
        text += &format!(
            r#"{comma}{{"id":"item-{number:09}","title":"Invoice {number}","body":"The invoice of \"{}\" is paid within {number} days, says billing.","score":0.0{number},"tags":["invoice","q1"],"note":null}}"#,
            number % 977
        );
        number += 1;
    }
    text + "]}"
}

#[test]
fn two_documents_of_50_mb_are_compared_member_by_member_within_the_memory_that_they_may_take() {
    let one = records(50_000_000);
    let other = one.replacen("is paid within 5000 days", "was paid within 5000 days", 1);
    let memory_bytes = 768 << 20;
    let (comparison, taken) = measured(&one, &other, memory_bytes);
    assert_eq!((comparison.compared_as, comparison.coarse), (ComparedAs::Json, false));
    assert_eq!(comparison.changes.len(), 1);
    assert_eq!(comparison.changes[0].pointer, "/items/5000/body");
    assert!(taken + one.len() as u64 + other.len() as u64 <= memory_bytes, "{taken} bytes beside the files");
    // The second has a table for what is not in the first alone.
    assert!(taken <= one.len() as u64 * 2, "{taken} bytes beside the files");
}

#[test]
fn files_made_to_take_memory_take_no_more_than_they_may() {
    const FILE_BYTES: usize = 20_000_000;
    let pieces = ["1,", "\"\\n\",", "[],", "{\"\\n\":\"\\n\"},", "1\n", "\n", "{}\n", "\"\\n\"\n"];
    for piece in pieces {
        for memory_bytes in [100 << 20, 400 << 20] {
            let middle = piece.repeat(FILE_BYTES / piece.len());
            let file = |first: &str, last: &str| {
                if piece.ends_with('\n') {
                    format!("{first}\n{middle}{last}\n")
                } else {
                    format!("[{first},{middle}{last}]")
                }
            };
            let (one, other) = (file("1", "3"), file("2", "4"));
            let (comparison, taken) = measured(&one, &other, memory_bytes);
            assert!(!comparison.is_equal());
            let all = taken + one.len() as u64 + other.len() as u64;
            assert!(all <= memory_bytes, "{piece:?}: {all} bytes of {memory_bytes}, as {:?}", comparison.compared_as);
        }
    }
}
