//! Reading a call's log while it grows.

use std::io::{self, Write};

use vdeploy_runtime::dispatch::CallLog;

/// A place in a log, up to which it was read.
#[derive(Debug)]
pub(super) struct LogTail {
    log: CallLog,
    read: u64,
}

impl LogTail {
    /// The start of `log`, which need not be there yet.
    pub(super) fn new(log: CallLog) -> Self {
        LogTail { log, read: 0 }
    }

    /// Copies what is new as it is.
    pub(super) async fn copy(&mut self, out: &mut impl Write) -> io::Result<()> {
        loop {
            let bytes = self.log.read(self.read).await?;
            if bytes.is_empty() {
                return out.flush();
            }
            out.write_all(&bytes)?;
            self.read += bytes.len() as u64;
        }
    }

    /// Gives whole lines that are new, without their ends; the last one also if it isn't whole,
    /// once the call has `ended`.
    pub(super) async fn lines(
        &mut self,
        ended: bool,
        mut line: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let bytes = self.log.read(self.read).await?;
            let taken = take_lines(&bytes, ended, &mut line)?;
            if taken == 0 {
                return Ok(());
            }
            self.read += taken as u64;
        }
    }
}

/// Gives the lines in `bytes`, and says how many bytes they are.
fn take_lines(
    bytes: &[u8],
    ended: bool,
    line: &mut impl FnMut(&str) -> io::Result<()>,
) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        let rest = &bytes[taken..];
        let window = &rest[..rest.len().min(LONGEST_LINE)];
        let end = match window.iter().position(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if ended || window.len() == LONGEST_LINE => window.len(),
            None => break,
        };
        line(String::from_utf8_lossy(&rest[..end]).trim_end_matches(['\n', '\r']))?;
        taken += end;
    }
    Ok(taken)
}

/// Bytes after which a line without an end is taken for one.
const LONGEST_LINE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(tail: &mut LogTail, ended: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut collect = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        tail.lines(ended, &mut collect).await.unwrap();
        lines
    }

    #[tokio::test]
    async fn lines_come_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = LogTail::new(CallLog::File(path.clone()));
        assert!(lines(&mut tail, false).await.is_empty());
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(lines(&mut tail, false).await, ["one"]);
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(lines(&mut tail, false).await, ["two"]);
        assert_eq!(lines(&mut tail, true).await, ["thr"]);
        assert!(lines(&mut tail, true).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_cut_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, vec![b'x'; LONGEST_LINE + 1]).unwrap();
        let mut tail = LogTail::new(CallLog::File(path));
        assert_eq!(lines(&mut tail, false).await.len(), 1);
        assert_eq!(lines(&mut tail, true).await, ["x"]);
    }
}
