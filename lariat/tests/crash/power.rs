//! Power cuts, as far as the system calls tell: what is answered was synced before. The trace is `strace`'s.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use interop::wait;

use crate::child::{Orders, Process, Told, history};
use crate::lab::Lab;

const ADDS: u64 = 40;

/// One add after the other, traced. None, with a line that says why, where nothing can be traced.
fn trace(lab: &Lab, options: &str) -> Option<Vec<Call>> {
    let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: strace is not installed, or this machine does not let it trace");
        return None;
    }
    let orders = Orders { url: format!("{}{options}", lab.url()), adders: 1, adds: ADDS, ..lab.orders() };
    let traced = lab.folder.path().join("trace");
    let program = orders.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,rename", "-o"]).arg(&traced);
    strace.arg(program.get_program()).args(program.get_args());
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process(strace.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    wait::until("all is added", || history(&orders.history).len() as u64 == ADDS);
    // The program ends with its stdin, and strace with it, so the trace is whole.
    drop(process.0.stdin.take());
    process.0.wait().unwrap();
    assert!(history(&orders.history).iter().all(|told| matches!(told, Told::Added { .. })));
    Some(calls(&fs::read_to_string(traced).unwrap()))
}

/// The beginning or the end of a system call on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    name: String,
    file: String,
    ended: Option<bool>,
}

/// Lines are `PID name(3</path>, …) = result`, or that in two parts, `… <unfinished ...>` and `<... name resumed>…`.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, Call> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let went_well = || rest.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'));
        if rest.starts_with("<... ") {
            if let Some(call) = open.remove(pid) {
                calls.push(Call { ended: Some(went_well()), ..call });
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else { continue };
        let Some((_, file)) = arguments.split_once('<') else { continue };
        let Some((file, _)) = file.split_once('>') else { continue };
        let call = Call { name: name.to_owned(), file: file.to_owned(), ended: None };
        calls.push(call.clone());
        if rest.ends_with("<unfinished ...>") {
            open.insert(pid, call);
        } else {
            calls.push(Call { ended: Some(went_well()), ..call });
        }
    }
    calls
}

/// How many answers were told while something of the WAL was not synced, and how many after a sync.
fn judge(calls: &[Call], lab: &Lab) -> (u64, u64) {
    let is = |call: &Call, path: &Path| Path::new(&call.file) == path;
    let (wal, history) = (lab.path().with_extension("db-wal"), lab.orders().history);
    let (mut unsynced, mut synced) = (0, 0);
    // Written since the last answer, and not synced since it was written.
    let (mut written, mut dirty) = (false, false);
    for call in calls {
        match (&*call.name, call.ended) {
            ("pwrite64" | "write", None) if is(call, &wal) => (written, dirty) = (true, true),
            ("fdatasync" | "fsync", Some(true)) if is(call, &wal) => dirty = false,
            ("write", None) if is(call, &history) => {
                assert!(std::mem::take(&mut written), "an answer before anything was written");
                *(if dirty { &mut unsynced } else { &mut synced }) += 1;
            }
            _ => {}
        }
    }
    (unsynced, synced)
}

#[test]
fn what_is_answered_is_on_the_disk() {
    let lab = Lab::new();
    let Some(calls) = trace(&lab, "") else { return };
    assert_eq!(judge(&calls, &lab), (0, ADDS));
    // The names of the file and its WAL have to be on the disk, too.
    let position = |wanted: &dyn Fn(&Call) -> bool| calls.iter().position(wanted).expect("it is in the trace");
    let folder = position(&|call| {
        call.ended == Some(true) && call.name.ends_with("sync") && Path::new(&call.file) == lab.folder.path()
    });
    let first = position(&|call| Path::new(&call.file) == lab.orders().history);
    assert!(folder < first, "the folder is synced before the first answer");
}

/// That the test above can fail.
#[test]
fn with_normal_the_trace_shows_that_nothing_is_synced() {
    let lab = Lab::new();
    let Some(calls) = trace(&lab, "?durability=normal") else { return };
    assert_eq!(judge(&calls, &lab), (ADDS, 0));
}

#[test]
fn a_trace_is_read() {
    let trace = "7 pwrite64(5</a-wal>, \"x(<\"..., 24, 0) = 24\n\
                 7 fdatasync(5</a-wal> <unfinished ...>\n\
                 8 write(3</h>, \"{}\\n\", 3) = 3\n\
                 7 <... fdatasync resumed>) = -1 EIO (Input/output error)\n\
                 8 +++ exited with 0 +++\n";
    let call = |name: &str, file: &str, ended| Call { name: name.into(), file: file.into(), ended };
    let expected = [
        call("pwrite64", "/a-wal", None),
        call("pwrite64", "/a-wal", Some(true)),
        call("fdatasync", "/a-wal", None),
        call("write", "/h", None),
        call("write", "/h", Some(true)),
        call("fdatasync", "/a-wal", Some(false)),
    ];
    assert_eq!(calls(trace), expected);
}
