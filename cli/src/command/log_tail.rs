//! Reading a call's log while it grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// A place in a log, up to which it was read.
#[derive(Debug)]
pub(super) struct LogTail {
    path: PathBuf,
    read: u64,
}

impl LogTail {
    /// The start of the log at `path`, which need not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        LogTail { path, read: 0 }
    }

    /// Copies what is new as it is.
    pub(super) fn copy(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(mut log) = self.open()? {
            self.read += io::copy(&mut log, out)?;
            out.flush()?;
        }
        Ok(())
    }

    /// Gives whole lines that are new, without their ends; the last one also if it isn't whole,
    /// once the call has `ended`.
    pub(super) fn lines(
        &mut self,
        ended: bool,
        mut line: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(log) = self.open()? else { return Ok(()) };
        let mut log = BufReader::new(log);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let count = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? as u64;
            let whole = bytes.ends_with(b"\n") || count == LONGEST_LINE;
            if count == 0 || !(whole || ended) {
                return Ok(());
            }
            self.read += count;
            line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']))?;
        }
    }

    /// The part that wasn't read; none when nothing was ever logged.
    fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(mut log) => {
                log.seek(SeekFrom::Start(self.read))?;
                Ok(Some(log))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Bytes after which a line without an end is taken for one.
const LONGEST_LINE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(tail: &mut LogTail, ended: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let mut collect = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        tail.lines(ended, &mut collect).unwrap();
        lines
    }

    #[test]
    fn lines_come_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = LogTail::new(path.clone());
        assert!(lines(&mut tail, false).is_empty());
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(lines(&mut tail, false), ["one"]);
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        assert_eq!(lines(&mut tail, false), ["two"]);
        assert_eq!(lines(&mut tail, true), ["thr"]);
        assert!(lines(&mut tail, true).is_empty());
    }

    #[test]
    fn a_line_without_an_end_is_cut_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, vec![b'x'; LONGEST_LINE as usize + 1]).unwrap();
        let mut tail = LogTail::new(path);
        assert_eq!(lines(&mut tail, false).len(), 1);
        assert_eq!(lines(&mut tail, true), ["x"]);
    }
}
