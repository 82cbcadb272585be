//! What a process did to a file, its WAL and their folder, and when it told what was answered: in the order in which the
//! system saw it, with every byte. The trace is `strace`'s.
//!
//! A call that changes something is placed where it returned: a sync that began before that may not have seen it. A sync is
//! placed both where it began and where it returned, and what is told where its write began: it was known by then.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::child::{Orders, Process, Told};
use crate::lab::{Lab, skip};

/// What is understood; then all else that would change a file or name one, of which nobody makes use. Not every machine has
/// each of them. Not seen are a file with another name that is put in the place of one of ours (`-P` looks at the first name),
/// and descriptors that `fcntl` doubles: locks are its calls, too, and there are too many.
const TRACED: &str = "trace=?openat,?lseek,?write,?pwrite64,?ftruncate,?fsync,?fdatasync,?unlink,?unlinkat,\
    ?open,?openat2,?creat,?writev,?pwritev,?pwritev2,?truncate,?fallocate,?copy_file_range,?sendfile,?splice,?mmap,?dup,\
    ?dup2,?dup3,?sync_file_range,?rename,?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat";
/// More than is ever written at once.
const LONGEST: &str = "1000000";

/// Files are numbered as they are made: one that is made anew is another, whatever its name.
pub(crate) type FileId = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Made { file: FileId, path: PathBuf },
    Removed { path: PathBuf },
    Written { file: FileId, at: usize, bytes: Vec<u8> },
    Truncated { file: FileId, length: usize },
    SyncBegan { what: Synced, call: usize },
    SyncEnded { what: Synced, call: usize },
    Told(Told),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synced {
    File(FileId),
    Folder,
}

/// Whether processes can be traced here; where not, a line says why.
pub(crate) fn possible() -> bool {
    let probe = Command::new("strace").args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]).output();
    let possible = probe.is_ok_and(|output| output.status.success());
    if !possible {
        skip("strace is not installed, or this machine does not let it trace");
    }
    possible
}

/// A process that carries out orders and is traced. It ends with its stdin, and `strace` with it.
pub(crate) fn start(lab: &Lab, orders: &Orders, trace: &Path) -> Process {
    let program = orders.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-y", "-xx", "-s", LONGEST, "-e", TRACED, "-o"]).arg(trace);
    for path in [lab.path(), lab.wal(), lab.journal(), lab.folder.path().into(), orders.history.clone()] {
        strace.arg("-P").arg(path);
    }
    strace.arg(program.get_program()).args(program.get_args());
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Process(strace.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
}

/// Ends a traced process, so that its trace is whole.
pub(crate) fn end(mut process: Process) {
    drop(process.0.stdin.take());
    process.0.wait().unwrap();
}

/// What the processes did that left these traces, one after the other.
pub(crate) fn read(lab: &Lab, traces: &[PathBuf]) -> Vec<Event> {
    let history = lab.orders().history;
    let mut reader = Reader::new(lab.folder.path(), &history);
    for trace in traces {
        reader.process(&fs::read_to_string(trace).unwrap());
    }
    reader.events
}

/// What an open file descriptor leads to, and where it stands.
struct Open {
    to: Target,
    at: usize,
}

#[derive(Clone, Copy)]
enum Target {
    File(FileId),
    Folder,
    History,
}

/// A call that has begun and not returned.
enum Begun {
    Open {
        path: PathBuf,
        makes: bool,
    },
    Seek {
        fd: u32,
    },
    /// `moves`: it goes on where the last one ended.
    Write {
        fd: u32,
        file: FileId,
        at: usize,
        bytes: Vec<u8>,
        moves: bool,
    },
    Tell {
        length: usize,
    },
    Truncate {
        file: FileId,
        length: usize,
    },
    Remove {
        path: PathBuf,
    },
    Sync {
        what: Synced,
        call: usize,
    },
    /// Of the history, which says nothing of the file.
    SyncHistory,
}

struct Reader<'a> {
    folder: &'a Path,
    history: &'a Path,
    events: Vec<Event>,
    files: usize,
    names: HashMap<PathBuf, FileId>,
    open: HashMap<u32, Open>,
    syncs: usize,
    /// The process ended in the middle of a call of which it cannot be told whether it took effect.
    unsure: bool,
}

