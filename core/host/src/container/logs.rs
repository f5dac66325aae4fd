//! What a container writes, line by line, within bounds.

use std::sync::{Arc, Mutex};

use bollard::{container::LogOutput, query_parameters as query};
use exchange::{LogLine, Stream};
use futures_util::StreamExt;

/// Longest log line kept, in bytes; the rest of it is left out.
const LOG_LINE_BYTES_MAX: usize = 64 << 10;
/// Most log lines kept of one run. A choice; what is left out is said by a last line.
const LOG_LINES_MAX: usize = 100_000;

/// Reads the container's output line by line until it ends.
pub(super) async fn follow(
    engine: bollard::Docker,
    id: String,
    logs: Arc<Mutex<Vec<LogLine>>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
) {
    let options = query::LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut output = Box::pin(engine.logs(&id, Some(options)));
    let mut unfinished: [Vec<u8>; 2] = Default::default();
    while let Some(Ok(piece)) = output.next().await {
        let stream = if matches!(piece, LogOutput::StdErr { .. }) { Stream::Stderr } else { Stream::Stdout };
        let rest = &mut unfinished[usize::from(stream == Stream::Stderr)];
        let at_ns = clock();
        for part in piece.into_bytes().split_inclusive(|&byte| byte == b'\n') {
            let room = LOG_LINE_BYTES_MAX.saturating_sub(rest.len());
            rest.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                keep(&logs, at_ns, stream, &std::mem::take(rest));
            }
        }
    }
    let at_ns = clock();
    for (rest, stream) in unfinished.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
        if !rest.is_empty() {
            keep(&logs, at_ns, stream, &rest);
        }
    }
}

fn keep(logs: &Mutex<Vec<LogLine>>, at_ns: u64, stream: Stream, line: &[u8]) {
    let mut logs = logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = match logs.len() {
        0..LOG_LINES_MAX => String::from_utf8_lossy(line.trim_ascii_end()).into_owned(),
        LOG_LINES_MAX => format!("(more than {LOG_LINES_MAX} lines: the rest is not kept)"),
        _ => return,
    };
    logs.push(LogLine { at_ns, stream, text });
}
