//! What a process did to a file, its WAL and their folder, and when it told what was answered: in the order in which the
//! system saw it, with every byte. The trace is `strace`'s.
//!
//! A call that takes effect is placed where it began, and a sync also where it ended: what is told behind that was told by
//! a process that knew of it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::child::{Orders, Process, Told};
use crate::lab::Lab;

const TRACED: &str =
    "trace=openat,lseek,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2";
/// More than is ever written at once.
const LONGEST: &str = "1000000";

/// Files are numbered as they are made: one that is made anew is another, whatever its name.
pub(crate) type FileId = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Made { file: FileId, path: PathBuf },
    Removed { path: PathBuf },
    Written { file: FileId, at: usize, bytes: Vec<u8> },
    Cut { file: FileId, length: usize },
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
        eprintln!("SKIPPED: strace is not installed, or this machine does not let it trace");
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

/// A call that has begun and not ended.
enum Begun {
    Open { path: PathBuf, makes: bool },
    Seek { fd: u32 },
    Sync { what: Synced, call: usize },
    Write { fd: u32, length: usize },
    Other,
}

struct Reader<'a> {
    folder: &'a Path,
    history: &'a Path,
    events: Vec<Event>,
    files: usize,
    names: HashMap<PathBuf, FileId>,
    open: HashMap<u32, Open>,
    calls: usize,
}

impl<'a> Reader<'a> {
    fn new(folder: &'a Path, history: &'a Path) -> Reader<'a> {
        let (events, names, open) = (Vec::new(), HashMap::new(), HashMap::new());
        Reader { folder, history, events, files: 0, names, open, calls: 0 }
    }

    /// Lines are `PID name(…) = result`, or that in two parts, `… <unfinished ...>` and `<... name resumed>…) = result`.
    fn process(&mut self, trace: &str) {
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
            self.end(begun.remove(thread).unwrap(), result);
        }
    }

    fn begin(&mut self, name: &str, arguments: &str) -> Begun {
        self.calls += 1;
        let fd = || leading(arguments);
        match name {
            "openat" => {
                let (path, options) = quoted(arguments);
                return Begun::Open { path: path_of(path), makes: options.contains("O_CREAT") };
            }
            "lseek" => return Begun::Seek { fd: fd() },
            "write" | "pwrite64" => return self.write(fd(), name, quoted(arguments)),
            "ftruncate" => {
                let length = arguments.split_once(", ").map(|(_, length)| leading(length)).unwrap();
                let Target::File(file) = self.open[&fd()].to else { panic!("cut: {arguments}") };
                self.events.push(Event::Cut { file, length });
            }
            "fsync" | "fdatasync" => {
                let (call, what) = (
                    self.calls,
                    match self.open[&fd()].to {
                        Target::File(file) => Synced::File(file),
                        Target::Folder => Synced::Folder,
                        Target::History => return Begun::Other,
                    },
                );
                self.events.push(Event::SyncBegan { what, call });
                return Begun::Sync { what, call };
            }
            "unlink" | "unlinkat" => {
                let path = path_of(quoted(arguments).0);
                if self.names.remove(&path).is_some() {
                    self.events.push(Event::Removed { path });
                }
            }
            _ => panic!("nobody was expected to do this: {name}({arguments}"),
        }
        Begun::Other
    }

    fn write(&mut self, fd: u32, name: &str, (bytes, rest): (Vec<u8>, &str)) -> Begun {
        let open = &self.open[&fd];
        let length = bytes.len();
        // The rest is `, length` or `, length, offset`, and the end.
        let at = if name == "write" { open.at } else { leading(rest.rsplit_once(", ").unwrap().1) };
        match open.to {
            Target::File(file) => self.events.push(Event::Written { file, at, bytes }),
            Target::Folder => panic!("a folder is written"),
            // What is told in one write is one line.
            Target::History => self.events.push(Event::Told(serde_json::from_slice(&bytes).unwrap())),
        }
        if name == "write" { Begun::Write { fd, length } } else { Begun::Other }
    }

    fn end(&mut self, begun: Begun, result: &str) {
        let failed = result.starts_with('-');
        match begun {
            Begun::Open { path, makes } if !failed => self.opened(leading(result), path, makes),
            Begun::Seek { fd } => self.open.get_mut(&fd).unwrap().at = leading(result),
            Begun::Write { fd, length } => {
                assert_eq!(leading::<usize>(result), length, "a write that was cut short or failed");
                self.open.get_mut(&fd).unwrap().at += length;
            }
            Begun::Sync { what, call } if !failed => self.events.push(Event::SyncEnded { what, call }),
            _ => {}
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

    #[test]
    fn a_trace_is_read() {
        let told = Told::Added { id: "1".into() };
        let line = hex(&format!("{}\n", serde_json::to_string(&told).unwrap()));
        let (wal, history, folder) = (hex("/f/a-wal"), hex("/f/h"), hex("/f"));
        let trace = format!(
            "7 openat(AT_FDCWD<{folder}>, \"{wal}\", O_RDWR) = -1 ENOENT (No such file or directory)\n\
             7 openat(AT_FDCWD<{folder}>, \"{wal}\", O_RDWR|O_CREAT, 0644) = 5<{wal}>\n\
             8 openat(AT_FDCWD<{folder}>, \"{history}\", O_WRONLY|O_CREAT) = 3<{history}>\n\
             7 lseek(5<{wal}>, 24, SEEK_SET) = 24\n\
             7 write(5<{wal}>, \"{}\", 3) = 3\n\
             7 write(5<{wal}>, \"{}\", 1) = 1\n\
             7 fdatasync(5<{wal}> <unfinished ...>\n\
             8 write(3<{history}>, \"{line}\", 21) = 21\n\
             7 <... fdatasync resumed>) = 0\n\
             7 pwrite64(5<{wal}>, \"{}\", 1, 7) = 1\n\
             7 ftruncate(5<{wal}>, 0) = 0\n\
             7 unlink(\"{wal}\") = 0\n\
             8 +++ exited with 0 +++\n",
            hex("x(\""),
            hex("y"),
            hex("z"),
        );
        let mut reader = Reader::new(Path::new("/f"), Path::new("/f/h"));
        reader.process(&trace);
        let written = |at, bytes: &str| Event::Written { file: 0, at, bytes: bytes.into() };
        let expected = [
            Event::Made { file: 0, path: "/f/a-wal".into() },
            written(24, "x(\""),
            written(27, "y"),
            Event::SyncBegan { what: Synced::File(0), call: 7 },
            Event::Told(told),
            Event::SyncEnded { what: Synced::File(0), call: 7 },
            written(7, "z"),
            Event::Cut { file: 0, length: 0 },
            Event::Removed { path: "/f/a-wal".into() },
        ];
        assert_eq!(reader.events, expected);
    }
}