impl<'a> Reader<'a> {
    fn new(folder: &'a Path, history: &'a Path) -> Reader<'a> {
        let (events, names, open) = (Vec::new(), HashMap::new(), HashMap::new());
        Reader { folder, history, events, files: 0, names, open, syncs: 0, unsure: false }
    }

    /// Lines are `PID name(…) = result`, or that in two parts, `… <unfinished ...>` and `<... name resumed>…) = result`.
    fn process(&mut self, trace: &str) {
        assert!(!self.unsure, "what the process before has done is not known to the end");
        self.open.clear();
        let mut begun: HashMap<&str, Begun> = HashMap::new();
        for line in trace.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if !rest.starts_with("<... ") {
                let Some((name, arguments)) = rest.split_once('(') else { continue };
                begun.insert(thread, self.begin(name, arguments));
            }
            if rest.ends_with("<unfinished ...>") {
                continue;
            }
            let (_, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {rest}"));
            if !result.starts_with('?') {
                self.end(begun.remove(thread).unwrap(), result);
            }
        }
        for call in begun.into_values() {
            match call {
                // A process may be ended as soon as its last file is seen to be gone, before the call returns.
                Begun::Remove { .. } => self.end(call, "0"),
                Begun::Write { .. } | Begun::Truncate { .. } | Begun::Open { .. } => self.unsure = true,
                Begun::Seek { .. } | Begun::Tell { .. } | Begun::Sync { .. } | Begun::SyncHistory => {}
            }
        }
    }

    fn begin(&mut self, name: &str, arguments: &str) -> Begun {
        let fd = || leading(arguments);
        match name {
            "openat" => {
                let (path, options) = quoted(arguments);
                assert!(!options.contains("O_TRUNC"), "a file is emptied: {arguments}");
                Begun::Open { path: path_of(path), makes: options.contains("O_CREAT") }
            }
            "lseek" => Begun::Seek { fd: fd() },
            "write" | "pwrite64" => self.write(fd(), name, quoted(arguments)),
            "ftruncate" => {
                let length = arguments.split_once(", ").map(|(_, length)| leading(length)).unwrap();
                let Target::File(file) = self.open[&fd()].to else { panic!("not a file of ours: {arguments}") };
                Begun::Truncate { file, length }
            }
            "fsync" | "fdatasync" => self.sync(self.open[&fd()].to),
            "unlink" | "unlinkat" => Begun::Remove { path: path_of(quoted(arguments).0) },
            _ => panic!("nobody was expected to do this: {name}({arguments}"),
        }
    }

    fn write(&mut self, fd: u32, name: &str, (bytes, rest): (Vec<u8>, &str)) -> Begun {
        let (open, moves) = (&self.open[&fd], name == "write");
        // The rest is `, length` or `, length, offset`, and the end.
        let at = if moves { open.at } else { leading(rest.rsplit_once(", ").unwrap().1) };
        match open.to {
            Target::File(file) => Begun::Write { fd, file, at, bytes, moves },
            Target::Folder => panic!("a folder is written"),
            Target::History => {
                // What is told in one write is one line.
                self.events.push(Event::Told(serde_json::from_slice(&bytes).unwrap()));
                Begun::Tell { length: bytes.len() }
            }
        }
    }

    fn sync(&mut self, target: Target) -> Begun {
        let what = match target {
            Target::File(file) => Synced::File(file),
            Target::Folder => Synced::Folder,
            Target::History => return Begun::SyncHistory,
        };
        self.syncs += 1;
        let call = self.syncs;
        self.events.push(Event::SyncBegan { what, call });
        Begun::Sync { what, call }
    }

    fn end(&mut self, begun: Begun, result: &str) {
        let failed = result.starts_with('-');
        let assert_written = |length| assert_eq!(result, format!("{length}"), "a write was cut short, or failed");
        match begun {
            Begun::Open { path, makes } if !failed => self.opened(leading(result), path, makes),
            Begun::Seek { fd } => self.open.get_mut(&fd).unwrap().at = leading(result),
            Begun::Write { fd, file, at, bytes, moves } => {
                assert_written(bytes.len());
                if moves {
                    self.open.get_mut(&fd).unwrap().at += bytes.len();
                }
                self.events.push(Event::Written { file, at, bytes });
            }
            Begun::Tell { length } => assert_written(length),
            Begun::Truncate { file, length } => {
                assert!(!failed, "ftruncate: {result}");
                self.events.push(Event::Truncated { file, length });
            }
            Begun::Remove { path } if !failed => {
                if self.names.remove(&path).is_some() {
                    self.events.push(Event::Removed { path });
                }
            }
            Begun::Sync { what, call } if !failed => self.events.push(Event::SyncEnded { what, call }),
            // What failed has changed nothing: no file was there, or the sync is one that makes sure of nothing.
            Begun::Open { .. } | Begun::Remove { .. } | Begun::Sync { .. } | Begun::SyncHistory => {}
        }
    }

    fn opened(&mut self, fd: u32, path: PathBuf, makes: bool) {
        let to = if path == self.folder {
            Target::Folder
        } else if path == self.history {
            Target::History
        } else if let Some(file) = self.names.get(&path) {
            Target::File(*file)
        } else {
            assert!(makes, "{} was there before", path.display());
            let file = self.files;
            self.files += 1;
            self.names.insert(path.clone(), file);
            self.events.push(Event::Made { file, path });
            Target::File(file)
        };
        self.open.insert(fd, Open { to, at: 0 });
    }
}

/// The number that a text begins with.
fn leading<T: FromStr>(text: &str) -> T {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// The bytes of the first `"\x00…"`, and what comes behind.
fn quoted(text: &str) -> (Vec<u8>, &str) {
    let mut parts = text.splitn(3, '"').skip(1);
    let (digits, rest) = (parts.next().unwrap(), parts.next().unwrap());
    assert!(!rest.starts_with("..."), "longer than is traced");
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    let (bytes, odd) = digits.as_bytes().as_chunks::<4>();
    assert!(odd.is_empty());
    (bytes.iter().map(|[_, _, high, low]| digit(*high) * 16 + digit(*low)).collect(), rest)
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8(bytes).unwrap().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(value: u8) -> char {
        char::from_digit(value.into(), 16).unwrap()
    }

    /// As `strace` writes it, except that it writes letters in hexadecimal, too.
    fn hex(text: &str) -> String {
        text.bytes().flat_map(|byte| ['\\', 'x', digit(byte / 16), digit(byte % 16)]).collect()
    }

    /// What is read of a trace in which every `'text'` stands for `"\x74…"`, behind one in which `/f/a-wal` is made.
    fn events(trace: &str) -> Vec<Event> {
        let made = "7 openat(AT_FDCWD, '/f/a-wal', O_RDWR|O_CREAT, 0644) = 5";
        let text = |(n, part): (usize, &str)| if n % 2 == 1 { format!("\"{}\"", hex(part)) } else { part.to_owned() };
        let trace: String = format!("{made}\n{trace}").split('\'').enumerate().map(text).collect();
        let mut reader = Reader::new(Path::new("/f"), Path::new("/f/h"));
        reader.process(&trace);
        let made = Event::Made { file: 0, path: "/f/a-wal".into() };
        assert_eq!(reader.events.remove(0), made);
        reader.events
    }

    fn written(at: usize, bytes: &str) -> Event {
        Event::Written { file: 0, at, bytes: bytes.into() }
    }

    const BEGAN: Event = Event::SyncBegan { what: Synced::File(0), call: 1 };
    const ENDED: Event = Event::SyncEnded { what: Synced::File(0), call: 1 };

    #[test]
    fn a_trace_is_read() {
        let told = Told::Added { id: "1".into() };
        let line = format!("{}\n", serde_json::to_string(&told).unwrap());
        let length = line.len();
        let trace = format!(
            "8 openat(AT_FDCWD, '/f/h', O_WRONLY|O_CREAT) = 3\n\
             7 openat(AT_FDCWD, '/f/a-journal', O_RDWR) = -1 ENOENT (No such file or directory)\n\
             7 lseek(5, 24, SEEK_SET) = 24\n\
             7 write(5, 'x(', 2) = 2\n\
             7 write(5, 'y', 1) = 1\n\
             7 fdatasync(5 <unfinished ...>\n\
             8 write(3, '{line}', {length}) = {length}\n\
             7 <... fdatasync resumed>) = 0\n\
             7 unlink('/f/a-wal') = -1 EACCES (Permission denied)\n\
             7 pwrite64(5, 'z', 1, 7) = 1\n\
             7 ftruncate(5, 0) = 0\n\
             7 unlink('/f/a-wal') = 0\n\
             8 +++ exited with 0 +++\n"
        );
        let expected = [
            written(24, "x("),
            written(26, "y"),
            BEGAN,
            Event::Told(told),
            ENDED,
            written(7, "z"),
            Event::Truncated { file: 0, length: 0 },
            Event::Removed { path: "/f/a-wal".into() },
        ];
        assert_eq!(events(&trace), expected);
    }

    #[test]
    fn a_write_that_has_not_returned_when_a_sync_begins_comes_after_it() {
        let trace = "7 pwrite64(5, 'x', 1, 0 <unfinished ...>\n\
                     8 fdatasync(5 <unfinished ...>\n\
                     7 <... pwrite64 resumed>) = 1\n\
                     8 <... fdatasync resumed>) = 0\n";
        assert_eq!(events(trace), [BEGAN, written(0, "x"), ENDED]);
    }

    #[test]
    fn a_process_that_is_ended_while_it_removes_a_file_has_removed_it() {
        let removed = [Event::Removed { path: "/f/a-wal".into() }];
        assert_eq!(events("7 unlink('/f/a-wal' <unfinished ...>\n7 +++ exited with 0 +++\n"), removed);
        assert_eq!(events("7 unlink('/f/a-wal') = ?\n7 +++ exited with 0 +++\n"), removed);
    }

    #[test]
    #[should_panic = "a write was cut short"]
    fn a_write_of_a_part_is_not_taken_for_the_whole() {
        events("7 pwrite64(5, 'xy', 2, 0) = 1\n");
    }

    #[test]
    #[should_panic = "ftruncate: -1 EIO"]
    fn a_file_that_was_not_truncated_is_not_taken_for_one_that_was() {
        events("7 ftruncate(5, 0) = -1 EIO (Input/output error)\n");
    }

    #[test]
    #[should_panic = "nobody was expected to do this: writev"]
    fn a_call_that_is_not_understood_is_not_left_out() {
        events("7 writev(5, [{iov_base='x', iov_len=1}], 1) = 1\n");
    }
}
